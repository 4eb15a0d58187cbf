#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"

struct bench_board *
board_create(int64_t count)
{
    size_t size = sizeof(struct bench_board) + (size_t)count * sizeof(struct bench_mark);
    struct bench_board *self = mmap(NULL, size, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (self == MAP_FAILED)
        bench_die("no memory for %lld marks", (long long)count);
    self->wake_fd = eventfd(0, EFD_NONBLOCK);
    if (self->wake_fd < 0)
        bench_die("no eventfd");
    self->count = count;
    return self;
}

static void
wake_client(struct bench_board *self)
{
    if (!atomic_exchange(&self->client_sleeps, false))
        return;
    uint64_t one = 1;
    (void)!write(self->wake_fd, &one, sizeof(one));
}

void
board_run(struct bench_board *self, int64_t index)
{
    if (index < 0 || index >= self->count)
        bench_die("work %lld was never started", (long long)index);
    atomic_fetch_add(&self->marks[index].runs, 1);
}

void
board_end(struct bench_board *self, int64_t index)
{
    if (index < 0 || index >= self->count)
        bench_die("work %lld was never started", (long long)index);
    struct bench_mark *mark = &self->marks[index];
    if (atomic_fetch_add(&mark->ends, 1) > 0)
        return;
    atomic_store(&mark->end_us, om_clock_mono_us());
    atomic_fetch_add(&self->ended, 1);
    wake_client(self);
}

void
board_event(struct bench_board *self, int64_t index)
{
    if (index < 0 || index >= self->count)
        bench_die("an event of work %lld came, which was never started",
                  (long long)index);
    if (atomic_fetch_add(&self->marks[index].events, 1) > 0)
        return;
    atomic_fetch_add(&self->events, 1);
    wake_client(self);
}

void
board_sleep(struct bench_board *self, int64_t seen, const int fds[2], int64_t wait_us)
{
    atomic_store(&self->client_sleeps, true);
    if (atomic_load(&self->ended) == seen) {
        struct pollfd polled[3] = { { self->wake_fd, POLLIN, 0 },
                                    { fds[0], POLLIN, 0 },
                                    { fds[1], POLLIN, 0 } };
        wait_us = wait_us < 0 ? 0 : wait_us > 1000000 ? 1000000 : wait_us;
        struct timespec wait = { wait_us / 1000000, wait_us % 1000000 * 1000 };
        ppoll(polled, 3, &wait, NULL);
        uint64_t told;
        if (polled[0].revents)
            (void)!read(self->wake_fd, &told, sizeof(told));
    }
    atomic_store(&self->client_sleeps, false);
}

static int
compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

struct bench_latency
board_latency(const struct bench_board *self, int64_t first, int64_t last)
{
    size_t count = (size_t)(last - first);
    int64_t *times = calloc(count + 1, sizeof(*times));
    if (!times)
        bench_die("no memory");
    for (size_t i = 0; i < count; i++) {
        const struct bench_mark *mark = &self->marks[first + (int64_t)i];
        times[i] = atomic_load(&mark->end_us) - mark->start_us;
    }
    qsort(times, count, sizeof(*times), compare);
    struct bench_latency latency = { times[count / 2], times[count * 99 / 100],
                                     times[count - 1] };
    free(times);
    return latency;
}

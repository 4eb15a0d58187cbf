#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "clock.h"
#include "observer.h"
#include "queue_stats.h"

enum { PATIENCE_MS = 500 };

struct observer {
    int wake_fd;
    atomic_bool asked;
    pthread_mutex_t mutex; // for what follows
    pthread_cond_t cond;
    bool answered, stopped;
    struct om_buf queues;
    struct core_stats stats;
    struct core_workers workers;
    uint64_t dropped;
    double disk_free;
};

// ---- the page

// A number of core_stats; the label's value, if there is one.
struct number {
    enum om_metric metric;
    size_t offset;
    const char *label;
};

#define AT(member) offsetof(struct core_stats, member)

// clang-format off
static const struct number numbers[] = {
    { M_omni_tasks_open,           AT(open_tasks),    NULL },
    { M_omni_tasks_away,           AT(away),          NULL },
    { M_omni_tasks_recalled_total, AT(recalled),      NULL },
    { M_omni_tasks_ended_total,    AT(completed),     "succeeded" },
    { M_omni_tasks_ended_total,    AT(failed),        "failed" },
    { M_omni_tasks_ended_total,    AT(cancelled),     "cancelled" },
    { M_omni_tasks_ended_total,    AT(expired),       "expired" },
    { M_omni_leases,               AT(leased),        NULL },
    { M_omni_leases_lost_total,    AT(lost),          NULL },
    { M_omni_leases_stale_total,   AT(stale),         NULL },
    { M_omni_messages_delivered_total, AT(delivered), NULL },
    { M_omni_messages_retried_total, AT(retried),     NULL },
    { M_omni_calls_waiting,        AT(waiting_calls), NULL },
    { M_omni_sessions,             AT(sessions),      NULL },
    { M_omni_events_total,         AT(events),        NULL },
};
// clang-format on

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "core_stats has numbers of 64 bits");

static void
put_stats(const struct observer *self, struct om_scrape *scrape)
{
    for (size_t i = 0; i < OM_COUNT(numbers); i++) {
        uint64_t value;
        memcpy(&value, (const char *)&self->stats + numbers[i].offset, sizeof(value));
        om_scrape_put(scrape, numbers[i].metric, (double)value, om_str(numbers[i].label));
    }
    om_scrape_put(scrape, M_omni_workers, (double)self->workers.busy, OM_LIT("busy"));
    om_scrape_put(scrape, M_omni_workers, (double)self->workers.idle, OM_LIT("idle"));
    om_scrape_put(scrape, M_omni_workers, (double)self->workers.draining,
                  OM_LIT("draining"));
    om_scrape_put(scrape, M_omni_workers, (double)self->workers.silent, OM_LIT("silent"));
    om_scrape_put(scrape, M_omni_worker_silence_seconds,
                  (double)self->workers.silence_ms / 1000);
    om_scrape_put(scrape, M_omni_messages_malformed_total, (double)self->dropped);
    om_scrape_put(scrape, M_omni_disk_free_ratio, self->disk_free);
}

static void
on_scrape(void *context, struct om_scrape *scrape)
{
    struct observer *self = context;
    int64_t until_ms = om_clock_mono_ms() + PATIENCE_MS;
    struct timespec until = { .tv_sec = until_ms / 1000,
                              .tv_nsec = until_ms % 1000 * 1000000 };
    pthread_mutex_lock(&self->mutex);
    self->answered = false;
    atomic_store(&self->asked, true);
    eventfd_write(self->wake_fd, 1);
    int late = 0;
    while (!self->answered && !self->stopped && late == 0)
        late = pthread_cond_timedwait(&self->cond, &self->mutex, &until);
    if (self->answered) {
        queue_stats(scrape, om_buf_str(&self->queues));
        put_stats(self, scrape);
    }
    om_scrape_put(scrape, M_omni_broker_responsive, self->answered);
    pthread_mutex_unlock(&self->mutex);
}

// ---- the thread of the core

struct observer *
observer_create(int wake_fd)
{
    struct observer *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->wake_fd = wake_fd;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->cond, &attr);
    pthread_condattr_destroy(&attr);
    om_metrics_on_scrape(on_scrape, self);
    return self;
}

bool
observer_is_asked(const struct observer *self)
{
    return atomic_load_explicit(&self->asked, memory_order_relaxed);
}

void
observer_answer(struct observer *self, struct core *core, struct core_now now,
                const struct sockets *sockets, double disk_free)
{
    pthread_mutex_lock(&self->mutex);
    atomic_store(&self->asked, false);
    om_buf_reset(&self->queues);
    core_queues(core, now, &self->queues);
    self->stats = core_stats(core);
    self->workers = core_workers(core, now);
    self->dropped = sockets_dropped(sockets);
    self->disk_free = disk_free;
    self->answered = true;
    pthread_cond_signal(&self->cond);
    pthread_mutex_unlock(&self->mutex);
}

void
observer_destroy(struct observer **self_p)
{
    struct observer *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopped = true;
    pthread_cond_signal(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    om_metrics_forget(self); // waits for a page that is being written
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    om_buf_finish(&self->queues);
    free(self);
}

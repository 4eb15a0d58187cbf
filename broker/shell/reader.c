#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "reader.h"

enum { OUT_MAX = 256 };

// Reads in the order they came; as long as OUT_MAX are out, none overflows.
struct line {
    struct read *reads[OUT_MAX];
    size_t first, count;
};

struct reader {
    struct store *store;
    int wake_fd;
    pthread_t thread;
    size_t out; // the I/O thread's: given and not taken

    pthread_mutex_t mutex; // for what follows
    pthread_cond_t cond;
    struct line asked, answered;
    bool stop;
};

static void
put(struct line *line, struct read *read)
{
    line->reads[(line->first + line->count++) % OUT_MAX] = read;
}

static struct read *
get(struct line *line)
{
    if (line->count == 0)
        return NULL;
    struct read *read = line->reads[line->first];
    line->first = (line->first + 1) % OUT_MAX;
    line->count--;
    return read;
}

static void *
run(void *context)
{
    struct reader *self = context;
    pthread_setname_np(pthread_self(), "omni-read");
    pthread_mutex_lock(&self->mutex);
    for (;;) {
        while (!self->stop && self->asked.count == 0)
            pthread_cond_wait(&self->cond, &self->mutex);
        if (self->stop)
            break;
        struct read *read = get(&self->asked);
        pthread_mutex_unlock(&self->mutex);
        store_read(self->store, read);
        pthread_mutex_lock(&self->mutex);
        put(&self->answered, read);
        eventfd_write(self->wake_fd, 1);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

struct reader *
reader_start(struct store *store, int wake_fd)
{
    struct reader *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->store = store;
    self->wake_fd = wake_fd;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_cond_init(&self->cond, NULL);
    if (pthread_create(&self->thread, NULL, run, self) != 0) {
        free(self);
        return NULL;
    }
    return self;
}

void
reader_stop(struct reader *self)
{
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    for (struct read *read; (read = get(&self->asked));) {
        read->rc = OM_EDB;
        put(&self->answered, read);
    }
}

void
reader_destroy(struct reader **self_p)
{
    struct reader *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

bool
reader_has_room(const struct reader *self)
{
    return self->out < OUT_MAX;
}

void
reader_give(struct reader *self, struct read *read)
{
    self->out++;
    pthread_mutex_lock(&self->mutex);
    put(&self->asked, read);
    pthread_cond_signal(&self->cond);
    pthread_mutex_unlock(&self->mutex);
}

struct read *
reader_take(struct reader *self)
{
    if (self->out == 0)
        return NULL;
    pthread_mutex_lock(&self->mutex);
    struct read *read = get(&self->answered);
    pthread_mutex_unlock(&self->mutex);
    self->out -= read != NULL;
    return read;
}

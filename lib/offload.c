#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "offload.h"

struct queue {
    struct om_offload_job *first, **end;
};

struct om_offload {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct queue waiting;
    size_t waiting_count, waiting_max;
    bool stopping;
    size_t thread_count;
    pthread_t threads[];
};

struct om_offload_box {
    struct om_offload *offload;
    int fd;
    size_t out; // jobs that have not come back; its owner's
    atomic_bool ready;
    pthread_mutex_t lock;
    pthread_cond_t back;
    struct queue done;
};

// ---- queues

static void
put(struct queue *queue, struct om_offload_job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static struct om_offload_job *
take(struct queue *queue)
{
    struct om_offload_job *job = queue->first;
    if (job && !(queue->first = job->next))
        queue->end = &queue->first;
    return job;
}

// ---- the threads

static void
give_back(struct om_offload_job *job)
{
    struct om_offload_box *box = job->box;
    uint64_t one = 1;
    pthread_mutex_lock(&box->lock);
    put(&box->done, job);
    atomic_store(&box->ready, true);
    ssize_t written = write(box->fd, &one, sizeof(one));
    (void)written; // fails only if nobody has looked at very many
    pthread_cond_signal(&box->back);
    pthread_mutex_unlock(&box->lock);
}

static void *
work(void *context)
{
    struct om_offload *self = context;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        struct om_offload_job *job = take(&self->waiting);
        if (!job && self->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&self->wake, &self->lock);
            continue;
        }
        self->waiting_count--;
        pthread_mutex_unlock(&self->lock);
        job->run(job);
        give_back(job);
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

struct om_offload *
om_offload_create(size_t threads, size_t queue_max)
{
    struct om_offload *self = calloc(1, sizeof(*self) + threads * sizeof(pthread_t));
    if (!self)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->wake, NULL);
    self->waiting.end = &self->waiting.first;
    self->waiting_max = queue_max;
    while (self->thread_count < threads &&
           pthread_create(&self->threads[self->thread_count], NULL, work, self) == 0)
        self->thread_count++;
    if (self->thread_count < threads)
        om_offload_destroy(&self);
    return self;
}

void
om_offload_destroy(struct om_offload **self_p)
{
    struct om_offload *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->wake);
    pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; i < self->thread_count; i++)
        pthread_join(self->threads[i], NULL);
    pthread_cond_destroy(&self->wake);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

// ---- boxes

struct om_offload_box *
om_offload_box_create(struct om_offload *offload)
{
    struct om_offload_box *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->fd < 0) {
        free(self);
        return NULL;
    }
    self->offload = offload;
    self->done.end = &self->done.first;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->back, NULL);
    return self;
}

void
om_offload_box_destroy(struct om_offload_box **self_p)
{
    struct om_offload_box *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->out > 0) {
        pthread_mutex_lock(&self->lock);
        while (!self->done.first)
            pthread_cond_wait(&self->back, &self->lock);
        pthread_mutex_unlock(&self->lock);
        om_offload_box_run(self);
    }
    // The thread that gave the last one back may hold the lock still.
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->lock);
    pthread_cond_destroy(&self->back);
    pthread_mutex_destroy(&self->lock);
    close(self->fd);
    free(self);
}

int
om_offload_box_fd(const struct om_offload_box *self)
{
    return self->fd;
}

bool
om_offload_start(struct om_offload_box *self, struct om_offload_job *job)
{
    struct om_offload *offload = self->offload;
    pthread_mutex_lock(&offload->lock);
    bool room = offload->waiting_count < offload->waiting_max;
    if (room) {
        job->box = self;
        put(&offload->waiting, job);
        offload->waiting_count++;
        self->out++;
        pthread_cond_signal(&offload->wake);
    }
    pthread_mutex_unlock(&offload->lock);
    return room;
}

void
om_offload_box_run(struct om_offload_box *self)
{
    uint64_t count;
    if (!atomic_exchange(&self->ready, false))
        return;
    ssize_t got = read(self->fd, &count, sizeof(count));
    (void)got;
    pthread_mutex_lock(&self->lock);
    struct om_offload_job *job = self->done.first;
    self->done = (struct queue){ .end = &self->done.first };
    pthread_mutex_unlock(&self->lock);
    while (job) {
        struct om_offload_job *next = job->next;
        self->out--;
        job->done(job);
        job = next;
    }
}

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "clock.h"
#include "committer.h"
#include "metrics.h"

enum {
    SWEEP_MS = 60 * 1000,  // between two sweeps of the purge
    FREE_BYTES = 32 << 20, // of the heap: what is not worth returning
    QUICK_US = 300,        // a disk that takes longer is waited for by the thread
};

struct committer {
    struct committer_conf conf;
    pthread_t thread;
    uint32_t outcomes[2], changes, times; // of metrics

    // The I/O thread's.
    bool out;        // a batch was given and not taken
    int64_t mean_us; // how long a commit took of late

    pthread_mutex_t mutex; // for what follows
    pthread_cond_t cond;
    struct batch *given, *done;
    enum om_rc rc;
    int64_t took_us;
    bool stop;
};

static enum om_rc
commit(struct committer *self, struct batch *batch, int64_t *took_us)
{
    int64_t began_us = om_clock_mono_us();
    enum om_rc rc = store_commit(self->conf.store, batch);
    *took_us = om_clock_mono_us() - began_us;
    om_metric_add(self->outcomes[rc != OM_OK], 1);
    om_metric_observe(self->times, *took_us, NULL);
    if (rc == OM_OK)
        om_metric_add(self->changes, batch->count);
    return rc;
}

// A moving mean that one slow commit lifts above QUICK_US for many quick ones.
static void
note_time(struct committer *self, int64_t took_us)
{
    self->mean_us += (took_us - self->mean_us) / 8;
}

// Wait until there is a batch, the end, or it is time to purge.
static struct batch *
wait_for_batch(struct committer *self, int64_t purge_ms, bool *stop)
{
    struct timespec until = { .tv_sec = purge_ms / 1000,
                              .tv_nsec = purge_ms % 1000 * 1000000 };
    pthread_mutex_lock(&self->mutex);
    int late = 0;
    while (!self->given && !self->stop && late == 0)
        late = pthread_cond_timedwait(&self->cond, &self->mutex, &until);
    struct batch *batch = self->given;
    self->given = NULL;
    *stop = self->stop;
    pthread_mutex_unlock(&self->mutex);
    return batch;
}

static void
hand_back(struct committer *self, struct batch *batch, enum om_rc rc, int64_t took_us)
{
    pthread_mutex_lock(&self->mutex);
    self->done = batch;
    self->rc = rc;
    self->took_us = took_us;
    pthread_mutex_unlock(&self->mutex);
    eventfd_write(self->conf.wake_fd, 1);
}

// What a flood of jobs leaves free between what is in use goes back to the system.
static void
return_memory(void)
{
    if (mallinfo2().fordblks > FREE_BYTES)
        malloc_trim(0);
}

static void *
run(void *context)
{
    struct committer *self = context;
    pthread_setname_np(pthread_self(), "omni-commit");
    int64_t purge_ms = om_clock_mono_ms() + SWEEP_MS;
    for (bool stop = false; !stop;) {
        struct batch *batch = wait_for_batch(self, purge_ms, &stop);
        if (batch) {
            int64_t took_us;
            enum om_rc rc = commit(self, batch, &took_us);
            hand_back(self, batch, rc, took_us);
        }
        if (!stop && om_clock_mono_ms() >= purge_ms) {
            store_purge(self->conf.store, om_clock_wall_ms(), self->conf.retention_ms);
            return_memory();
            purge_ms = om_clock_mono_ms() + SWEEP_MS;
        }
    }
    return NULL;
}

struct committer *
committer_start(const struct committer_conf *conf)
{
    struct committer *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->conf = *conf;
    self->outcomes[0] = om_metric_cell(M_omni_commits_total, OM_LIT("committed"));
    self->outcomes[1] = om_metric_cell(M_omni_commits_total, OM_LIT("failed"));
    self->changes = om_metric_cell(M_omni_commit_changes_total);
    self->times = om_metric_cell(M_omni_commit_duration_seconds);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->cond, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&self->mutex, NULL);
    if (pthread_create(&self->thread, NULL, run, self) != 0) {
        free(self);
        return NULL;
    }
    return self;
}

void
committer_stop(struct committer **self_p)
{
    struct committer *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->cond);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->cond);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

bool
committer_is_free(const struct committer *self)
{
    return !self->out;
}

void
committer_give(struct committer *self, struct batch *batch)
{
    self->out = true;
    pthread_mutex_lock(&self->mutex);
    self->given = batch;
    pthread_mutex_unlock(&self->mutex);
    pthread_cond_signal(&self->cond); // the thread that wakes finds the mutex free
}

struct batch *
committer_take(struct committer *self, enum om_rc *rc)
{
    if (!self->out)
        return NULL;
    pthread_mutex_lock(&self->mutex);
    struct batch *batch = self->done;
    self->done = NULL;
    *rc = self->rc;
    if (batch)
        note_time(self, self->took_us);
    pthread_mutex_unlock(&self->mutex);
    self->out = !batch;
    return batch;
}

bool
committer_is_quick(const struct committer *self, const struct batch *batch)
{
    return batch->count <= COMMITTER_QUICK && self->mean_us <= QUICK_US &&
           store_has_room(self->conf.store);
}

enum om_rc
committer_commit(struct committer *self, struct batch *batch)
{
    int64_t took_us;
    enum om_rc rc = commit(self, batch, &took_us);
    note_time(self, took_us);
    return rc;
}

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "work.h"

enum { ASK_MS = 10000, ASK_AGAIN_MS = 2000, LOOK_MS = 100 };

#define ID_PREFIX "parent/"

// What a handler asks, and the answer: it stands on the handler's stack while it waits.
struct work_parent {
    struct om_str task;
    struct om_parent *out;
    struct om_arena *arena;
    enum om_rc rc;
    bool sent, answered;
};

static void
wake_control(const struct work *self)
{
    uint64_t one = 1;
    ssize_t ignored = write(self->chunk_fd, &one, sizeof(one)); // full: it was told
    (void)ignored;
}

// Under the lock. Wakes with the answer, and often enough to see a cancel.
static void
wait_a_moment(struct work *self)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&self->parent_told, &self->lock, &until);
}

enum om_rc
om_job_parent(struct om_job *job, const char *task, struct om_parent *out)
{
    struct work *self = (struct work *)job;
    *out = (struct om_parent){ 0 };
    if (job->lane != OM_LANE_JOB || !self->waits_allowed)
        return OM_EUNSUPPORTED;
    struct work_parent ask = { .task = om_str(task), .out = out, .arena = job->arena };
    int64_t now_ms = om_clock_mono_ms(), end_ms = now_ms + ASK_MS;
    int64_t again_ms = now_ms + ASK_AGAIN_MS;
    pthread_mutex_lock(&self->lock);
    self->parent = &ask;
    wake_control(self);
    while (!ask.answered && (now_ms = om_clock_mono_ms()) < end_ms &&
           !atomic_load(&self->cancelled)) {
        if (now_ms >= again_ms) { // the question or its answer was lost
            again_ms = now_ms + ASK_AGAIN_MS;
            ask.sent = false;
            wake_control(self);
        }
        wait_a_moment(self);
    }
    self->parent = NULL;
    pthread_mutex_unlock(&self->lock);
    if (ask.answered)
        return ask.rc;
    return atomic_load(&self->cancelled) ? OM_ECANCELLED : OM_ETIMEOUT;
}

void
work_send_parent(struct work *self, struct om_link *link)
{
    char id[sizeof(ID_PREFIX) + OM_TYPEID_MAX];
    pthread_mutex_lock(&self->lock);
    struct work_parent *ask = self->parent;
    if (ask && !ask->sent && !ask->answered) {
        struct wire_msg msg = { 0 };
        int size = snprintf(id, sizeof(id), ID_PREFIX "%.*s", (int)self->msg.task.size,
                            self->msg.task.data);
        WIRE_SET(&msg, id, ((struct om_str){ id, (size_t)size }));
        WIRE_SET(&msg, token, work_token(self));
        WIRE_SET(&msg, task, ask->task);
        ask->sent = om_link_send(link, WIRE_PARENT, &msg, (struct om_str){ 0 }) == OM_OK;
    }
    pthread_mutex_unlock(&self->lock);
}

static struct om_str
keep(struct om_arena *arena, struct om_str text)
{
    return (struct om_str){ om_arena_strdup(arena, text), text.size };
}

bool
work_parent_answer(struct work *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    struct om_str prefix = OM_LIT(ID_PREFIX), id = msg->id;
    if (work_is_call(self) || id.size < prefix.size ||
        memcmp(id.data, prefix.data, prefix.size) != 0)
        return false;
    id = (struct om_str){ id.data + prefix.size, id.size - prefix.size };
    if (!om_str_eq(id, self->msg.task))
        return false;
    pthread_mutex_lock(&self->lock);
    struct work_parent *ask = self->parent;
    struct wire_task task;
    if (ask && !ask->answered && msg->type == WIRE_ERROR) {
        ask->rc = om_rc_find(msg->code);
        ask->answered = true;
    } else if (ask && !ask->answered && om_str_eq(msg->task, ask->task) &&
               rec_decode(&wire_task_rec, msg->info, &task, NULL) == OM_OK) {
        ask->out->state = (enum task_state)task.state;
        ask->out->content_type = keep(ask->arena, msg->ctype);
        ask->out->result = keep(ask->arena, frame->payload);
        ask->answered = true;
    }
    pthread_cond_signal(&self->parent_told);
    pthread_mutex_unlock(&self->lock);
    return true;
}

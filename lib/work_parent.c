#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "work.h"

enum { ASK_MS = 10000, ASK_AGAIN_MS = 2000, LOOK_MS = 100 };

// The id of a question is this, its number among the job's, and the job's task.
#define ID_PREFIX "parent/"
enum { ID_BYTES = 64 };

// What a handler asks, and the answer: it stands on the handler's stack while it waits.
struct work_parent {
    unsigned number;
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

void
work_wait(struct work *self)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&self->told, &self->lock, &until);
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
    ask.number = ++self->parents_asked;
    self->parent = &ask;
    wake_control(self);
    while (!ask.answered && (now_ms = om_clock_mono_ms()) < end_ms &&
           !atomic_load(&self->cancelled)) {
        if (now_ms >= again_ms) { // the question or its answer was lost
            again_ms = now_ms + ASK_AGAIN_MS;
            ask.sent = false;
            wake_control(self);
        }
        work_wait(self);
    }
    self->parent = NULL;
    pthread_mutex_unlock(&self->lock);
    if (ask.answered)
        return ask.rc;
    return atomic_load(&self->cancelled) ? OM_ECANCELLED : OM_ETIMEOUT;
}

static struct om_str
put_id(const struct work *self, const struct work_parent *ask, char out[ID_BYTES])
{
    int size = snprintf(out, ID_BYTES, ID_PREFIX "%u/%.*s", ask->number,
                        (int)self->msg.task.size, self->msg.task.data);
    return (struct om_str){ out, (size_t)size };
}

void
work_send_parent(struct work *self, struct om_link *link)
{
    char id[ID_BYTES];
    pthread_mutex_lock(&self->lock);
    struct work_parent *ask = self->parent;
    if (ask && !ask->sent && !ask->answered) {
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, id, put_id(self, ask, id));
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

// Is it an answer to a question of this job, be it of an earlier one? What follows the
// prefix and a number is the job's task.
static bool
is_of_job(const struct work *self, struct om_str id)
{
    struct om_str prefix = OM_LIT(ID_PREFIX), task = self->msg.task;
    return !work_is_call(self) && id.size > prefix.size + task.size &&
           memcmp(id.data, prefix.data, prefix.size) == 0 &&
           memcmp(id.data + id.size - task.size, task.data, task.size) == 0;
}

bool
work_parent_answer(struct work *self, const struct om_frame *frame)
{
    char id[ID_BYTES];
    const struct wire_msg *msg = frame->msg;
    if (!is_of_job(self, msg->id))
        return false;
    pthread_mutex_lock(&self->lock);
    struct work_parent *ask = self->parent;
    struct wire_task task;
    if (!ask || ask->answered || !om_str_eq(msg->id, put_id(self, ask, id))) {
        pthread_mutex_unlock(&self->lock); // nobody waits for it any more
        return true;
    }
    if (msg->type == WIRE_ERROR) {
        ask->rc = om_rc_find(msg->code);
        ask->answered = true;
    } else if (om_str_eq(msg->task, ask->task) &&
               rec_decode(&wire_task_rec, msg->info, &task, NULL) == OM_OK) {
        ask->out->state = (enum task_state)task.state;
        ask->out->content_type = keep(ask->arena, msg->ctype);
        ask->out->result = keep(ask->arena, frame->payload);
        ask->answered = true;
    }
    pthread_cond_signal(&self->told);
    pthread_mutex_unlock(&self->lock);
    return true;
}

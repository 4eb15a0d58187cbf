#include <utlist.h>

#include "worker_state.h"

static void
on_work(struct om_worker *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    size_t queue = 0;
    while (queue < self->conf.queue_count &&
           !om_str_eq(msg->queue, om_str(self->credits[queue].queue)))
        queue++;
    if (queue == self->conf.queue_count)
        return;
    if (msg->type == WIRE_JOB && worker_find(self, msg->token))
        return;
    if (!WIRE_HAS(msg, ahead))
        self->credits[queue].received++;
    struct work *work = worker_take(self, frame, queue);
    if (!work)
        return; // its lease ends and it is given to somebody with memory
    if (self->drain_end_ms && !work_is_call(work))
        worker_release(self, work);
}

// Ask a handler to stop; what has not started ends at once.
static void
cancel(struct om_worker *self, struct work *work)
{
    work->broker_cancels = true;
    atomic_store(&work->cancelled, true);
    if (work->state != WORK_WAITING)
        return;
    if (work_is_call(work)) {
        worker_forget(self, work);
        return;
    }
    worker_unwait(self, work, WORK_FINISHED);
    work->job.rc = OM_ECANCELLED;
    worker_tend_by(self, 0);
}

static void
cancel_token(struct om_worker *self, struct om_str token)
{
    struct work *work = worker_find(self, token);
    if (work)
        cancel(self, work);
}

static void
cancel_call(struct om_worker *self, int64_t call)
{
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next)
        if (work_is_call(work) && work->msg.call == call)
            cancel(self, work);
}

static void
allow_chunks(struct om_worker *self, const struct wire_msg *msg)
{
    struct work *work;
    DL_FOREACH (self->works, work)
        if (work_is_call(work) && work->msg.call == msg->call)
            work_allow_chunks(work, msg->limit);
}

// The lease is somebody else's: stop and discard.
static void
on_stale(struct om_worker *self, struct om_str token)
{
    struct work *work = worker_find(self, token);
    if (!work)
        return;
    work->stale = true;
    atomic_store(&work->cancelled, true);
    if (work->state != WORK_RUNNING)
        worker_forget(self, work);
}

static void
acknowledge(struct om_worker *self, struct om_str token)
{
    struct work *work = worker_find(self, token);
    if (!work || work->state != WORK_FINISHED)
        return;
    if (self->conf.acknowledged)
        self->conf.acknowledged(self->conf.context, &work->job);
    worker_forget(self, work);
}

// Of one job or of several.
static void
on_done_ack(struct om_worker *self, const struct wire_msg *msg)
{
    struct om_str token;
    struct rec_iter tokens = rec_iter(msg->tokens);
    if (WIRE_HAS(msg, token))
        acknowledge(self, msg->token);
    while (rec_next_str(&tokens, &token))
        acknowledge(self, token);
}

static void
on_beat_ack(struct om_worker *self, const struct wire_msg *msg)
{
    struct om_str token;
    struct rec_iter cancels = rec_iter(msg->tokens), stale = rec_iter(msg->stale);
    while (rec_next_str(&cancels, &token))
        cancel_token(self, token);
    while (rec_next_str(&stale, &token))
        on_stale(self, token);
    if (msg->drain)
        om_worker_stop(self);
}

// The answer to a handler's question. False: it is none.
static bool
on_parent(struct om_worker *self, const struct om_frame *frame)
{
    struct work *work;
    DL_FOREACH (self->works, work)
        if (work->state == WORK_RUNNING && work_parent_answer(work, frame))
            return true;
    return false;
}

// Besides questions this worker gives an id to chunks only: the id of their task.
static void
on_error(struct om_worker *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    struct work *work;
    if (on_parent(self, frame))
        return;
    if (!WIRE_HAS(msg, id) || om_rc_find(msg->code) != OM_ETOOBIG)
        return;
    DL_FOREACH (self->works, work)
        if (!work_is_call(work) && om_str_eq(work->msg.task, msg->id))
            work_refuse_chunks(work);
}

void
worker_on_frame(struct om_worker *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    switch (msg->type) {
    case WIRE_JOB:
    case WIRE_CALL:
        on_work(self, frame);
        break;
    case WIRE_CANCEL_JOB:
        cancel_token(self, msg->token);
        break;
    case WIRE_CALL_CANCEL:
        cancel_call(self, msg->call);
        break;
    case WIRE_CALL_CREDIT:
        allow_chunks(self, msg);
        break;
    case WIRE_BEAT_ACK:
        on_beat_ack(self, msg);
        break;
    case WIRE_DONE_ACK:
        on_done_ack(self, msg);
        break;
    case WIRE_STALE:
        on_stale(self, msg->token);
        break;
    case WIRE_PARENT_IS:
        on_parent(self, frame);
        break;
    case WIRE_ERROR:
        on_error(self, frame);
        break;
    case WIRE_DRAIN:
        om_worker_stop(self);
        break;
    default:
        break; // CREDIT_OK and what newer brokers say
    }
}

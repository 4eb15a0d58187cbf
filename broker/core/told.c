#include "told.h"
#include "inner.h"
#include "queue.h"
#include "session.h"

enum { TRACEPARENT_SIZE = 55 };

// "00-…-01": the last bit of the last digit.
static bool
is_sampled(struct om_str traceparent)
{
    if (traceparent.size < TRACEPARENT_SIZE)
        return false;
    char digit = traceparent.data[TRACEPARENT_SIZE - 1];
    return (digit <= '9' ? digit : digit - 'a' + 10) & 1;
}

static bool
is_wanted(const struct core *self, struct om_str traceparent, bool failed)
{
    return self->conf.tell && traceparent.size && (failed || is_sampled(traceparent));
}

int64_t
told_now_us(const struct core *self)
{
    return self->now.wall_us ? self->now.wall_us : self->now.wall_ms * 1000;
}

static void
tell(struct core *self, const struct task *task, struct core_told *told)
{
    told->traceparent = task->traceparent;
    told->task = task->id;
    told->tenant = task->tenant->id;
    told->queue = queue_name(task->share->queue);
    told->kind = task->kind;
    told->from_us = task->since_us;
    told->to_us = told_now_us(self);
    self->conf.tell(self->conf.tell_context, told);
}

void
told_commit(struct core *self, struct task *task)
{
    if (task->since_us && is_wanted(self, task->traceparent, false))
        tell(self, task, &(struct core_told){ .what = TOLD_COMMIT });
    task->since_us = told_now_us(self);
}

void
told_ready(struct core *self, struct task *task)
{
    // One that was ready before the broker started has waited since it came.
    bool restored = !task->since_us && task->attempts == 0 && task->due_ms == 0;
    task->since_us = restored ? task->created_ms * 1000 : told_now_us(self);
}

void
told_wait(struct core *self, struct task *task)
{
    if (!task->since_us) // it was not in memory when it became ready
        told_ready(self, task);
    if (is_wanted(self, task->traceparent, false))
        tell(self, task,
             &(struct core_told){ .what = TOLD_WAIT, .attempt = task->last_attempt + 1 });
    task->since_us = told_now_us(self);
}

void
told_attempt(struct core *self, struct task *task, struct om_str code, struct om_str text)
{
    const struct lease *lease = &task->lease;
    if (!lease->active || lease->credit)
        return;          // no worker was told of it
    if (!task->since_us) // by an earlier start of the broker
        task->since_us = task->started_ms * 1000;
    if (is_wanted(self, task->traceparent, code.size > 0))
        tell(self, task,
             &(struct core_told){ .what = TOLD_ATTEMPT,
                                  .attempt = lease->token.attempt,
                                  .node = label_str(&lease->node),
                                  .code = code,
                                  .text = text });
    task->since_us = told_now_us(self);
}

int64_t
told_call_sent_us(const struct core *self, const struct wire_msg *msg)
{
    return is_wanted(self, msg->traceparent, false) ? told_now_us(self) : 0;
}

void
told_call(struct core *self, const struct call *call, const struct wire_msg *msg)
{
    if (!call->sent_us)
        return;
    struct core_told told = { .what = TOLD_WAIT,
                              .traceparent = msg->traceparent,
                              .tenant = call->share->tenant,
                              .queue = msg->queue,
                              .kind = msg->kind,
                              .from_us = call->since_us,
                              .to_us = call->sent_us };
    self->conf.tell(self->conf.tell_context, &told);
}

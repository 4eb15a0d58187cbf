#include "ahead.h"
#include "session.h"

void
ahead_allow(struct core *self, struct credit *credit, const struct wire_msg *msg)
{
    credit->ahead_max = WIRE_HAS(msg, ahead) ? msg->ahead : 0;
    queue_touch(self, credit->queue);
}

struct credit *
ahead_pick(const struct core *self, const struct queue_state *queue)
{
    struct credit *credit, *best = NULL;
    if (!queue->calls.ring)
        return NULL;
    DL_FOREACH2(queue->takers, credit, queue_next)
    if (credit->ahead < credit->ahead_max && (!best || credit->ahead < best->ahead) &&
        !credit->session->draining && session_live(self, credit->session))
        best = credit;
    return best;
}

void
ahead_hand_out(struct core *self, struct credit *credit)
{
    struct item *item = fair_pick(self, &credit->queue->calls, NULL);
    struct call *call = TIMER_OWNER(item, struct call, item);
    call->ahead = true;
    call->counted = credit;
    credit->ahead++;
    call_send(self, call, credit);
}

void
ahead_leave(struct core *self, struct call *call)
{
    struct credit *credit = call->counted;
    call->counted = NULL;
    if (!credit)
        return;
    credit->ahead--;
    queue_touch(self, credit->queue);
}

void
ahead_release(struct core *self, const struct input *in)
{
    struct call *call = call_taken(self, in);
    if (!call || !call->ahead)
        return;
    ahead_leave(self, call);
    call->ahead = false;
    DL_DELETE2(call->worker->taken, call, taken_prev, taken_next);
    call->worker = NULL;
    call->share->in_flight--;
    call->share->waiting_calls++;
    self->waiting_calls++;
    fair_push(&call->share->long_calls, &call->item);
    queue_touch(self, call->share->queue);
}

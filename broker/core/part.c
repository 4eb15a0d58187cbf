// The answers of calls that come in parts.
#include "call.h"
#include "out.h"
#include "session.h"

static struct call *
find_made(const struct session *caller, struct om_str id)
{
    struct call *call = NULL;
    if (id.size)
        HASH_FIND(made, caller->made, id.data, id.size, call);
    return call && call->streams ? call : NULL;
}

bool
call_streams(const struct session *caller, struct om_str id)
{
    return find_made(caller, id) != NULL;
}

static void
pass_on(struct core *self, struct call *call, const struct input *in)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&call->asker.id));
    WIRE_SET(&msg, call, call->number);
    WIRE_SET(&msg, seq, call->chunks);
    if (WIRE_HAS(in->msg, ctype))
        WIRE_SET(&msg, ctype, in->msg->ctype);
    out_send(self, call->asker.conn, WIRE_CHUNK, &msg, in->payload);
}

// A worker numbers the parts, so that one which was lost on its way is missed.
void
call_chunk(struct core *self, const struct input *in)
{
    struct call *call = call_taken(self, in);
    if (!call || !call->streams || call->left || in->msg->seq <= call->chunks)
        return;
    size_t bytes = payload_bytes(in->payload).size;
    int64_t cost = (int64_t)bytes + WIRE_CHUNK_COST;
    if (in->msg->seq != call->chunks + 1) {
        call_break(self, call, OM_EUNAVAILABLE, "a part of the answer was lost");
    } else if (bytes > WIRE_CHUNK_MAX) {
        call_break(self, call, OM_ETOOBIG, "a part of the answer is too large");
    } else if (call->used + cost > call->limit) {
        call_break(self, call, OM_ETOOBIG, "the answer has more parts than are taken");
    } else {
        call->chunks++;
        call->used += cost;
        pass_on(self, call, in);
    }
}

void
on_call_credit(struct core *self, const struct input *in)
{
    struct call *call = find_made(in->session, in->msg->id);
    if (!call || in->msg->limit < call->limit)
        return; // said again it is passed on again: it may have been lost
    call->limit = in->msg->limit;
    if (!call->worker)
        return; // it is told with the call
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, call, call->number);
    WIRE_SET(&msg, limit, call->limit);
    out_send(self, call->worker->conn, WIRE_CALL_CREDIT, &msg, NULL);
}

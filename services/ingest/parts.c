#include "parts.h"

#include <stdlib.h>
#include <utlist.h>

#include "json.h"
#include "sse.h"

REC_DEFINE(predict_end, PREDICT_END);

// What the client has no room for yet.
struct part {
    struct part *next;
    bool is_end;
    size_t size;
    char bytes[];
};

struct parts {
    struct part *waiting;
    int64_t steps;            // so many were written
    int64_t written, allowed; // as the wire counts: what was written, and may be sent
};

bool
parts_wanted(struct exchange *x, bool said)
{
    if (x->instead || !(x->route->flags & ROUTE_PARTS))
        return false; // a replay is shown whole
    return said || sse_wanted(om_http_field(exchange_request(x), "accept"));
}

bool
parts_want(struct exchange *x)
{
    if (x->idem_key.data) {
        exchange_fail(x, OM_EINVAL, "Idempotency-Key",
                      "an answer in parts is not kept for a repeat: leave out the "
                      "header Idempotency-Key, or stream");
        return false;
    }
    x->cached.result = CACHED_NOT;
    x->parts = om_arena_alloc(&x->arena, sizeof(*x->parts));
    x->parts->allowed = PARTS_WINDOW;
    return true;
}

static void
drop_first(struct parts *parts)
{
    struct part *part = parts->waiting;
    LL_DELETE(parts->waiting, part);
    free(part);
}

void
parts_forget(struct exchange *x)
{
    while (x->parts && x->parts->waiting)
        drop_first(x->parts);
}

// ---- what is written

static bool
put_part(struct exchange *x, struct om_str bytes)
{
    struct predict_part part;
    if (rec_decode(&predict_part_rec, bytes, &part, NULL) != OM_OK)
        return false;
    om_json_put_record(&x->edge->out, &predict_part_rec, &part);
    return true;
}

static int64_t
count_steps(struct om_str bytes)
{
    struct predict_part part;
    if (rec_decode(&predict_part_rec, bytes, &part, NULL) != OM_OK)
        return 0;
    return (int64_t)rec_iter(part.predictions).left;
}

static bool
put_end(struct exchange *x, struct om_str bytes)
{
    struct predict_reply reply;
    struct predict_end end = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf usage = { 0 };
    const struct predict_request *request = x->record;
    if (rec_decode(&predict_reply_rec, bytes, &reply, NULL) != OM_OK ||
        x->parts->steps != request->forecast_steps)
        return false;
    om_pack_map(&usage, 2);
    om_pack_str(&usage, OM_LIT("ml_inference"));
    om_pack_i64(&usage, 1);
    om_pack_str(&usage, OM_LIT("tokens"));
    om_pack_i64(&usage, x->cached.tokens);
    REC_SET(&end, predict_end, steps, x->parts->steps);
    REC_SET(&end, predict_end, confidence, reply.confidence);
    REC_SET(&end, predict_end, model_type, reply.model_type);
    if (REC_HAS(&reply, predict_reply, model_id))
        REC_SET(&end, predict_end, model_id, reply.model_id);
    REC_SET(&end, predict_end, usage, om_buf_str(&usage));
    om_json_put_record(&x->edge->out, &predict_end_rec, &end);
    return true;
}

enum written { WRITTEN, NO_ROOM, ENDED };

// Write one event, which is the last one of the exchange if it is the end.
static enum written
write_event(struct exchange *x, bool is_end, struct om_str bytes)
{
    struct om_buf *out = &x->edge->out;
    if (!(is_end ? put_end(x, bytes) : put_part(x, bytes))) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the worker's answer is malformed");
        return ENDED;
    }
    bool written = stream_write(x, NULL, is_end ? "end" : "part", om_buf_str(out));
    om_buf_reset(out);
    if (!written)
        return NO_ROOM;
    if (is_end) {
        stream_end(x);
        return ENDED;
    }
    x->parts->steps += count_steps(bytes);
    x->parts->written += (int64_t)bytes.size + WIRE_CHUNK_COST;
    return WRITTEN;
}

// Let the worker go on, once half of the window is free.
static void
allow_more(struct exchange *x)
{
    struct parts *parts = x->parts;
    int64_t allowed = parts->written + PARTS_WINDOW;
    if (!x->pending || allowed - parts->allowed < PARTS_WINDOW / 2)
        return;
    parts->allowed = allowed;
    om_client_allow(x->edge->client, x->pending, allowed);
}

static void
on_room(struct exchange *x)
{
    struct part *part;
    while ((part = x->parts->waiting)) {
        enum written written =
            write_event(x, part->is_end, (struct om_str){ part->bytes, part->size });
        if (written == ENDED)
            return;
        if (written == NO_ROOM)
            break;
        drop_first(x->parts);
    }
    allow_more(x);
}

// ---- what comes

static void
keep(struct exchange *x, bool is_end, struct om_str bytes)
{
    struct part *part = malloc(sizeof(*part) + bytes.size);
    if (!part) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no memory for the answer");
        return;
    }
    *part = (struct part){ .is_end = is_end, .size = bytes.size };
    if (bytes.size)
        memcpy(part->bytes, bytes.data, bytes.size);
    LL_APPEND(x->parts->waiting, part);
}

// An error before the first part is a response of its own.
static void
on_answer(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    bool is_end = answer->rc != OM_OK || answer->msg->type != WIRE_CHUNK;
    if (is_end && !exchange_answered(x, answer))
        return;
    if (!x->stream && !stream_begin(x, on_room))
        return;
    x->stream->ends = true;
    if (x->parts->waiting) {
        keep(x, is_end, answer->payload);
        return;
    }
    switch (write_event(x, is_end, answer->payload)) {
    case WRITTEN:
        allow_more(x);
        break;
    case NO_ROOM:
        keep(x, is_end, answer->payload);
        break;
    case ENDED:
        break;
    }
}

void
parts_call(struct exchange *x)
{
    exchange_call(x, x->route->op, true, x->record, 0, on_answer);
}

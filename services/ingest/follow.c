// A task's events as a stream, until the task has ended.
#include <stdio.h>

#include "event.h"

// The broker is asked for what is newer than the last event that was written. A client
// that is slow ends the watch and has another one when there is room: what it has not
// read stays with the broker, and nothing is left out or told twice.
struct follow {
    struct om_str task;
    int64_t last_seq; // of the last event that was written
    bool knows_end;   // that event was the task's last one
};

static void on_event(void *context, const struct om_answer *answer);

static void
watch(struct exchange *x)
{
    const struct follow *follow = x->record;
    event_watch(x, follow->task, follow->last_seq, WIRE_WAIT_MAX_MS, on_event);
}

static void
stop_watch(struct exchange *x)
{
    om_client_forget(x->edge->client, x->pending);
    x->pending = 0;
}

// Write the event that is in the edge's buffer. False: not now.
static bool
write_event(struct exchange *x, struct sse_id id, const char *name)
{
    struct follow *follow = x->record;
    struct om_buf *out = &x->edge->out;
    bool written = stream_write(x, &id, name, om_buf_str(out));
    om_buf_reset(out);
    if (written)
        follow->last_seq = id.seq;
    else
        stop_watch(x);
    return written;
}

// The task has ended, and the client knows. A browser comes back unless it is told so.
static void
reply_nothing(struct exchange *x)
{
    struct om_http_response response = { .status = 204 };
    exchange_reply(x, &response);
}

// Its last answer told of the task as it is now.
static void
on_state(struct exchange *x, const struct om_answer *answer)
{
    struct follow *follow = x->record;
    struct wire_task task;
    int64_t seq = answer->msg->seq;
    bool is_new = seq > follow->last_seq;
    if (answer->msg->drain)
        x->pending = 0;
    if (!event_read_task(x, answer, &task))
        return;
    bool ended = state_info(task.state)->ended;
    // The broker numbers the end of a task that ended long ago behind whatever one knows.
    if (ended && (follow->knows_end || !is_new) && !x->stream) {
        reply_nothing(x);
        return;
    }
    if (!x->stream && !stream_begin(x, watch))
        return;
    if (is_new) {
        event_put_task(x, seq, &task);
        if (!write_event(x, (struct sse_id){ seq, ended }, "task"))
            return;
    }
    if (ended)
        stream_end(x);
    else if (answer->msg->drain)
        watch(x); // only its time was over
}

// An error before the first event is a response of its own.
static void
on_event(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    const struct follow *follow = x->record;
    if (answer->rc != OM_OK) {
        exchange_answered(x, answer);
    } else if (answer->msg->type != WIRE_CHUNK) {
        on_state(x, answer);
    } else if (answer->msg->seq > follow->last_seq && // else the broker began anew
               (x->stream || stream_begin(x, watch))) {
        event_put_chunk(&x->edge->out, answer);
        (void)write_event(x, (struct sse_id){ .seq = answer->msg->seq }, "chunk");
    }
}

static void
stop(struct exchange *x)
{
    if (x->stream)
        stream_end(x);
    else
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "this server stops; ask another one");
}

void
follow_task(struct exchange *x, struct om_str task, const struct sse_id *after)
{
    if (exchange_request(x)->method == OM_HTTP_HEAD) {
        struct om_http_response response = { .status = 200,
                                             .content_type =
                                                 OM_LIT("text/event-stream") };
        exchange_reply(x, &response);
        return;
    }
    struct follow *follow = om_arena_alloc(&x->arena, sizeof(*follow));
    follow->task = task;
    follow->last_seq = after->seq;
    follow->knows_end = after->end;
    x->record = follow;
    x->on_stop = stop;
    watch(x);
}

// Events of a task: its changes and partial results, from any number on.
#include <utlist.h>

#include "event.h"
#include "json.h"

REC_DEFINE(event_query, EVENT_QUERY);
REC_DEFINE(event_item, EVENT_ITEM);
REC_DEFINE(event_page, EVENT_PAGE);

enum { REPLAY_MS = 5000 }; // for what is stored to come

// An event as JSON, in the arena.
struct part {
    struct om_str text;
    struct part *next;
};

struct page {
    const struct event_query *query;
    struct part *parts;
    int64_t last_seq;
    bool ended;
};

// Keep what was written to the edge's buffer as the next event.
static void
keep(struct exchange *x, struct page *page, int64_t seq)
{
    struct om_buf *out = &x->edge->out;
    struct part *part = om_arena_alloc(&x->arena, sizeof(*part));
    part->text =
        (struct om_str){ om_arena_strdup(&x->arena, om_buf_str(out)), out->size };
    om_buf_reset(out);
    LL_APPEND(page->parts, part);
    page->last_seq = seq;
}

static void
reply(struct exchange *x, const struct page *page)
{
    struct om_buf *out = &x->edge->out;
    const struct part *part;
    om_json_put(out, "{\"object\":\"list\",\"data\":[");
    LL_FOREACH (page->parts, part) {
        om_json_put(out, part == page->parts ? "" : ",");
        om_buf_put(out, part->text.data, part->text.size);
    }
    om_json_put(out, "],\"last_seq\":");
    om_json_put_i64(out, page->last_seq);
    om_json_put(out, page->ended ? ",\"ended\":true}" : ",\"ended\":false}");
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

// ---- from the broker

// The task changed. False: replied.
static bool
on_change(struct exchange *x, struct page *page, const struct om_answer *answer)
{
    struct wire_task task;
    const struct wire_msg *msg = answer->msg;
    if (!event_read_task(x, answer, &task))
        return false;
    page->ended = state_info(task.state)->ended;
    if (msg->seq <= page->last_seq)
        return true;
    event_put_task(x, msg->seq, &task);
    keep(x, page, msg->seq);
    return true;
}

// Chunks come one by one, and an EVENT when there are no more for now.
static void
on_watched(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct page *page = x->record;
    if (answer->rc == OM_ETIMEOUT && page->parts) {
        x->pending = 0;
        reply(x, page);
    } else if (answer->rc != OM_OK) {
        exchange_answered(x, answer);
    } else if (answer->msg->type == WIRE_CHUNK) {
        // After a reconnection the broker begins anew.
        if (answer->msg->seq <= page->last_seq)
            return;
        event_put_chunk(&x->edge->out, answer);
        keep(x, page, answer->msg->seq);
    } else {
        if (answer->msg->drain)
            x->pending = 0;
        if (on_change(x, page, answer) &&
            (page->parts || answer->msg->drain || page->query->wait == 0))
            reply(x, page);
    }
}

static void
stop_watch(struct exchange *x)
{
    reply(x, x->record);
}

// Where the client was before it lost its stream. False: replied.
static bool
read_last_id(struct exchange *x, struct sse_id *after)
{
    struct om_str text = om_http_field(exchange_request(x), "last-event-id");
    if (text.size == 0 || sse_last_id(text, after))
        return true;
    exchange_fail(x, OM_EINVAL, "Last-Event-ID",
                  "\"Last-Event-ID\" must be the id of an event of this task");
    return false;
}

void
task_events(struct exchange *x)
{
    const struct event_query *query = exchange_read(x, &event_query_rec);
    if (!query || !task_read_id(x, query->id))
        return;
    struct sse_id after = { .seq = query->after };
    if (sse_wanted(om_http_field(exchange_request(x), "accept"))) {
        if (read_last_id(x, &after))
            follow_task(x, query->id, &after);
        return;
    }
    struct page *page = om_arena_alloc(&x->arena, sizeof(*page));
    page->query = query;
    page->last_seq = query->after;
    x->record = page;
    x->on_stop = stop_watch;
    event_watch(x, query->id, query->after, query->wait ? query->wait * 1000 : REPLAY_MS,
                on_watched);
}

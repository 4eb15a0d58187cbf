// Events of a task: its changes and partial results, from any number on.
#include <jansson.h>
#include <stdio.h>
#include <utlist.h>

#include "exchange.h"
#include "id.h"
#include "json.h"
#include "tasks.h"
#include "utf8.h"

REC_DEFINE(event_query, EVENT_QUERY);
REC_DEFINE(event_item, EVENT_ITEM);
REC_DEFINE(event_page, EVENT_PAGE);

enum {
    REPLAY_MS = 5000, // for what is stored to come
    GRACE_MS = 2000,  // for the last event of a watch
};

// An event as JSON, in the arena.
struct part {
    struct om_str text;
    struct part *next;
};

struct follow {
    const struct event_query *query;
    struct part *parts;
    int64_t last_seq;
    bool ended;
};

// ---- as JSON

static void
put_base64(struct om_buf *out, struct om_str bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *at = (const uint8_t *)bytes.data;
    om_json_put(out, "\"");
    for (size_t left = bytes.size; left > 0; at += 3) {
        size_t taken = left < 3 ? left : 3;
        uint32_t word = (uint32_t)at[0] << 16 | (taken > 1 ? (uint32_t)at[1] << 8 : 0) |
                        (taken > 2 ? at[2] : 0);
        char text[4] = { digits[word >> 18], digits[word >> 12 & 63],
                         taken > 1 ? digits[word >> 6 & 63] : '=',
                         taken > 2 ? digits[word & 63] : '=' };
        om_buf_put(out, text, sizeof(text));
        left -= taken;
    }
    om_json_put(out, "\"");
}

static bool
is_text(struct om_str bytes)
{
    for (size_t at = 0, size; at < bytes.size; at += size)
        if (!(size = om_utf8_size(bytes.data + at, bytes.size - at)))
            return false;
    return true;
}

// JSON as the value it is, text as a string, any other bytes as base64.
static void
put_data(struct om_buf *out, struct om_str ctype, struct om_str data)
{
    const char json[] = "application/json";
    bool is_json = ctype.size >= strlen(json) && !memcmp(ctype.data, json, strlen(json));
    json_t *value =
        is_json ? json_loadb(data.data, data.size, JSON_DECODE_ANY, NULL) : NULL;
    if (value) {
        om_json_put(out, ",\"data\":");
        om_buf_put(out, data.data, data.size);
    } else if (is_text(data)) {
        om_json_put(out, ",\"data\":");
        om_json_put_str(out, data);
    } else {
        om_json_put(out, ",\"data_base64\":");
        put_base64(out, data);
    }
    json_decref(value);
}

static void
put_chunk(struct om_buf *out, const struct om_answer *answer)
{
    const struct wire_msg *msg = answer->msg;
    om_json_put(out, "{\"seq\":");
    om_json_put_i64(out, msg->seq);
    om_json_put(out, ",\"type\":\"chunk\",\"attempt\":");
    om_json_put_i64(out, msg->attempt);
    om_json_put(out, ",\"content_type\":");
    if (msg->ctype.size)
        om_json_put_str(out, msg->ctype);
    else
        om_json_put(out, "null");
    put_data(out, msg->ctype, answer->payload);
    om_json_put(out, "}");
}

// Keep what was written to the edge's buffer as the next event.
static void
keep(struct exchange *x, struct follow *follow, int64_t seq)
{
    struct om_buf *out = &x->edge->out;
    struct part *part = om_arena_alloc(&x->arena, sizeof(*part));
    part->text =
        (struct om_str){ om_arena_strdup(&x->arena, om_buf_str(out)), out->size };
    om_buf_reset(out);
    LL_APPEND(follow->parts, part);
    follow->last_seq = seq;
}

static void
reply(struct exchange *x, const struct follow *follow)
{
    struct om_buf *out = &x->edge->out;
    const struct part *part;
    om_json_put(out, "{\"object\":\"list\",\"data\":[");
    LL_FOREACH (follow->parts, part) {
        om_json_put(out, part == follow->parts ? "" : ",");
        om_buf_put(out, part->text.data, part->text.size);
    }
    om_json_put(out, "],\"last_seq\":");
    om_json_put_i64(out, follow->last_seq);
    om_json_put(out, follow->ended ? ",\"ended\":true}" : ",\"ended\":false}");
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

// ---- from the broker

// The task changed. False: replied.
static bool
on_change(struct exchange *x, struct follow *follow, const struct om_answer *answer)
{
    struct wire_task task;
    const struct wire_msg *msg = answer->msg;
    if (rec_decode(&wire_task_rec, msg->info, &task, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
        return false;
    }
    follow->ended = state_info(task.state)->ended;
    if (msg->seq <= follow->last_seq)
        return true;
    struct om_buf *out = &x->edge->out;
    om_json_put(out, "{\"seq\":");
    om_json_put_i64(out, msg->seq);
    om_json_put(out, ",\"type\":\"task\",\"task\":");
    task_put(x, &task, (struct om_str){ 0 });
    om_json_put(out, "}");
    keep(x, follow, msg->seq);
    return true;
}

// Chunks come one by one, and an EVENT when there are no more for now.
static void
on_watched(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct follow *follow = x->record;
    if (answer->rc == OM_ETIMEOUT && follow->parts) {
        x->pending = 0;
        reply(x, follow);
    } else if (answer->rc != OM_OK) {
        exchange_answered(x, answer);
    } else if (answer->msg->type == WIRE_CHUNK) {
        // After a reconnection the broker begins anew.
        if (answer->msg->seq <= follow->last_seq)
            return;
        put_chunk(&x->edge->out, answer);
        keep(x, follow, answer->msg->seq);
    } else {
        if (answer->msg->drain)
            x->pending = 0;
        if (on_change(x, follow, answer) &&
            (follow->parts || answer->msg->drain || follow->query->wait == 0))
            reply(x, follow);
    }
}

static void
stop_watch(struct exchange *x)
{
    reply(x, x->record);
}

void
task_events(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    const struct event_query *query = exchange_read(x, &event_query_rec);
    if (!query || !task_read_id(x, query->id))
        return;
    struct follow *follow = om_arena_alloc(&x->arena, sizeof(*follow));
    follow->query = query;
    follow->last_seq = query->after;
    x->record = follow;
    int64_t ttl_ms = query->wait ? query->wait * 1000 : REPLAY_MS;
    struct wire_msg msg = task_msg(x, query->id, traceparent);
    WIRE_SET(&msg, seq, query->after);
    WIRE_SET(&msg, ttl_ms, ttl_ms);
    x->on_stop = stop_watch;
    exchange_send(x, WIRE_WATCH, &msg, (struct om_str){ 0 }, ttl_ms + GRACE_MS,
                  on_watched);
}

// An event of a task as JSON, and how the broker is asked for them.
#include <jansson.h>

#include "event.h"
#include "json.h"
#include "utf8.h"

enum { GRACE_MS = 2000 }; // for the last event of a watch

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

void
event_put_chunk(struct om_buf *out, const struct om_answer *answer)
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

void
event_put_task(struct exchange *x, int64_t seq, const struct wire_task *task)
{
    struct om_buf *out = &x->edge->out;
    om_json_put(out, "{\"seq\":");
    om_json_put_i64(out, seq);
    om_json_put(out, ",\"type\":\"task\",\"task\":");
    task_put(x, task, (struct om_str){ 0 });
    om_json_put(out, "}");
}

bool
event_read_task(struct exchange *x, const struct om_answer *answer, struct wire_task *out)
{
    if (rec_decode(&wire_task_rec, answer->msg->info, out, NULL) == OM_OK)
        return true;
    exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
    return false;
}

void
event_watch(struct exchange *x, struct om_str task, int64_t after, int64_t ttl_ms,
            om_answer_fn *fn)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = task_msg(x, task, traceparent);
    WIRE_SET(&msg, seq, after);
    WIRE_SET(&msg, ttl_ms, ttl_ms);
    exchange_send(x, WIRE_WATCH, &msg, (struct om_str){ 0 }, ttl_ms + GRACE_MS, fn);
}

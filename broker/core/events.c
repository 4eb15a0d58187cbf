#include <assert.h>
#include <stdio.h>

#include "commit.h"
#include "context.h"
#include "events.h"
#include "out.h"

enum { METER_MAX = 64, NUMBER_MAX = 8, EVENT_ID_MAX = 160 };

size_t
events_count(struct om_str list)
{
    return rec_iter(list).left;
}

bool
events_valid(struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    struct wire_event event;
    struct om_str bytes;
    while (rec_next_rec(&iter, &wire_event_rec, &event, &bytes))
        ;
    return iter.left == 0;
}

static void
add(struct core *self, const struct events_origin *origin, struct om_str topic,
    struct om_str id, struct om_str body, int64_t at_ms)
{
    char context[CONTEXT_MAX];
    struct change *change = commit_add(self, CHANGE_EVENT);
    change->event = (struct change_event){
        .shard = om_uuid_shard(&origin->tenant),
        .topic = commit_copy(self, topic),
        .id = commit_copy(self, id),
        .body = commit_copy(self, body),
        .context = commit_copy(
            self, context_join(origin->traceparent, origin->tracestate, context)),
        .tenant = origin->tenant,
        .at_ms = at_ms,
    };
}

// The next item that is well-formed.
static bool
next_valid(struct rec_iter *iter, const struct rec *type, void *item,
           struct om_str *bytes)
{
    do {
        if (rec_next_rec(iter, type, item, bytes))
            return true;
    } while (rec_next_raw(iter, bytes));
    return false;
}

void
events_add(struct core *self, const struct events_origin *origin, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    struct wire_event event;
    struct om_str bytes;
    while (next_valid(&iter, &wire_event_rec, &event, &bytes))
        add(self, origin, event.topic, event.id, event.body, event.at);
}

// The item under a name that no meter of the platform has; borrowed from the scratch.
static struct om_str
own_item(struct core *self, const struct wire_usage *item)
{
    char meter[65];
    snprintf(meter, sizeof(meter), "own.%.*s", (int)item->meter.size, item->meter.data);
    struct wire_usage own = *item;
    own.meter = om_str(meter);
    om_buf_reset(&self->scratch);
    rec_encode(&wire_usage_rec, &own, &self->scratch);
    return om_buf_str(&self->scratch);
}

// How many items of the same meter there are before the one behind which `left` stand.
static size_t
same_before(struct om_str usage, size_t left, struct om_str meter)
{
    struct rec_iter iter = rec_iter(usage);
    struct wire_usage item;
    struct om_str bytes;
    size_t same = 0;
    while (iter.left > left + 1 && next_valid(&iter, &wire_usage_rec, &item, &bytes))
        same += iter.left > left && om_str_eq(item.meter, meter);
    return same;
}

// Write the id of an item's event behind the prefix in `id`: its meter, and from the
// second of the same meter on a number, because an id is applied once.
static size_t
put_usage_id(char id[EVENT_ID_MAX], size_t size, struct om_str meter, size_t same)
{
    memcpy(id + size, meter.data, meter.size);
    size += meter.size;
    if (same > 0)
        size += (size_t)snprintf(id + size, EVENT_ID_MAX - size, "/%zu", same + 1);
    return size;
}

void
events_add_usage(struct core *self, const struct events_origin *origin,
                 struct om_str prefix, struct om_str usage)
{
    struct rec_iter iter = rec_iter(usage);
    struct wire_usage item;
    struct om_str bytes;
    char id[EVENT_ID_MAX];
    assert(prefix.size + 1 + METER_MAX + NUMBER_MAX <= sizeof(id));
    memcpy(id, prefix.data, prefix.size);
    id[prefix.size] = '/';
    while (next_valid(&iter, &wire_usage_rec, &item, &bytes)) {
        size_t same = same_before(usage, iter.left, item.meter);
        size_t size = put_usage_id(id, prefix.size + 1, item.meter, same);
        if (origin->own_worker)
            bytes = own_item(self, &item);
        add(self, origin, OM_LIT("usage"), (struct om_str){ id, size }, bytes,
            self->now.wall_ms);
    }
}

void
events_add_error(struct core *self, const struct events_origin *origin,
                 struct om_str prefix, const struct error_event *error)
{
    static const char suffix[] = "/error";
    char id[EVENT_ID_MAX];
    assert(prefix.size + sizeof(suffix) <= sizeof(id));
    memcpy(id, prefix.data, prefix.size);
    memcpy(id + prefix.size, suffix, sizeof(suffix));
    om_buf_reset(&self->scratch);
    rec_encode(&error_event_rec, error, &self->scratch);
    add(self, origin, OM_LIT(ERROR_TOPIC), om_str(id), om_buf_str(&self->scratch),
        self->now.wall_ms);
}

void
on_publish(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    size_t count = events_count(msg->events);
    if (om_uuid_is_zero(&in->tenant) || !events_valid(msg->events) || count == 0) {
        out_error(self, in->conn, msg->id, OM_EINVAL,
                  "an event or its tenant is not valid");
        return;
    }
    if (commit_congested(self)) {
        out_error(self, in->conn, msg->id, OM_EUNAVAILABLE, NULL);
        return;
    }
    struct events_origin origin = { .tenant = in->tenant,
                                    .traceparent = msg->traceparent,
                                    .tracestate = msg->tracestate };
    struct wire_msg answer = { 0 };
    WIRE_SET(&answer, id, msg->id);
    struct group *group = commit_group(self, EFFECT_NONE, count);
    events_add(self, &origin, msg->events);
    group->send = out_encode(self, in->conn, WIRE_PUBLISHED, &answer, NULL);
}

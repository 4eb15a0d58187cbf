#include "tail.h"
#include "context.h"

enum { RUN_BYTES_MAX = 900 * 1024 }; // of a run's events, below WIRE_PAYLOAD_MAX

// An encoded wire_logged.
struct tail_event {
    struct tail_event *next;
    int64_t seq;
    size_t size;
    char bytes[];
};

static size_t
weight(const struct tail_event *event)
{
    return sizeof(*event) + event->size;
}

void
tail_begin(struct run *run, int64_t after)
{
    struct tail *tail = &run->tail;
    if (tail->open || tail->first)
        return;
    tail->open = true;
    tail->after = after;
}

static struct om_str
encode(struct core *self, const struct change_event *event)
{
    char tenant[OM_TYPEID_MAX];
    size_t tenant_size = om_typeid_encode(OM_ID_TENANT, &event->tenant, tenant);
    struct wire_logged logged = { 0 };
    REC_SET(&logged, wire_logged, seq, event->seq);
    REC_SET(&logged, wire_logged, topic, event->topic);
    REC_SET(&logged, wire_logged, id, event->id);
    REC_SET(&logged, wire_logged, tenant, ((struct om_str){ tenant, tenant_size }));
    REC_SET(&logged, wire_logged, at, event->at_ms);
    REC_SET(&logged, wire_logged, body, event->body);
    context_split(event->context, &logged);
    om_buf_reset(&self->scratch);
    rec_encode(&wire_logged_rec, &logged, &self->scratch);
    return om_buf_str(&self->scratch);
}

void
tail_add(struct core *self, struct run *run, const struct change_event *event)
{
    struct tail *tail = &run->tail;
    if (!tail->open)
        return;
    struct om_str bytes = encode(self, event);
    size_t *used = &self->tail_bytes[run->subscription];
    if (*used + sizeof(struct tail_event) + bytes.size > self->conf.max_tail_bytes) {
        tail->open = false;
        return;
    }
    struct tail_event *added = pool_take(&self->pool, sizeof(*added) + bytes.size);
    added->seq = event->seq;
    added->size = bytes.size;
    memcpy(added->bytes, bytes.data, bytes.size);
    *used += weight(added);
    if (tail->first)
        tail->last->next = added;
    else
        tail->first = added;
    tail->last = added;
}

bool
tail_take(struct core *self, struct run *run)
{
    const struct tail *tail = &run->tail;
    if (!tail->first || run->cursor < tail->after)
        return false;
    size_t count = 0, bytes = 0;
    for (const struct tail_event *event = tail->first;
         event && count < run->limit &&
         (count == 0 || bytes + event->size <= RUN_BYTES_MAX);
         event = event->next) {
        count++;
        bytes += event->size;
        run->last = event->seq;
    }
    run->count = count;
    om_buf_reset(&self->scratch);
    om_pack_array(&self->scratch, count);
    for (const struct tail_event *event = tail->first; count > 0; event = event->next) {
        om_buf_put(&self->scratch, event->bytes, event->size);
        count--;
    }
    run->payload = payload_pooled(&self->pool, om_buf_str(&self->scratch));
    return true;
}

void
tail_forget(struct core *self, struct run *run, int64_t seq)
{
    struct tail *tail = &run->tail;
    while (tail->first && tail->first->seq <= seq) {
        struct tail_event *event = tail->first;
        tail->first = event->next;
        self->tail_bytes[run->subscription] -= weight(event);
        pool_give(event);
    }
}

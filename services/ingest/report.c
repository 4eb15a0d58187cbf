#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "id.h"
#include "report.h"

enum { PUBLISH_MS = 5000, TENANT_MAX = 48 };

// What a tenant did since the last message.
struct report_tenant {
    char tenant[TENANT_MAX];
    uint8_t shard;
    int64_t api_calls;
    struct om_buf events;
    size_t count;
    UT_hash_handle hh;
};

// A message to be published.
struct report_batch {
    struct report *report;
    char tenant[TENANT_MAX];
    struct om_buf events; // a msgpack array
    bool sent;            // and not answered yet
    struct report_batch *next;
};

static void
drop_batch(struct report *self, struct report_batch *batch)
{
    struct report_batch **at = &self->batches;
    while (*at != batch)
        at = &(*at)->next;
    *at = batch->next;
    self->batch_count--;
    om_buf_finish(&batch->events);
    free(batch);
}

void
report_finish(struct report *self)
{
    struct report_tenant *tenant, *next;
    HASH_ITER (hh, self->tenants, tenant, next) {
        HASH_DEL(self->tenants, tenant);
        om_buf_finish(&tenant->events);
        free(tenant);
    }
    while (self->batches)
        drop_batch(self, self->batches);
}

// Append an event with a new id.
static void
put_event(struct om_buf *out, const char *topic, uint8_t shard, struct om_str body)
{
    char id[OM_TYPEID_MAX];
    struct wire_event event = { 0 };
    om_id_text(OM_ID_EVENT, shard, id);
    REC_SET(&event, wire_event, topic, om_str(topic));
    REC_SET(&event, wire_event, id, om_str(id));
    REC_SET(&event, wire_event, at, om_clock_wall_ms());
    REC_SET(&event, wire_event, body, body);
    rec_encode(&wire_event_rec, &event, out);
}

static void
put_audit(struct om_buf *out, uint8_t shard, const struct audit_event *event)
{
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    rec_encode(&audit_event_rec, event, &body);
    put_event(out, "audit", shard, om_buf_str(&body));
}

static void
put_api_calls(struct om_buf *out, uint8_t shard, int64_t count)
{
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, OM_LIT("api_call"));
    REC_SET(&usage, wire_usage, quantity, count);
    rec_encode(&wire_usage_rec, &usage, &body);
    put_event(out, "usage", shard, om_buf_str(&body));
}

static void on_published(void *context, const struct om_answer *answer);

static void
send_batch(struct report_batch *batch)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(batch->tenant));
    WIRE_SET(&msg, events, om_buf_str(&batch->events));
    batch->sent = om_client_send(batch->report->client, WIRE_PUBLISH, &msg,
                                 (struct om_str){ 0 }, PUBLISH_MS, on_published, batch);
}

static void
on_published(void *context, const struct om_answer *answer)
{
    struct report_batch *batch = context;
    batch->sent = false; // the next flush tries again
    if (answer->rc == OM_OK)
        drop_batch(batch->report, batch);
}

// Make a message of what a tenant has.
static void
close_tenant(struct report *self, struct report_tenant *tenant)
{
    if (tenant->api_calls > 0) {
        put_api_calls(&tenant->events, tenant->shard, tenant->api_calls);
        tenant->count++;
    }
    struct report_batch *batch = tenant->count > 0 ? calloc(1, sizeof(*batch)) : NULL;
    if (!batch)
        return;
    batch->report = self;
    memcpy(batch->tenant, tenant->tenant, sizeof(batch->tenant));
    om_pack_array(&batch->events, tenant->count);
    om_buf_put(&batch->events, tenant->events.data, tenant->events.size);
    batch->next = self->batches;
    self->batches = batch;
    self->batch_count++;
    om_buf_reset(&tenant->events);
    tenant->count = 0;
    tenant->api_calls = 0;
}

static struct report_tenant *
find_tenant(struct report *self, const char *text, uint8_t shard)
{
    struct report_tenant *tenant = NULL;
    HASH_FIND_STR(self->tenants, text, tenant);
    if (tenant)
        return tenant;
    tenant = calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    snprintf(tenant->tenant, sizeof(tenant->tenant), "%s", text);
    tenant->shard = shard;
    HASH_ADD_STR(self->tenants, tenant, tenant);
    return tenant;
}

void
report_api_call(struct report *self, const char *tenant, uint8_t shard)
{
    struct report_tenant *found = find_tenant(self, tenant, shard);
    if (found)
        found->api_calls++;
}

void
report_audit(struct report *self, const char *tenant, uint8_t shard,
             const struct audit_event *event)
{
    struct report_tenant *found = find_tenant(self, tenant, shard);
    if (!found)
        return;
    put_audit(&found->events, shard, event);
    found->count++;
    if (found->count >= REPORT_EVENTS_MAX || found->events.size >= REPORT_BYTES_MAX)
        close_tenant(self, found);
}

void
report_encode(uint8_t shard, const struct audit_event *event, struct om_buf *out)
{
    om_pack_array(out, 1);
    put_audit(out, shard, event);
}

void
report_flush(struct report *self)
{
    struct report_tenant *tenant, *next;
    HASH_ITER (hh, self->tenants, tenant, next) {
        if (tenant->api_calls > 0 || tenant->count > 0) {
            close_tenant(self, tenant);
            continue;
        }
        HASH_DEL(self->tenants, tenant); // quiet since the last time
        om_buf_finish(&tenant->events);
        free(tenant);
    }
    for (struct report_batch *batch = self->batches; batch; batch = batch->next)
        if (!batch->sent)
            send_batch(batch);
}

bool
report_full(const struct report *self)
{
    return self->batch_count >= REPORT_BATCHES_MAX;
}

bool
report_idle(const struct report *self)
{
    return !self->batches && !self->tenants;
}

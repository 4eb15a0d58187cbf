#include "failures.h"

#include <stdio.h>
#include <stdlib.h>

#include "id.h"

enum {
    PUBLISH_MS = 5000,
    EVENTS_MAX = 48,              // of a message
    EVENTS_BYTES_MAX = 10 * 1024, // they travel in the header
    EVENT_BYTES_MAX = 3 * 1024,   // more than one can have
};

struct failure_tenant {
    char tenant[48];
    size_t count; // kinds that wait
    UT_hash_handle hh;
};

struct failure_entry {
    uint8_t key[OM_FINGERPRINT];
    struct failure_tenant *tenant;
    uint8_t shard;
    int64_t count, at_ms;
    struct error_event error; // its strings are in `text`
    struct om_buf text;
    UT_hash_handle hh;
};

void
failures_init(struct failures *self, struct om_client *client,
              struct failure_counts *counts)
{
    *self = (struct failures){ .client = client, .counts = counts };
}

static void
drop(struct failures *self, struct failure_entry *entry)
{
    struct failure_tenant *tenant = entry->tenant;
    HASH_DEL(self->entries, entry);
    om_buf_finish(&entry->text);
    free(entry);
    if (--tenant->count == 0) {
        HASH_DEL(self->tenants, tenant);
        free(tenant);
    }
}

void
failures_finish(struct failures *self)
{
    struct failure_entry *entry, *next;
    HASH_ITER (hh, self->entries, entry, next)
        drop(self, entry);
    om_buf_finish(&self->events);
}

static void
add_to(atomic_uint_fast64_t *counter, int64_t count)
{
    atomic_fetch_add_explicit(counter, (uint64_t)count, memory_order_relaxed);
}

// ---- counting

static struct failure_tenant *
find_tenant(struct failures *self, const char *text)
{
    struct failure_tenant *tenant = NULL;
    HASH_FIND_STR(self->tenants, text, tenant);
    if (tenant)
        return tenant;
    tenant = calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    snprintf(tenant->tenant, sizeof(tenant->tenant), "%s", text);
    HASH_ADD_STR(self->tenants, tenant, tenant);
    return tenant;
}

// Which failures are alike: as the groups are made.
static void
key_of(const char *tenant, const struct error_event *error, uint8_t key[OM_FINGERPRINT])
{
    char title[OM_TITLE_MAX + 1];
    size_t size = om_error_title(error->text, title);
    const struct om_str parts[] = {
        om_str(tenant), error->route, error->queue, error->code, { title, size }
    };
    om_fingerprint(parts, OM_COUNT(parts), key);
}

static struct failure_entry *
make(struct failures *self, const char *tenant_text, const uint8_t key[OM_FINGERPRINT])
{
    if (HASH_COUNT(self->entries) >= FAILURES_MAX)
        return NULL;
    struct failure_tenant *tenant = find_tenant(self, tenant_text);
    struct failure_entry *entry =
        tenant && tenant->count < FAILURES_OF_TENANT ? calloc(1, sizeof(*entry)) : NULL;
    if (!entry)
        return NULL;
    memcpy(entry->key, key, OM_FINGERPRINT);
    entry->tenant = tenant;
    tenant->count++;
    HASH_ADD(hh, self->entries, key, OM_FINGERPRINT, entry);
    return entry;
}

// The entry tells of the newest one.
static void
set_sample(struct failure_entry *entry, const struct error_event *error)
{
    om_buf_reset(&entry->text);
    rec_encode(&error_event_rec, error, &entry->text);
    if (entry->text.failed ||
        rec_decode(&error_event_rec, om_buf_str(&entry->text), &entry->error, NULL))
        om_buf_reset(&entry->text);
}

void
failures_add(struct failures *self, const char *tenant, uint8_t shard,
             const struct error_event *error, int64_t now_ms)
{
    uint8_t key[OM_FINGERPRINT];
    struct failure_entry *entry = NULL;
    key_of(tenant, error, key);
    HASH_FIND(hh, self->entries, key, OM_FINGERPRINT, entry);
    if (!entry)
        entry = make(self, tenant, key);
    if (!entry) {
        add_to(&self->counts->dropped, 1);
        return;
    }
    entry->shard = shard;
    entry->count++;
    entry->at_ms = now_ms;
    set_sample(entry, error);
}

// ---- publishing

static void
put_event(struct failure_entry *entry, struct om_buf *out)
{
    char id[OM_TYPEID_MAX];
    struct wire_event event = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    REC_SET(&entry->error, error_event, count, entry->count);
    rec_encode(&error_event_rec, &entry->error, &body);
    om_id_text(OM_ID_EVENT, entry->shard, id);
    REC_SET(&event, wire_event, topic, OM_LIT(ERROR_TOPIC));
    REC_SET(&event, wire_event, id, om_str(id));
    REC_SET(&event, wire_event, at, entry->at_ms);
    REC_SET(&event, wire_event, body, om_buf_str(&body));
    rec_encode(&wire_event_rec, &event, out);
    out->failed |= body.failed;
}

// Take what a tenant has into one message.
static void
take(struct failures *self)
{
    struct failure_entry *entry, *next;
    struct failure_tenant *tenant = self->entries->tenant;
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    size_t count = 0, left = tenant->count;
    snprintf(self->tenant, sizeof(self->tenant), "%s", tenant->tenant);
    self->asked_count = 0;
    HASH_ITER (hh, self->entries, entry, next) {
        if (left == 0 || count == EVENTS_MAX ||
            list.size + EVENT_BYTES_MAX > EVENTS_BYTES_MAX)
            break;
        if (entry->tenant != tenant)
            continue;
        if (entry->text.size > 0) {
            put_event(entry, &list);
            self->asked_count += entry->count;
            count++;
        } else {
            add_to(&self->counts->dropped, entry->count);
        }
        drop(self, entry);
        left--;
    }
    om_buf_reset(&self->events);
    om_pack_array(&self->events, count);
    om_buf_put(&self->events, list.data, list.size);
    if (count > 0 && !list.failed && !self->events.failed)
        return;
    add_to(&self->counts->dropped, self->asked_count);
    om_buf_finish(&self->events);
}

static void
on_published(void *context, const struct om_answer *answer)
{
    struct failures *self = context;
    self->asked = false; // the next flush tries again
    if (answer->rc != OM_OK && om_rc_info(answer->rc)->retryable)
        return;
    add_to(answer->rc == OM_OK ? &self->counts->told : &self->counts->dropped,
           self->asked_count);
    om_buf_reset(&self->events);
    if (answer->rc == OM_OK)
        failures_flush(self);
}

void
failures_flush(struct failures *self)
{
    if (self->asked)
        return;
    if (self->events.size == 0 && self->entries)
        take(self);
    if (self->events.size == 0)
        return;
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(self->tenant));
    WIRE_SET(&msg, events, om_buf_str(&self->events));
    self->asked = om_client_send(self->client, WIRE_PUBLISH, &msg, (struct om_str){ 0 },
                                 PUBLISH_MS, on_published, self);
}

bool
failures_idle(const struct failures *self)
{
    return !self->entries && self->events.size == 0;
}

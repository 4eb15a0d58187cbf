#include "request_log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MINUTE_MS = 60000,
    CALL_MS = 5000,
    MESSAGE_MAX = WIRE_PAYLOAD_MAX / 2,
    TENANT_MAX = 48,
    FLOOD_PART = 10,
    TENANTS_SWEPT = 256, // more than these are looked through for those that are quiet
};

enum kind { FAILURE, FLOOD, KINDS };

struct request_tenant {
    char tenant[TENANT_MAX];
    int64_t due_ms[KINDS]; // a minute before that, all of the share is there again
    size_t bytes;          // waiting
    UT_hash_handle hh;
};

struct request_entry {
    struct request_tenant *tenant;
    struct om_buf record;
    int64_t put_ms;
    struct request_entry *next;
};

void
request_log_init(struct request_log *self, struct om_client *client,
                 struct request_counts *counts, int64_t rate)
{
    *self = (struct request_log){ .client = client, .counts = counts, .rate = rate };
}

static void
count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void
pop(struct request_log *self)
{
    struct request_entry *entry = self->first;
    self->first = entry->next;
    if (!self->first)
        self->last = NULL;
    self->bytes -= entry->record.size;
    entry->tenant->bytes -= entry->record.size;
    om_buf_finish(&entry->record);
    free(entry);
}

void
request_log_finish(struct request_log *self)
{
    struct request_tenant *tenant, *next;
    while (self->first)
        pop(self);
    HASH_ITER (hh, self->tenants, tenant, next) {
        HASH_DEL(self->tenants, tenant);
        free(tenant);
    }
}

static struct request_tenant *
find_tenant(struct request_log *self, const char *text)
{
    struct request_tenant *tenant = NULL;
    HASH_FIND_STR(self->tenants, text, tenant);
    if (tenant || HASH_COUNT(self->tenants) >= REQUEST_LOG_TENANTS)
        return tenant;
    tenant = calloc(1, sizeof(*tenant));
    if (!tenant)
        return NULL;
    snprintf(tenant->tenant, sizeof(tenant->tenant), "%s", text);
    HASH_ADD_STR(self->tenants, tenant, tenant);
    return tenant;
}

bool
request_log_admit(struct request_log *self, const char *tenant, int status,
                  int64_t now_ms)
{
    enum kind kind = status == 401 || status == 429 ? FLOOD : FAILURE;
    if (self->rate == 0)
        return false;
    int64_t each_ms = MINUTE_MS / self->rate * (kind == FLOOD ? FLOOD_PART : 1);
    struct request_tenant *found = find_tenant(self, tenant);
    int64_t due_ms = found && found->due_ms[kind] > now_ms ? found->due_ms[kind] : now_ms;
    if (!found || due_ms + each_ms - now_ms > MINUTE_MS) {
        count(&self->counts->dropped);
        return false;
    }
    found->due_ms[kind] = due_ms + each_ms;
    return true;
}

void
request_log_put(struct request_log *self, const char *tenant, struct om_buf *record,
                int64_t now_ms)
{
    struct request_tenant *found = find_tenant(self, tenant);
    bool room = found && !record->failed && record->size < MESSAGE_MAX &&
                self->bytes + record->size <= REQUEST_LOG_BYTES &&
                found->bytes + record->size <= REQUEST_LOG_SHARE;
    struct request_entry *entry = room ? calloc(1, sizeof(*entry)) : NULL;
    if (!entry) {
        count(&self->counts->dropped);
        om_buf_finish(record);
        return;
    }
    entry->tenant = found;
    entry->record = *record;
    entry->put_ms = now_ms;
    *record = (struct om_buf){ 0 };
    if (self->last)
        self->last->next = entry;
    else
        self->first = entry;
    self->last = entry;
    self->bytes += entry->record.size;
    found->bytes += entry->record.size;
}

// ---- sending

static void
on_kept(void *context, const struct om_answer *answer)
{
    struct request_log *self = context;
    size_t asked = self->asked;
    self->asked = 0;
    // What failed for now is sent again; the same request is kept once.
    if (answer->rc != OM_OK && om_rc_info(answer->rc)->retryable)
        return;
    for (; asked > 0; asked--) {
        count(answer->rc == OM_OK ? &self->counts->kept : &self->counts->dropped);
        pop(self);
    }
}

static void
forget_old(struct request_log *self, int64_t now_ms)
{
    while (self->first && now_ms - self->first->put_ms > MINUTE_MS) {
        count(&self->counts->dropped);
        pop(self);
    }
}

// Tenants that have all of their share again need not be remembered.
static void
forget_quiet(struct request_log *self, int64_t now_ms)
{
    struct request_tenant *tenant, *next;
    if (HASH_COUNT(self->tenants) <= TENANTS_SWEPT)
        return;
    HASH_ITER (hh, self->tenants, tenant, next) {
        if (tenant->bytes || tenant->due_ms[FAILURE] > now_ms ||
            tenant->due_ms[FLOOD] > now_ms)
            continue;
        HASH_DEL(self->tenants, tenant);
        free(tenant);
    }
}

void
request_log_flush(struct request_log *self, int64_t now_ms)
{
    struct wire_msg msg = { 0 };
    struct request_keep_request request = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf data = { 0 }, list = { 0 }, body = { 0 };
    size_t sent = 0;
    forget_quiet(self, now_ms);
    if (self->asked)
        return;
    forget_old(self, now_ms);
    for (struct request_entry *entry = self->first;
         entry && sent < REQUEST_PAGE_MAX &&
         data.size + entry->record.size <= MESSAGE_MAX;
         entry = entry->next, sent++)
        om_buf_put(&data, entry->record.data, entry->record.size);
    if (sent == 0)
        return;
    om_pack_array(&list, sent);
    om_buf_put(&list, data.data, data.size);
    REC_SET(&request, request_keep_request, data, om_buf_str(&list));
    rec_encode(ops[OP_request_keep].request, &request, &body);
    WIRE_SET(&msg, queue, om_str(queues[ops[OP_request_keep].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[OP_request_keep].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    if (!data.failed && !list.failed && !body.failed &&
        om_client_send(self->client, WIRE_CALL, &msg, om_buf_str(&body), CALL_MS, on_kept,
                       self))
        self->asked = sent;
}

bool
request_log_idle(const struct request_log *self)
{
    return !self->first;
}

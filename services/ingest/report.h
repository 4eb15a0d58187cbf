// report.h - what the edge reports: API calls counted for billing, and the audit of what
// was done. Gathered a tenant, published four times a second, and resent until the broker
// has them on disk; an event keeps its id, so it is applied once. One thread.
#pragma once
#include <uthash.h>

#include "client.h"

enum {
    REPORT_EVENTS_MAX = 48,       // of a message
    REPORT_BYTES_MAX = 10 * 1024, // of its events: they travel in the header
    REPORT_BATCHES_MAX = 4096,    // unpublished messages, then report_full()
};

struct report_tenant;
struct report_batch;

struct report {
    struct om_client *client;
    struct report_tenant *tenants;
    struct report_batch *batches;
    size_t batch_count;
};

void report_finish(struct report *self);

// Count one API call of a tenant.
void report_api_call(struct report *self, const char *tenant, uint8_t shard);

// Add an audit event; all strings are copied.
void report_audit(struct report *self, const char *tenant, uint8_t shard,
                  const struct audit_event *event);

// Write one audit event as the array of a PUBLISH, for an action that waits for it.
void report_encode(uint8_t shard, const struct audit_event *event, struct om_buf *out);

// Publish what was gathered, and again what was not answered.
void report_flush(struct report *self);

// Is too much waiting? Then what must be audited is to be refused.
bool report_full(const struct report *self);

// Is nothing waiting?
bool report_idle(const struct report *self);

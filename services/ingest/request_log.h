// request_log.h - requests that failed, on their way to compliance.
//
// Never in a request's way: one that cannot be kept is dropped and counted. A tenant has
// a share of what is kept in a minute and of the memory, so that one that fails a lot
// takes nothing from others; refusals that come in floods (no valid key, a limit) have a
// tenth of it. What compliance does not take within a minute is dropped. One thread.
#pragma once
#include <stdatomic.h>
#include <uthash.h>

#include "client.h"

enum {
    REQUEST_LOG_BYTES = 4 * 1024 * 1024,       // in memory of a thread
    REQUEST_LOG_SHARE = REQUEST_LOG_BYTES / 4, // of a tenant
    REQUEST_LOG_TENANTS = 4096,
};

// Of all threads.
struct request_counts {
    atomic_uint_fast64_t kept, dropped;
};

struct request_tenant;
struct request_entry;

struct request_log {
    struct om_client *client;
    struct request_counts *counts;
    int64_t rate; // a minute, of a tenant; 0: nothing is kept
    struct request_tenant *tenants;
    struct request_entry *first, *last;
    size_t bytes;
    size_t asked; // entries compliance was sent, from the first; 0: it is not asked
};

void request_log_init(struct request_log *self, struct om_client *client,
                      struct request_counts *counts, int64_t rate);
void request_log_finish(struct request_log *self);

// May one more request of the tenant be kept? Counts it as dropped if not.
bool request_log_admit(struct request_log *self, const char *tenant, int status,
                       int64_t now_ms);

// Keep one that was admitted, as a request_kept record. Empties `record`, or drops it.
void request_log_put(struct request_log *self, const char *tenant, struct om_buf *record,
                     int64_t now_ms);

// Send what there is, unless what was sent last is not answered yet.
void request_log_flush(struct request_log *self, int64_t now_ms);

// Is nothing waiting?
bool request_log_idle(const struct request_log *self);

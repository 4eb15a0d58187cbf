// failures.h - answers of 5xx, counted on their way to the groups of errors.
//
// Those that are alike are one event with their number and the newest of them, so that a
// flood costs no more than a few messages a second. Events are published tenant by
// tenant, one message at a time, and again until the broker has them; an event keeps its
// id, so it is counted once. Never in a request's way: what finds no room is dropped, and
// counted as that. One thread.
#pragma once
#include <stdatomic.h>
#include <uthash.h>

#include "client.h"
#include "error_record.h"
#include "fingerprint.h"

enum {
    FAILURES_MAX = 1024,     // kinds of failures that wait
    FAILURES_OF_TENANT = 64, // of them, of a tenant; then they are its last one
};

// Of all threads.
struct failure_counts {
    atomic_uint_fast64_t told, dropped;
};

struct failure_entry;
struct failure_tenant;

struct failures {
    struct om_client *client;
    struct failure_counts *counts;
    struct failure_entry *entries;
    struct failure_tenant *tenants;
    // What is being published: a msgpack array of events. Empty: nothing is.
    struct om_buf events;
    char tenant[48];
    int64_t asked_count; // errors in it
    bool asked;          // the broker was sent it, and has not answered yet
};

void failures_init(struct failures *self, struct om_client *client,
                   struct failure_counts *counts);
void failures_finish(struct failures *self);

// Count one of the tenant, whose shard that is. All strings are copied.
void failures_add(struct failures *self, const char *tenant, uint8_t shard,
                  const struct error_event *error, int64_t now_ms);

// Publish what there is, unless something is being published.
void failures_flush(struct failures *self);

// Is nothing waiting?
bool failures_idle(const struct failures *self);

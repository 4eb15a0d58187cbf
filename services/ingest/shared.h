// shared.h - what all edges share through Redis: counters, and values of the cache. One
// thread.
//
// Each edge counts for itself too (counters.h), and asks here after that. So without
// Redis, whether it is gone, slow or not configured, limits hold for each edge by itself:
// what is asked is then answered at once, or at the deadline, with OM_EUNAVAILABLE.
//
// A limit's window is kept as limiter.h keeps it, by the clock of Redis; each operation
// is one script, which checks all and then takes all. A request in flight is held for
// SHARED_LEASE_MS and has to be renewed, so that an edge that dies gives back what it
// held. Keys begin with "omni:", and the tenant is a part of each.
#pragma once
#include "counters.h"
#include "redis.h"

enum {
    SHARED_LEASE_MS = 60000,
    SHARED_RENEW_MS = 20000,
    SHARED_KEY_MAX = 256,
};

struct shared;

// `conf` and `hooks` as redis.h has them. NULL: no memory.
struct shared *shared_create(const struct redis_conf *conf, int64_t deadline_ms,
                             const struct redis_hooks *hooks);
void shared_destroy(struct shared **self_p);

struct redis *shared_redis(struct shared *self);

// OM_OK, OM_ERATE as of counters_take(), with the states; or OM_EUNAVAILABLE: nobody
// knows. `at_ms` is what shared_give() needs.
typedef void shared_taken_fn(void *context, enum om_rc rc,
                             const struct counter_state *states, int64_t at_ms);

// Take of all counters what is wanted, or nothing, for the request of that id. Returns a
// number for shared_forget(), or 0: not now; fn is not called then.
uint64_t shared_take(struct shared *self, const struct om_uuid *request,
                     const struct counter_want *wants, size_t count, shared_taken_fn *fn,
                     void *context);

// Give back what the request took at `at_ms`; 0 if that is not known, then only what is
// in flight.
void shared_give(struct shared *self, const struct om_uuid *request, int64_t at_ms,
                 const struct counter_want *wants, size_t count);

// The request is still in flight.
void shared_renew(struct shared *self, const struct om_uuid *request,
                  const struct counter_want *wants, size_t count);

void shared_forget(struct shared *self, uint64_t number);

// ---- values. Keys are up to SHARED_KEY_MAX bytes, within a tenant.

// `value` is absent: there is none, or nobody knows (rc).
typedef void shared_value_fn(void *context, enum om_rc rc, struct om_str value);

uint64_t shared_get(struct shared *self, const struct om_uuid *tenant, struct om_str key,
                    shared_value_fn *fn, void *context);

// Nobody hears whether these were done: a cache may lose.
void shared_set(struct shared *self, const struct om_uuid *tenant, struct om_str key,
                struct om_str value, int64_t ttl_ms);
void shared_delete(struct shared *self, const struct om_uuid *tenant, struct om_str key);

// limit.h - how many of a tenant's jobs may run at a time, and may start in a while.
//
// A limit stands on a tenant, on its part of a queue, or on a key its jobs name; all that
// apply must be open for a job to start. Concurrency counts leases, those of workers that
// are not connected too; a rate counts jobs sent, whatever became of them. Both are
// exact: a start is decided on only where it has a place, and is on disk before the job
// is sent, so a restart neither forgets a lease nor opens a window anew.
//
// Who may not start waits at one limit, out of the round, and costs nothing until that
// opens. A limit lives while something is set for it or a share or flow stands under it;
// a key is a limit as long as jobs name it.
#pragma once
#include "commit.h"
#include "fair.h"
#include "rate.h"

enum {
    LIMIT_KEYS_MAX = 10000,  // of a tenant: live, or with something set
    LIMIT_QUEUES_MAX = 1000, // of a tenant: with something set
};

// What is set; 0 or false: nothing.
struct setting {
    int64_t weight, concurrency, rate, rate_ms;
    bool paused;
    int64_t purge_seq; // as in change_setting
};

// Those of one tenant.
struct limit_tenant {
    struct om_uuid id;
    struct limit *limits;
    size_t counts[SETTING_KEY + 1]; // limits of each scope
    UT_hash_handle hh;
};

struct limit {
    struct limit_tenant *tenant;
    size_t refs;           // shares, flows, and changes under way
    struct setting wanted; // as asked for last
    struct setting now;    // as it is on disk: this one counts
    int64_t running;
    struct rate rate;
    struct limit_wait *waits;
    struct timer timer;     // when the rate opens
    struct timer purge;     // the next step of one under way
    struct change_slot row; // its CHANGE_START of the newest batch
    bool watched;           // in the core's list of windows
    struct limit *watched_prev, *watched_next;
    UT_hash_handle hh;
    size_t key_size;
    char key[]; // the scope as a byte, then the name
};

struct lease;

static inline enum setting_scope
limit_scope(const struct limit *self)
{
    return (enum setting_scope)self->key[0];
}

static inline struct om_str
limit_name(const struct limit *self)
{
    return (struct om_str){ self->key + 1, self->key_size - 1 };
}

// The limit, with one more reference; made if it is new.
struct limit *limit_get(struct core *self, const struct om_uuid *tenant,
                        enum setting_scope scope, struct om_str name);
void limit_unref(struct core *self, struct limit **limit_p);

// NULL if it does not live.
struct limit *limit_find(const struct core *self, const struct om_uuid *tenant,
                         enum setting_scope scope, struct om_str name);
struct limit_tenant *limit_tenant_find(const struct core *self,
                                       const struct om_uuid *tenant);

// May the tenant have this limit, or has it that already?
bool limit_fits(const struct core *self, const struct om_uuid *tenant,
                enum setting_scope scope, struct om_str name);

// Is nothing set, and no purge under way?
bool setting_is_empty(const struct setting *setting);

// What was wanted is on disk: it counts from now on.
void limit_apply(struct core *self, struct limit *limit, const struct setting *setting);

// ---- who stands under limits

// A share or a flow that is new joins its limits, one that goes leaves them.
void limit_join_share(struct core *self, struct share *share);
void limit_leave_share(struct core *self, struct share *share);
void limit_join_flow(struct core *self, struct flow *flow);
void limit_leave_flow(struct core *self, struct flow *flow);

// A fair_gate: a flow, or its share, that may not start a job waits for the limit.
bool limit_gate(struct core *self, struct flow *flow);

// ---- leases

// A start was decided on: it takes its places.
void limit_take(struct lease *lease);

// Must the start be durable before the job is sent? How many changes does it need?
bool limit_binds(const struct lease *lease);
size_t limit_starts(const struct lease *lease);

// Add them to the group begun last, which has room for them.
void limit_add_starts(struct core *self, struct lease *lease);

void limit_sent(struct core *self, struct lease *lease);

// The lease is over.
void limit_end(struct core *self, struct lease *lease);

// A lease found in the store.
void limit_restore(struct lease *lease);

// ---- life

void limit_destroy_all(struct core *self);

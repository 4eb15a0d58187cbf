// quotas.h - what requests take of their tenants' quotas: of blocks that all threads of
// the process spend, or, where it must be exact, of a lease of the request's own.
//
//   in blocks     calls and predictions of a tenant that pays afterwards: no message a
//                 request. A request that finds no block waits until billing has
//                 answered, at most QUOTA_PARK_MS.
//   by request    storage, trained models, and everything of a tenant that pays before it
//                 uses: a lease of exactly what is needed, settled with what was used.
//
// When billing does not answer, what is in blocks is spent, and then the answer is 503:
// nothing is served that billing has not granted. Tenants without a limit do not notice.
// With OMNI_QUOTA_HOLD_MS one that pays afterwards is served on trust for so long after
// the first question of its quota that had no answer, unless that was used up; all of it
// is metered, and counts once billing is back.
//
// A refusal takes nothing: what the request had taken goes back. Test keys take no quota.
//
// struct quotas is shared by the threads, a bucket of tenants at a time; struct
// quota_desk is a thread's own.
#pragma once
#include "client.h"
#include "quota_table.h"
#include "timers.h"

struct edge;
struct exchange;
struct quotas;

// NULL: no memory.
struct quotas *quotas_create(int64_t hold_ms);
void quotas_destroy(struct quotas **self_p);

// Limits changed, as billing tells: the blocks of the tenants it names, or of all, are
// given back, and it is asked anew. By each thread that hears it, the first does it.
void quotas_apply(struct edge *edge, const struct plan_changes_reply *reply);

// A thread's part.
struct quota_ask;
struct quota_desk {
    int wake_fd;                // another thread's question was answered
    size_t settling;            // that billing has not answered
    struct quota_ask *asks;     // that billing has not answered
    struct exchange *parked;    // requests that wait for a block
    struct om_timer park_timer; // for the first of them
};

// False: no descriptor or memory. quota_desk_finish() it either way, after its client.
bool quota_desk_init(struct edge *edge);
void quota_desk_finish(struct edge *edge);

// At the end of a turn of the loop; at each tick; when stopping: give everything back,
// and say when billing has answered that.
void quota_desk_wake(struct edge *edge);
void quota_desk_tick(struct edge *edge);
void quota_desk_drain(struct edge *edge);
bool quota_desk_idle(const struct edge *edge);

// Take of a block of spot's tenant, as quota_table_take(). QUOTA_WAIT: quota_use.c parks
// the request.
enum quota_verdict quotas_take(struct edge *edge, struct quota_spot *spot,
                               const char *plan, int64_t amount);
void quotas_put_back(struct edge *edge, const struct quota_spot *spot, int64_t amount);

// Have the request wait until another one's or its own question is answered, or
// QUOTA_PARK_MS are over; and no longer. quota_look() is called then, for all that wait.
void quota_park(struct exchange *x);
void quota_unpark(struct exchange *x);
void quota_look(struct edge *edge);

// May what billing did not answer for so short a time be served without it?
bool quotas_trust(const struct quotas *self, const struct quota_spot *spot);

// quota_table_is_free() and quota_table_set_free().
bool quotas_are_free(struct edge *edge, struct quota_spot *spot, const char *plan,
                     bool ever);
void quotas_set_free(struct edge *edge, const struct quota_spot *spot);

// Billing has answered.
void quotas_heard(struct quotas *self);

// Settle a lease. `object` may be absent.
void quotas_settle(struct edge *edge, const struct om_uuid *tenant, const char *name,
                   int64_t used, struct om_str object);

// What a request has taken.
struct quota_use {
    unsigned wanted;    // QUOTA_BITs of the route that are still to be taken
    unsigned later;     // those that are taken by quota_rest()
    unsigned in_blocks; // taken from blocks
    int64_t resets_wall_ms[QUOTA_COUNT]; // of the window a block is of
    struct {
        char name[QUOTA_NAME_MAX + 1]; // "": none
        int64_t granted;
    } leases[QUOTA_COUNT];
    int64_t amount;   // of storage
    enum quota asked; // which lease it waits for
    unsigned epoch;   // of that quota then
    bool parked, admitted;
    int64_t park_until_ms;
    void (*go_on)(struct exchange *x);
    struct exchange *prev, *next; // of the parked ones
};

// Take what the request's route takes of the caller's quotas. True: it has it. False: it
// waits, and `go_on` is called once it has it; or it was refused, and has been replied
// to.
OM_MUST_CHECK bool quota_admit(struct exchange *x, void (*go_on)(struct exchange *x));

// The same for what it takes only when no cache has its answer.
OM_MUST_CHECK bool quota_rest(struct exchange *x, void (*go_on)(struct exchange *x));

// The same for `bytes` of storage, of an upload whose size is known only at its end.
OM_MUST_CHECK bool quota_store(struct exchange *x, int64_t bytes,
                               void (*go_on)(struct exchange *x));

// The request is over: settle, and put back what was not used. `status` is that of the
// reply, or 0 if there was none.
void quota_finish(struct exchange *x, int status);

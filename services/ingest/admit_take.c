// What requests take of the counters: those of this edge first, which say at once, then
// those all edges share. What either refuses is given back to the other.
#include <utlist.h>

#include "admit.h"
#include "clock.h"

const struct plan *
admit_plan(const struct exchange *x)
{
    const struct policy *policy = x->caller.policy;
    return plans_find(&x->edge->plans, policy ? policy->plan : "");
}

static void
count_one(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

// ---- both counters

static void
give(struct exchange *x, int64_t at_ms, int64_t shared_ms,
     const struct counter_want *wants, size_t count)
{
    counters_give(x->edge->ingest->counters, at_ms, wants, count);
    if (x->ticket->shared && x->edge->shared)
        shared_give(x->edge->shared, &x->id, shared_ms, wants, count);
}

// Of what this edge has counted and what all have: the less that is left.
static void
merge(struct counter_state *states, const struct counter_state *others, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (others[i].remaining < states[i].remaining)
            states[i] = others[i];
}

static void
on_shared(void *context, enum om_rc rc, const struct counter_state *states, int64_t at_ms)
{
    struct exchange *x = context;
    struct ticket *ticket = x->ticket;
    bool first = ticket->more_wants == ticket->wants;
    ticket->asked = 0;
    if (rc == OM_ERATE) {
        counters_give(x->edge->ingest->counters, ticket->more_ms, ticket->more_wants,
                      ticket->more);
        if (first)
            ticket->count = 0;
        else
            admit_revoke(x);
        admission_judge(rc, ticket->more_wants, states, ticket->more, &ticket->limits);
        admit_refuse(x, ADMISSION_RATE);
        return;
    }
    if (rc == OM_OK) {
        if (first)
            ticket->shared_ms = at_ms;
        merge(ticket->more_states, states, ticket->more);
        admission_judge(rc, ticket->more_wants, ticket->more_states, ticket->more,
                        &ticket->limits);
    } else
        count_one(&x->edge->ingest->unshared);
    ticket->go_on(x); // without an answer this edge's counters decide
}

// Ask the shared counters, if there are any and they answer. False: there is no need.
static bool
ask_shared(struct exchange *x, const struct counter_state *states,
           void (*go_on)(struct exchange *x))
{
    struct ticket *ticket = x->ticket;
    if (!x->edge->shared)
        return false;
    ticket->asked = shared_take(x->edge->shared, &x->id, ticket->more_wants, ticket->more,
                                on_shared, x);
    if (!ticket->asked) {
        count_one(&x->edge->ingest->unshared);
        return false;
    }
    size_t size = ticket->more * sizeof(*states);
    ticket->more_states = om_arena_alloc(&x->arena, size);
    memcpy(ticket->more_states, states, size);
    ticket->go_on = go_on;
    ticket->shared = true;
    return true;
}

// Take of this edge's counters.
static enum admission
take(struct exchange *x, const struct counter_want *wants, size_t count,
     struct counter_state *states)
{
    struct ticket *ticket = x->ticket;
    enum om_rc rc = counters_take(x->edge->ingest->counters, om_clock_mono_ms(), wants,
                                  count, states, &ticket->more_ms);
    enum admission what = admission_judge(rc, wants, states, count, &ticket->limits);
    if (what != ADMISSION_ADMITTED)
        return what;
    ticket->more = count;
    ticket->more_wants = om_arena_alloc(&x->arena, count * sizeof(*wants));
    memcpy(ticket->more_wants, wants, count * sizeof(*wants));
    return what;
}

// ---- what is taken when

bool
admit_request(struct exchange *x, const struct admission_facts *facts,
              void (*go_on)(struct exchange *x))
{
    struct counter_want wants[COUNTERS_WANTS_MAX];
    struct counter_state states[COUNTERS_WANTS_MAX];
    size_t count = admission_wants(facts, wants);
    if (count == 0)
        return true;
    struct ticket *ticket = x->ticket = om_arena_alloc(&x->arena, sizeof(*ticket));
    enum admission what = take(x, wants, count, states);
    if (what != ADMISSION_ADMITTED) {
        admit_refuse(x, what);
        return false;
    }
    ticket->wants = ticket->more_wants;
    ticket->count = ticket->more;
    ticket->at_ms = ticket->more_ms;
    if (!ask_shared(x, states, go_on))
        return true;
    om_http_pause(x->edge->loop, x->handle);
    return false;
}

bool
admit_tokens(struct exchange *x, int64_t tokens, void (*go_on)(struct exchange *x))
{
    struct counter_want wants[COUNTERS_WANTS_MAX];
    struct counter_state states[COUNTERS_WANTS_MAX];
    if (!x->ticket)
        return true;
    size_t count = admission_token_wants(&x->caller, admit_plan(x), tokens, wants);
    if (count == 0)
        return true;
    enum admission what = take(x, wants, count, states);
    if (what == ADMISSION_ADMITTED)
        return !ask_shared(x, states, go_on);
    admit_revoke(x);
    admit_refuse(x, what);
    return false;
}

// ---- what is given back

static void
stop_asking(struct exchange *x)
{
    struct ticket *ticket = x->ticket;
    if (ticket->asked && x->edge->shared)
        shared_forget(x->edge->shared, ticket->asked);
    ticket->asked = 0;
}

void
admit_revoke(struct exchange *x)
{
    struct ticket *ticket = x->ticket;
    if (!ticket)
        return;
    stop_asking(x);
    give(x, ticket->at_ms, ticket->shared_ms, ticket->wants, ticket->count);
    ticket->count = 0;
}

// Those in flight, which are the last.
static size_t
first_in_flight(const struct ticket *ticket)
{
    size_t first = 0;
    while (first < ticket->count && ticket->wants[first].key.kind != COUNTER_CONCURRENT)
        first++;
    return first;
}

void
admit_end(struct exchange *x)
{
    struct ticket *ticket = x->ticket;
    if (!ticket)
        return;
    stop_asking(x);
    size_t first = first_in_flight(ticket);
    give(x, ticket->at_ms, 0, ticket->wants + first, ticket->count - first);
    x->ticket = NULL;
}

void
admit_renew(struct edge *edge)
{
    struct exchange *x;
    int64_t old_us = om_clock_mono_us() - INT64_C(1000) * SHARED_RENEW_MS;
    if (!edge->shared)
        return;
    DL_FOREACH (edge->busy, x) {
        if (!x->ticket || !x->ticket->shared || x->started_us > old_us)
            continue;
        size_t first = first_in_flight(x->ticket);
        shared_renew(edge->shared, &x->id, x->ticket->wants + first,
                     x->ticket->count - first);
    }
}

void
admit_fields(struct exchange *x, struct om_http_response *response)
{
    if (x->ticket)
        admission_fields(&x->ticket->limits, x->ticket->text, response);
}

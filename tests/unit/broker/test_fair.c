#include <criterion/criterion.h>

#include "fair.h"
#include "queue.h"

// Two tenants in one band of a platform queue.
struct round {
    struct core *core;
    struct queue_state *queue;
    struct share *shares[2];
    struct flow *flows[2];
};

static void
round_init(struct round *self)
{
    struct core_conf conf = core_conf_default();
    self->core = core_create(&conf);
    self->queue = queue_get(self->core, NULL, OM_LIT("omni.training"));
    cr_assert(self->queue);
    for (uint8_t i = 0; i < 2; i++) {
        struct om_uuid tenant = { { i, [15] = i } };
        self->shares[i] = share_get(self->core, self->queue, &tenant);
        self->flows[i] = flow_get(self->shares[i], 5, (struct om_str){ 0 });
    }
}

static void
round_finish(struct round *self)
{
    for (size_t i = 0; i < 2; i++) {
        for (struct item *item; (item = self->flows[i]->items);) {
            fair_remove(item);
            free(item);
        }
        flow_unref(self->core, &self->flows[i]);
        share_unref(self->core, &self->shares[i]);
    }
    core_destroy(&self->core);
}

static void
push(struct flow *flow, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct item *item = calloc(1, sizeof(*item));
        cr_assert(item);
        fair_push(flow, item);
    }
}

// How many of the next `count` picks are the tenant's; each stays in flight.
static size_t
picked(struct round *self, size_t tenant, size_t count, fair_gate *gate)
{
    size_t waited = self->flows[tenant]->count;
    for (size_t i = 0; i < count; i++)
        free(fair_pick(self->core, &self->queue->jobs[5], gate));
    return waited - self->flows[tenant]->count;
}

Test(fair, gives_tenants_of_one_weight_turns_in_turn)
{
    struct round round;
    round_init(&round);
    push(round.flows[0], 100);
    push(round.flows[1], 10);
    cr_expect_eq(picked(&round, 1, 20, NULL), 10);
    round_finish(&round);
}

Test(fair, gives_a_tenant_as_many_turns_as_its_weight)
{
    struct round round;
    round_init(&round);
    share_set_weight(round.shares[0], 9);
    push(round.flows[0], 1000);
    push(round.flows[1], 1000);
    cr_expect_eq(picked(&round, 0, 100, NULL), 90);
    round_finish(&round);
}

Test(fair, keeps_a_weight_within_its_bounds)
{
    struct round round;
    round_init(&round);
    share_set_weight(round.shares[0], 0);
    cr_expect_eq(round.shares[0]->weight, 1);
    share_set_weight(round.shares[0], INT64_C(1) << 40);
    cr_expect_eq(round.shares[0]->weight, WEIGHT_MAX);
    round_finish(&round);
}

Test(fair, lets_a_tenant_that_holds_many_workers_wait_longer)
{
    struct round round;
    round_init(&round);
    push(round.flows[0], 100);
    push(round.flows[1], 100);
    round.shares[0]->in_flight = 9; // each costs ten turns
    cr_expect_eq(picked(&round, 0, 22, NULL), 2);
    round_finish(&round);
}

Test(fair, serves_the_limit_keys_of_a_tenant_in_turn)
{
    struct round round;
    round_init(&round);
    struct flow *keyed = flow_get(round.shares[0], 5, OM_LIT("key"));
    push(round.flows[0], 100);
    push(keyed, 3);
    picked(&round, 0, 6, NULL);
    cr_expect_eq(keyed->count, 0);
    cr_expect_eq(round.flows[0]->count, 97);
    flow_unref(round.core, &keyed);
    round_finish(&round);
}

Test(fair, passes_a_blocked_flow_over_until_it_is_unblocked)
{
    struct round round;
    round_init(&round);
    push(round.flows[0], 2);
    flow_block(round.flows[0], BLOCK_LIMIT);
    flow_block(round.flows[0], BLOCK_LOAD);
    cr_expect_null(fair_pick(round.core, &round.queue->jobs[5], NULL));
    flow_unblock(round.core, round.flows[0], BLOCK_LIMIT);
    cr_expect_null(fair_pick(round.core, &round.queue->jobs[5], NULL));
    flow_unblock(round.core, round.flows[0], BLOCK_LOAD);
    cr_expect(round.queue->dirty);
    cr_expect_eq(picked(&round, 0, 2, NULL), 2);
    round_finish(&round);
}

Test(fair, passes_all_jobs_of_a_blocked_share_over)
{
    struct round round;
    round_init(&round);
    push(round.flows[0], 2);
    share_block(round.shares[0], BLOCK_PAUSE);
    push(round.flows[1], 1);
    cr_expect_eq(picked(&round, 1, 1, NULL), 1);
    cr_expect_null(fair_pick(round.core, &round.queue->jobs[5], NULL));
    struct flow *late = flow_get(round.shares[0], 3, (struct om_str){ 0 });
    push(late, 1); // waits behind the same pause
    cr_expect_null(fair_pick(round.core, &round.queue->jobs[3], NULL));
    share_unblock(round.core, round.shares[0], BLOCK_PAUSE);
    free(fair_pick(round.core, &round.queue->jobs[3], NULL));
    cr_expect_eq(late->count, 0);
    flow_unref(round.core, &late);
    cr_expect_eq(picked(&round, 0, 2, NULL), 2);
    round_finish(&round);
}

Test(fair, calls_are_served_while_jobs_are_paused)
{
    struct round round;
    round_init(&round);
    share_block(round.shares[0], BLOCK_PAUSE);
    push(&round.shares[0]->calls, 1);
    struct item *call = fair_pick(round.core, &round.queue->calls, NULL);
    cr_expect(call);
    free(call);
    round_finish(&round);
}

static bool
block_the_first(struct core *self, struct flow *flow)
{
    (void)self;
    if (flow->turn->share->tenant.bytes[0] != 0)
        return true;
    flow_block(flow, BLOCK_LIMIT);
    return false;
}

Test(fair, asks_the_gate_once_of_a_flow_it_blocks)
{
    struct round round;
    round_init(&round);
    push(round.flows[0], 5);
    push(round.flows[1], 5);
    cr_expect_eq(picked(&round, 1, 5, block_the_first), 5);
    cr_expect_null(fair_pick(round.core, &round.queue->jobs[5], block_the_first));
    cr_expect_eq(round.flows[0]->count, 5);
    round_finish(&round);
}

#include "fair.h"
#include "limit.h"
#include "queue.h"
#include "spill.h"
#include "stats.h"

enum { COST_CAP = 16 };

// ---- shares and flows

static void
turn_init(struct turn *turn, struct share *share, struct band *band)
{
    turn->share = share;
    turn->band = band;
}

struct share *
share_find(const struct queue_state *queue, const struct om_uuid *tenant)
{
    struct share *share = NULL;
    HASH_FIND(hh, queue->shares, tenant, sizeof(*tenant), share);
    return share;
}

struct share *
share_get(struct core *self, struct queue_state *queue, const struct om_uuid *tenant)
{
    struct share *share = share_find(queue, tenant);
    if (!share) {
        share = core_alloc(sizeof(*share));
        share->tenant = *tenant;
        share->queue = queue;
        share->weight = 1;
        turn_init(&share->call_turn, share, &queue->calls);
        share->calls.turn = &share->call_turn;
        turn_init(&share->long_turn, share, &queue->long_calls);
        share->long_calls.turn = &share->long_turn;
        HASH_ADD(hh, queue->shares, tenant, sizeof(*tenant), share);
        queue->refs++;
        limit_join_share(self, share);
    }
    share->refs++;
    return share;
}

void
share_unref(struct core *self, struct share **share_p)
{
    struct share *share = *share_p;
    *share_p = NULL;
    if (--share->refs > 0)
        return;
    struct queue_state *queue = share->queue;
    HASH_DEL(queue->shares, share);
    limit_leave_share(self, share);
    stats_leave(self, share);
    for (size_t i = 0; i < BANDS; i++)
        free(share->jobs[i]);
    free(share);
    queue->refs--;
    queue_tidy(self, queue);
}

void
share_set_weight(struct share *share, int64_t weight)
{
    share->weight = weight < 1 ? 1 : weight > WEIGHT_MAX ? WEIGHT_MAX : (int)weight;
}

struct flow *
flow_get(struct share *share, uint8_t band, struct om_str limit_key)
{
    struct turn *turn = share->jobs[band];
    if (!turn) {
        turn = share->jobs[band] = core_alloc(sizeof(*turn));
        turn_init(turn, share, &share->queue->jobs[band]);
    }
    struct flow *flow = NULL;
    const char *key = limit_key.data ? limit_key.data : "";
    HASH_FIND(hh, turn->flows, key, limit_key.size, flow);
    if (!flow) {
        flow = core_alloc(sizeof(*flow));
        flow->turn = turn;
        flow->key = (struct om_str){ core_strdup((struct om_str){ key, limit_key.size }),
                                     limit_key.size };
        HASH_ADD_KEYPTR(hh, turn->flows, flow->key.data, flow->key.size, flow);
        share->refs++;
    }
    flow->refs++;
    return flow;
}

void
flow_unref(struct core *self, struct flow **flow_p)
{
    struct flow *flow = *flow_p;
    *flow_p = NULL;
    if (--flow->refs > 0)
        return;
    struct turn *turn = flow->turn;
    struct share *share = turn->share;
    HASH_DEL(turn->flows, flow);
    limit_leave_flow(self, flow);
    spill_forget(self, flow);
    free((char *)flow->key.data);
    free(flow);
    share_unref(self, &share);
}

// ---- the round

static bool
turn_is_job(const struct turn *turn)
{
    return turn != &turn->share->call_turn && turn != &turn->share->long_turn;
}

// Put the turn in its band's ring, or take it out, as it must be now.
static void
turn_update(struct turn *turn)
{
    bool blocked = turn->share->blocked && turn_is_job(turn);
    bool in_ring = turn->ring && !blocked;
    if (in_ring == turn->in_ring)
        return;
    turn->in_ring = in_ring;
    if (in_ring) {
        DL_APPEND(turn->band->ring, turn);
        return;
    }
    DL_DELETE(turn->band->ring, turn);
    if (!blocked)
        turn->deficit = 0; // nothing is saved up while nothing waits
}

void
flow_update(struct flow *flow)
{
    bool is_awaited = !flow->items && flow->asked > 0;
    flow->turn->band->awaited += (size_t)is_awaited - flow->is_awaited;
    flow->is_awaited = is_awaited;
    bool in_ring = (flow->items || flow->spilled.count) && !flow->blocked;
    if (in_ring == flow->in_ring)
        return;
    flow->in_ring = in_ring;
    if (in_ring)
        DL_APPEND(flow->turn->ring, flow);
    else
        DL_DELETE(flow->turn->ring, flow);
    turn_update(flow->turn);
}

void
flow_block(struct flow *flow, enum block why)
{
    flow->blocked |= why;
    flow_update(flow);
}

void
flow_unblock(struct core *self, struct flow *flow, enum block why)
{
    flow->blocked &= ~(unsigned)why;
    flow_update(flow);
    queue_touch(self, flow->turn->share->queue);
}

static void
share_update(struct share *share)
{
    for (size_t i = 0; i < BANDS; i++)
        if (share->jobs[i])
            turn_update(share->jobs[i]);
}

void
share_block(struct share *share, enum block why)
{
    share->blocked |= why;
    share_update(share);
}

void
share_unblock(struct core *self, struct share *share, enum block why)
{
    share->blocked &= ~(unsigned)why;
    share_update(share);
    queue_touch(self, share->queue);
}

void
fair_push(struct flow *flow, struct item *item)
{
    DL_APPEND(flow->items, item);
    flow->count++;
    item->flow = flow;
    flow_update(flow);
}

void
fair_remove(struct item *item)
{
    struct flow *flow = item->flow;
    if (!flow)
        return;
    item->flow = NULL;
    DL_DELETE(flow->items, item);
    flow->count--;
    flow_update(flow);
}

static int
cost(const struct share *share)
{
    size_t held = share->in_flight / (size_t)share->weight;
    return held < COST_CAP ? 1 + (int)held : COST_CAP;
}

// Take the first item of the flow, whose turn it is; the tenant's next flow follows.
static struct item *
take(struct flow *flow)
{
    struct turn *turn = flow->turn;
    struct item *item = flow->items;
    DL_DELETE(turn->ring, flow);
    DL_APPEND(turn->ring, flow);
    fair_remove(item);
    return item;
}

struct item *
fair_pick(struct core *self, struct band *band, fair_gate *gate)
{
    struct turn *turn;
    while ((turn = band->ring)) {
        bool alone = !turn->next;
        int price = cost(turn->share);
        if (!alone && turn->deficit < price) {
            turn->deficit += turn->share->weight;
            DL_DELETE(band->ring, turn);
            DL_APPEND(band->ring, turn);
            continue;
        }
        struct flow *flow = turn->ring;
        if (gate && !gate(self, flow))
            continue;
        turn->deficit = alone ? 0 : turn->deficit - price;
        return take(flow);
    }
    return NULL;
}

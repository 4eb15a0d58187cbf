#include "fair.h"

enum { WEIGHT = 1, COST_CAP = 16 };

void
fair_push(struct flow *flow, struct item *item)
{
    if (!flow->items)
        DL_APPEND(flow->band->ring, flow);
    DL_APPEND(flow->items, item);
    item->flow = flow;
}

void
fair_remove(struct item *item)
{
    struct flow *flow = item->flow;
    if (!flow)
        return;
    item->flow = NULL;
    DL_DELETE(flow->items, item);
    if (flow->items)
        return;
    DL_DELETE(flow->band->ring, flow);
    flow->deficit = 0;
}

static int
cost(const struct flow *flow)
{
    size_t in_flight = flow->share->in_flight;
    return in_flight < COST_CAP ? 1 + (int)in_flight : COST_CAP;
}

struct item *
fair_pick(struct band *band)
{
    struct flow *flow;
    while ((flow = band->ring)) {
        bool alone = !flow->next;
        if (alone || flow->deficit >= cost(flow)) {
            flow->deficit = alone ? 0 : flow->deficit - cost(flow);
            struct item *item = flow->items;
            fair_remove(item);
            return item;
        }
        flow->deficit += WEIGHT;
        DL_DELETE(band->ring, flow);
        DL_APPEND(band->ring, flow);
    }
    return NULL;
}

// fair.h - whose turn it is: deficit round robin over the tenants of a band.
//
// Shreedhar and Varghese, "Efficient fair queueing using deficit round robin" (1995). The
// cost of an item is 1 and what its tenant has in flight in the queue, up to a cap, so a
// tenant that already holds many workers waits longer for the next.
#pragma once
#include "inner.h"

// Put an item at the end of a flow.
void fair_push(struct flow *flow, struct item *item);

// Take an item out of its flow; nothing happens if it is in none.
void fair_remove(struct item *item);

// Take out the item whose turn it is; NULL if nothing waits.
struct item *fair_pick(struct band *band);

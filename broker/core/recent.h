// recent.h - leases that ended by their worker's word: all whose end is not durable yet,
// and the last of the others. The word said again gets DONE_ACK again, and is not taken
// for one of a lease that nobody knows, upon which a worker discards its result.
#pragma once
#include "core.h"

enum { RECENT_MAX = 16384 }; // more only while so many are not durable

struct recent {
    struct wire_token token;
    core_conn conn; // who said it last
    bool durable;
};

// A ring in the order of adding, and, by open addressing, the places in it: all that a
// search touches is small. Zeroed: empty.
struct recents {
    struct recent *ring;
    struct recent_slot *slots;
    size_t count, next, capacity;
};

// Add a lease, which is not among them. The oldest goes when they are too many, once its
// end is durable.
void recents_add(struct recents *self, const struct wire_token *token, core_conn conn);

// Borrowed until the next is added; NULL if it is not there.
struct recent *recents_find(const struct recents *self, const struct wire_token *token);

void recents_finish(struct recents *self);

// recent.h - leases that ended by their worker's word, the last of them: the word said
// again gets DONE_ACK again.
#pragma once
#include "core.h"

enum { RECENT_MAX = 16384 };

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
    size_t count, next;
};

// Add a lease, which is not among them. The oldest goes when they are too many.
void recents_add(struct recents *self, const struct wire_token *token, core_conn conn);

// Borrowed until the next is added; NULL if it is not there.
struct recent *recents_find(const struct recents *self, const struct wire_token *token);

void recents_finish(struct recents *self);

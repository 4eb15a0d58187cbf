// bundle.h - several small messages to or from one peer, in one of ZeroMQ's.
//
// Each message of ZeroMQ's costs its threads more than ours cost us. A BUNDLE's header is
// always the same bytes; its payload is one msgpack bin after the other, the header and
// the payload of each message in turn, an empty bin for no payload. The messages count as
// if they had come one by one, in their order. A bundle holds no bundle.
#pragma once
#include "wire.h"

enum {
    BUNDLE_BYTES = 32 * 1024,   // of a payload that we make; others' may be larger
    BUNDLE_MESSAGES_MAX = 1024, // in one bundle
    BUNDLE_SMALL = 4 * 1024,    // a larger message travels alone
};

// What is to be sent in one go. Its memory is had once, so that adding cannot fail.
struct bundle {
    struct om_buf bytes;
    size_t count;
};

// False without memory; bundle_finish() is due in any case.
OM_MUST_CHECK bool bundle_init(struct bundle *self);
void bundle_finish(struct bundle *self);

// Make it empty.
void bundle_reset(struct bundle *self);

// Is the message small enough for a bundle, and is there room for a small one's bytes?
bool bundle_is_small(struct om_str header, struct om_str payload);
bool bundle_has_room(const struct bundle *self, struct om_str header,
                     struct om_str payload);

// Add a small message that there is room for. A payload of no bytes is none.
void bundle_add(struct bundle *self, struct om_str header, struct om_str payload);

// The header of every bundle, and whether a received one is it.
struct om_str bundle_header(void);
bool bundle_is(struct om_str header);

// A walk over a bundle's payload; an absent one is empty.
struct bundle_iter {
    struct om_str rest;
    size_t count; // of messages read
};

struct bundle_iter bundle_iter(struct om_str payload);

// Read the next message; its payload has no bytes if it has none. False at the end, and
// at what is no message of a bundle: then rest.size != 0. What came before that is good.
bool bundle_next(struct bundle_iter *iter, struct om_str *header, struct om_str *payload);

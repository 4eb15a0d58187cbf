// keys.h - whose API keys the edge knows: a bounded cache by the keys' SHA-256. One
// thread.
#pragma once
#include <uthash.h>

#include "caller.h"

enum {
    KEYS_MAX = 10000,
    KEY_HASH = 32,
    KEY_TEXT_MIN = 32, // characters behind the mark, as identity makes keys
    KEY_TEXT_MAX = 128,
};

//  what a key begins with: a live one, and one of a sandbox
#define KEY_MARK_LIST(X) X("omni_live_") X("omni_test_")

struct key_entry {
    uint8_t hash[KEY_HASH];
    struct caller caller;
    bool used;  // since the last report
    bool stale; // something about it changed: ask again
    UT_hash_handle hh;
};

struct key_cache {
    struct key_entry *entries; // oldest first
    int64_t seq;               // of the last change of identity's feed that was applied
};

void keys_finish(struct key_cache *self);

// Take the key out of "Bearer omni_live_…" and hash it. False: there is none that could
// be one of ours.
bool keys_read(struct om_str authorization, uint8_t hash[KEY_HASH]);

// The caller, whose key is used now. NULL: not known, ask identity.
const struct caller *keys_find(struct key_cache *self, const uint8_t hash[KEY_HASH]);

// Was the key good when it was asked about last? Then to ask again is no guess.
bool keys_knew(const struct key_cache *self, const uint8_t hash[KEY_HASH]);

// It does not hold any more.
void keys_drop(struct key_cache *self, const uint8_t hash[KEY_HASH]);

// Remember a caller, whose policy is held; the oldest is forgotten when there are too
// many. `asked_seq` is the cache's seq when identity was asked: an answer that a change
// may have overtaken is not remembered.
void keys_put(struct key_cache *self, const uint8_t hash[KEY_HASH],
              const struct caller *caller, int64_t asked_seq);

// Apply a page of the feed of changes: forget of each key that changed, and of all keys
// of a tenant that did, what they may do. True: there are more.
bool keys_apply(struct key_cache *self, const struct key_changes_reply *reply);

// Write the ids of the keys that were used since they were last written, as an array of
// at most `max`; returns how many. A key that is forgotten before is not told of.
size_t keys_take_used(struct key_cache *self, size_t max, struct om_buf *out);

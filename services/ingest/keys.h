// keys.h - whose API keys the edge knows: a bounded cache by the keys' SHA-256. One
// thread.
#pragma once
#include <uthash.h>

#include "ops.h"

enum {
    KEYS_MAX = 10000,
    KEY_HASH = 32,
    KEY_TEXT_MIN = 32, // characters behind the mark, as identity makes keys
    KEY_TEXT_MAX = 128,
};

#define KEY_MARK "omni_live_"

// Who makes a request.
struct caller {
    char tenant_text[OM_TYPEID_MAX], key[49];
    struct om_uuid tenant;
    uint64_t scopes;    // SCOPE_BITs
    int64_t expires_ms; // wall clock; INT64_MAX for never
};

struct key_entry {
    uint8_t hash[KEY_HASH];
    struct caller caller;
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

// NULL: not known, ask identity.
const struct caller *keys_find(const struct key_cache *self,
                               const uint8_t hash[KEY_HASH]);

// Read identity's answer. False: it is not one.
bool keys_decode(const struct key_resolve_reply *reply, struct caller *out);

// Remember a caller; the oldest is forgotten when there are too many.
void keys_put(struct key_cache *self, const uint8_t hash[KEY_HASH],
              const struct caller *caller);

// Apply a page of the feed of changes: forget each key that changed. True: there are
// more.
bool keys_apply(struct key_cache *self, const struct key_changes_reply *reply);

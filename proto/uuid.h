// uuid.h - ids: UUIDv7 in memory and storage, TypeID text ("task_01h455…") outside.
//
// A tenant's shard is the last byte of its UUID. Every id made for a tenant carries that
// byte as its own last byte, so an id alone finds its shard.
#pragma once
#include "rc.h"

struct om_uuid {
    uint8_t bytes[16];
};

enum {
    OM_SHARD_COUNT = 256,
    OM_TYPEID_PREFIX_MAX = 16,
    OM_TYPEID_MAX = OM_TYPEID_PREFIX_MAX + 1 + 26 + 1, // with the final zero
};

// The prefixes in use. A new kind of object takes a new row; a prefix is never reused.
#define OM_ID_TASK     "task"
#define OM_ID_TENANT   "ten"
#define OM_ID_KEY      "key"
#define OM_ID_USER     "user"
#define OM_ID_TEAM     "team"
#define OM_ID_BINDING  "bind"
#define OM_ID_FILE     "file"
#define OM_ID_MODEL    "model"
#define OM_ID_REQUEST  "req"
#define OM_ID_EVENT    "evt"
#define OM_ID_SCHEDULE "sched"
#define OM_ID_BLOB     "blob"
#define OM_ID_ERROR    "err"

// The UUIDv7 (RFC 9562) of `unix_ms` whose last byte is `shard`. `entropy` gives the
// random bits; the caller brings them, so that this stays a pure function.
struct om_uuid om_uuid_make(int64_t unix_ms, const uint8_t entropy[10], uint8_t shard);

// The time in a UUIDv7, milliseconds since 1970.
int64_t om_uuid_time_ms(const struct om_uuid *id);

static inline uint8_t
om_uuid_shard(const struct om_uuid *id)
{
    return id->bytes[15];
}

static inline bool
om_uuid_eq(const struct om_uuid *a, const struct om_uuid *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool om_uuid_is_zero(const struct om_uuid *id);

// Write `prefix`_`id` as TypeID text (Crockford base32, lower case) with a final zero.
// Returns its length. `prefix` is one of OM_ID_*.
size_t om_typeid_encode(const char *prefix, const struct om_uuid *id,
                        char out[OM_TYPEID_MAX]);

// Read TypeID text that must have `prefix`. OM_EINVAL if it is anything else.
OM_MUST_CHECK enum om_rc om_typeid_decode(const char *prefix, struct om_str text,
                                          struct om_uuid *out);

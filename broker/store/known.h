// known.h - what the journal holds and the tables do not yet: tasks by their id and keys,
// and which tasks ended. One thread.
//
// Entries are found by a keyed hash of 64 bits, and forgotten in the order they came. The
// change an entry points to is borrowed and must live as long.
#pragma once
#include "change.h"

struct known;

// NULL when there is no memory. `seed` is random.
struct known *known_create(uint64_t seed);
void known_destroy(struct known **self_p);

// Hashes of the names an entry has.
uint64_t known_hash_id(const struct known *self, const struct om_uuid *id);
uint64_t known_hash_key(const struct known *self, enum known_by by,
                        const struct om_uuid *tenant, struct om_str key);
uint64_t known_hash_seq(const struct known *self, int64_t seq); // of RESULT and REOPEN

// Add a change of record `number`. False when there is no memory.
OM_MUST_CHECK bool known_add(struct known *self, uint64_t hash, int64_t number,
                             struct om_str change);

// The newest change with this hash, for which `matches` says true; else data is NULL.
typedef bool known_matches(const void *context, struct om_str change);
struct om_str known_find(const struct known *self, uint64_t hash, known_matches *matches,
                         const void *context);

// Have the memory that known_find() will touch fetched meanwhile.
void known_expect(const struct known *self, uint64_t hash);

// Forget what came with records up to `number`; or from `number` on.
void known_forget(struct known *self, int64_t number);
void known_take_back(struct known *self, int64_t number);

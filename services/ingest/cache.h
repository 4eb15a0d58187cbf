// cache.h - answers kept in memory, for all threads of the edge.
//
// An answer belongs to a tenant, and is found by the tenant and a key; both stand in it
// and are compared, so that no key gives another tenant's answer, whatever it hashes to.
// An answer never changes. Who has one holds it until cache_release(), also when it is
// purged or pushed out meanwhile.
//
// Memory is bounded: each of a few buckets, which keys choose by chance, has its part of
// the bytes and a lock. When it is full, it forgets what was used longest ago of a tenant
// that has more than a quarter of it, or, if none has, of all: so a tenant may have all
// that nobody else wants, and no tenant can push out what others have. A purge is
// certain: what was asked for before it, and comes after it, is not kept (cache_mark).
//
// Times are ms of the wall clock, or of the clock of the tenant's sandbox. Any thread.
#pragma once
#include "rc.h"
#include "uuid.h"

enum {
    CACHE_KEY = 32,
    CACHE_TAGS = 2,
    CACHE_ANSWER_MAX = 256 * 1024,
    // A clock that says an answer is made later than now by more than this was set back.
    CACHE_SLACK_MS = 5000,
};

struct cache_id {
    struct om_uuid tenant;
    uint8_t key[CACHE_KEY];
};

struct cache_answer {
    struct cache_id id;
    uint64_t tags[CACHE_TAGS]; // of cache_tag(); 0: none
    int64_t made_ms, expires_ms;
    int64_t check_ms; // it holds until then, unless it is put again; INT64_MAX
    int64_t tokens;   // what it counts for in limits
    struct om_str body;
};

struct cache;

// At most `bytes`; of 0 nothing is kept. NULL: no memory.
struct cache *cache_create(size_t bytes);
void cache_destroy(struct cache **self_p);

// What a purge can name.
uint64_t cache_tag(struct om_str name);

// The answer, or NULL: there is none that holds at `now_ms`. By an alias too.
const struct cache_answer *cache_get(struct cache *self, const struct cache_id *id,
                                     int64_t now_ms);
void cache_release(const struct cache_answer **answer_p);

// How often the tenant's answers were purged. To be read before an answer is asked for,
// and given to cache_put() with it.
uint64_t cache_mark(struct cache *self, const struct om_uuid *tenant);

// Keep a copy, in place of what is there. One that is too large, or was asked for before
// a purge, is not kept.
void cache_put(struct cache *self, uint64_t mark, const struct cache_answer *answer);

// Have `alias` find the answer of the same tenant that `answer` is.
void cache_put_alias(struct cache *self, const uint8_t alias[CACHE_KEY],
                     const struct cache_answer *answer);

// Forget the tenant's answers: all, those with the tag unless it is 0, and of these the
// one of the key unless it is NULL. Returns how many there were.
size_t cache_purge(struct cache *self, const struct om_uuid *tenant, uint64_t tag,
                   const uint8_t *key);

struct cache_counts {
    size_t answers, bytes;
    uint64_t pushed_out;
};

struct cache_counts cache_count(struct cache *self);

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <utlist.h>

#include "cache.h"
#include "hash.h"

#include <uthash.h>

enum {
    BUCKETS = 16,
    MARKS = 256,
    HEAP_BYTES = 16, // what malloc adds
    BYTES_A_HEAD = 1024,
    HEADS_MIN = 16,
    HEADS_MAX = 1 << 16,
    SHARE = 4, // of who has more than this part of a full bucket the oldest goes
};

struct slot;

// What a tenant has in a bucket.
struct owner {
    struct om_uuid tenant;
    size_t bytes;
    struct slot *slots; // by last use, the newest first
    UT_hash_handle hh;
};

// An answer, or an alias: the body of that is a key.
struct slot {
    struct cache_answer answer;
    bool alias;
    atomic_uint holders;      // the table is one
    struct slot *same;        // of the same hash
    struct slot *prev, *next; // by last use, the newest first
    struct owner *owner;
    struct slot *own_prev, *own_next; // of that owner's
    char body[];
};

struct bucket {
    pthread_mutex_t lock;
    struct slot **heads, *slots;
    struct owner *owners, *much; // one of those that have more than their share
    size_t bytes, answers;
    uint64_t pushed_out;
} __attribute__((aligned(64)));

struct cache {
    size_t bytes, heads;               // of a bucket; heads is a power of two
    atomic_uint_fast64_t marks[MARKS]; // by tenant
    struct bucket buckets[BUCKETS];
};

struct cache *
cache_create(size_t bytes)
{
    struct cache *self = aligned_alloc(64, sizeof(*self));
    if (!self)
        return NULL;
    memset(self, 0, sizeof(*self));
    self->bytes = bytes / BUCKETS;
    for (self->heads = HEADS_MIN;
         self->heads < self->bytes / BYTES_A_HEAD && self->heads < HEADS_MAX;)
        self->heads *= 2;
    for (size_t i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&self->buckets[i].lock, NULL);
        self->buckets[i].heads = calloc(self->heads, sizeof(struct slot *));
        if (!self->buckets[i].heads) {
            cache_destroy(&self);
            return NULL;
        }
    }
    return self;
}

uint64_t
cache_tag(struct om_str name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (uint8_t)name.data[i]) * UINT64_C(0x100000001b3);
    return name.size ? hash | 1 : 0;
}

// ---- the table of a bucket

static struct bucket *
bucket_of(struct cache *self, const struct cache_id *id)
{
    return &self->buckets[id->key[0] % BUCKETS];
}

static struct slot **
head_of(const struct cache *self, struct bucket *bucket, const struct cache_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->key + 1, sizeof(hash));
    return &bucket->heads[(hash ^ id->tenant.bytes[15]) & (self->heads - 1)];
}

static bool
is_of(const struct slot *slot, const struct cache_id *id)
{
    return memcmp(&slot->answer.id, id, sizeof(*id)) == 0;
}

static size_t
bytes_of(const struct slot *slot)
{
    return sizeof(*slot) + slot->answer.body.size + HEAP_BYTES;
}

static void
let_go(struct slot *slot)
{
    if (atomic_fetch_sub(&slot->holders, 1) == 1)
        free(slot);
}

static struct owner *
find_owner(struct bucket *bucket, const struct om_uuid *tenant)
{
    struct owner *owner;
    HASH_FIND(hh, bucket->owners, tenant, sizeof(*tenant), owner);
    return owner;
}

// NULL: no memory.
static struct owner *
need_owner(struct bucket *bucket, const struct om_uuid *tenant)
{
    struct owner *owner = find_owner(bucket, tenant);
    if (owner || !(owner = calloc(1, sizeof(*owner))))
        return owner;
    owner->tenant = *tenant;
    HASH_ADD(hh, bucket->owners, tenant, sizeof(owner->tenant), owner);
    return owner;
}

// What it has has changed.
static void
weigh(const struct cache *self, struct bucket *bucket, struct owner *owner)
{
    if (owner->bytes > self->bytes / SHARE) {
        bucket->much = owner;
    } else if (bucket->much == owner) {
        struct owner *at = bucket->owners;
        while (at && at->bytes <= self->bytes / SHARE)
            at = at->hh.next;
        bucket->much = at;
    }
}

static void
own(const struct cache *self, struct bucket *bucket, struct slot *slot)
{
    struct owner *owner = slot->owner;
    DL_PREPEND2(owner->slots, slot, own_prev, own_next);
    owner->bytes += bytes_of(slot);
    weigh(self, bucket, owner);
}

// Take it from its owner, who is forgotten with the last one.
static void
disown(const struct cache *self, struct bucket *bucket, struct slot *slot)
{
    struct owner *owner = slot->owner;
    DL_DELETE2(owner->slots, slot, own_prev, own_next);
    owner->bytes -= bytes_of(slot);
    weigh(self, bucket, owner);
    if (owner->slots)
        return;
    HASH_DEL(bucket->owners, owner);
    free(owner);
}

static void
take_out(const struct cache *self, struct bucket *bucket, struct slot *slot)
{
    struct slot **link = head_of(self, bucket, &slot->answer.id);
    while (*link != slot)
        link = &(*link)->same;
    *link = slot->same;
    DL_DELETE(bucket->slots, slot);
    disown(self, bucket, slot);
    bucket->bytes -= bytes_of(slot);
    bucket->answers -= !slot->alias;
    let_go(slot);
}

static struct slot *
find(const struct cache *self, struct bucket *bucket, const struct cache_id *id)
{
    struct slot *slot = *head_of(self, bucket, id);
    while (slot && !is_of(slot, id))
        slot = slot->same;
    return slot;
}

// What has to go for the slot of a tenant: the oldest of its own, if it would have more
// than its share, or of who has, or of all.
static struct slot *
choose_oldest(const struct cache *self, struct bucket *bucket, const struct slot *slot)
{
    const struct owner *owner = find_owner(bucket, &slot->answer.id.tenant);
    if (!owner || owner->bytes + bytes_of(slot) <= self->bytes / SHARE)
        owner = bucket->much;
    return owner ? owner->slots->own_prev : bucket->slots->prev;
}

static void
put_in(const struct cache *self, struct bucket *bucket, struct slot *slot)
{
    struct slot **head = head_of(self, bucket, &slot->answer.id);
    struct slot *old = find(self, bucket, &slot->answer.id);
    if (old)
        take_out(self, bucket, old);
    while (bucket->bytes + bytes_of(slot) > self->bytes) {
        old = choose_oldest(self, bucket, slot);
        bucket->pushed_out += !old->alias;
        take_out(self, bucket, old);
    }
    slot->owner = need_owner(bucket, &slot->answer.id.tenant);
    if (!slot->owner) {
        let_go(slot);
        return;
    }
    slot->same = *head;
    *head = slot;
    DL_PREPEND(bucket->slots, slot);
    own(self, bucket, slot);
    bucket->bytes += bytes_of(slot);
    bucket->answers += !slot->alias;
}

void
cache_destroy(struct cache **self_p)
{
    struct cache *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &self->buckets[i];
        while (bucket->slots)
            take_out(self, bucket, bucket->slots);
        free(bucket->heads);
        pthread_mutex_destroy(&bucket->lock);
    }
    free(self);
}

// ---- getting

static bool
holds(const struct cache_answer *answer, int64_t now_ms)
{
    return now_ms < answer->expires_ms && now_ms < answer->check_ms &&
           now_ms >= answer->made_ms - CACHE_SLACK_MS;
}

static void
touch(struct bucket *bucket, struct slot *slot)
{
    if (slot == bucket->slots)
        return;
    DL_DELETE(bucket->slots, slot);
    DL_PREPEND(bucket->slots, slot);
    DL_DELETE2(slot->owner->slots, slot, own_prev, own_next);
    DL_PREPEND2(slot->owner->slots, slot, own_prev, own_next);
}

// The slot, held by the caller too.
static struct slot *
look(struct cache *self, const struct cache_id *id, int64_t now_ms)
{
    struct bucket *bucket = bucket_of(self, id);
    pthread_mutex_lock(&bucket->lock);
    struct slot *slot = find(self, bucket, id);
    if (slot && holds(&slot->answer, now_ms)) {
        atomic_fetch_add(&slot->holders, 1);
        touch(bucket, slot);
    } else if (slot) {
        take_out(self, bucket, slot);
        slot = NULL;
    }
    pthread_mutex_unlock(&bucket->lock);
    return slot;
}

const struct cache_answer *
cache_get(struct cache *self, const struct cache_id *id, int64_t now_ms)
{
    struct slot *slot = look(self, id, now_ms);
    if (slot && slot->alias) {
        struct cache_id target = { .tenant = id->tenant };
        memcpy(target.key, slot->body, CACHE_KEY);
        let_go(slot);
        slot = look(self, &target, now_ms);
        assert(!slot || !slot->alias);
    }
    return slot ? &slot->answer : NULL;
}

void
cache_release(const struct cache_answer **answer_p)
{
    const struct cache_answer *answer = *answer_p;
    *answer_p = NULL;
    if (answer) // the first member of its slot
        let_go((struct slot *)(uintptr_t)answer);
}

// ---- putting

static atomic_uint_fast64_t *
mark_of(struct cache *self, const struct om_uuid *tenant)
{
    return &self->marks[om_hash(tenant, sizeof(*tenant)) % MARKS];
}

uint64_t
cache_mark(struct cache *self, const struct om_uuid *tenant)
{
    return atomic_load(mark_of(self, tenant));
}

static struct slot *
make(const struct cache *self, const struct cache_answer *answer, struct om_str body)
{
    if (body.size > CACHE_ANSWER_MAX ||
        sizeof(struct slot) + body.size + HEAP_BYTES > self->bytes)
        return NULL;
    struct slot *slot = malloc(sizeof(*slot) + body.size);
    if (!slot)
        return NULL;
    *slot = (struct slot){ .answer = *answer };
    atomic_init(&slot->holders, 1);
    memcpy(slot->body, body.data, body.size);
    slot->answer.body = (struct om_str){ slot->body, body.size };
    return slot;
}

// The mark is compared under the lock: a purge raises it, and then goes through the
// bucket, so it finds what was put before, and nothing older is put after.
static void
put(struct cache *self, const uint64_t *mark, struct slot *slot)
{
    struct bucket *bucket = bucket_of(self, &slot->answer.id);
    pthread_mutex_lock(&bucket->lock);
    bool stale = mark && *mark != cache_mark(self, &slot->answer.id.tenant);
    if (!stale)
        put_in(self, bucket, slot);
    pthread_mutex_unlock(&bucket->lock);
    if (stale)
        let_go(slot);
}

void
cache_put(struct cache *self, uint64_t mark, const struct cache_answer *answer)
{
    struct slot *slot = make(self, answer, answer->body);
    if (slot)
        put(self, &mark, slot);
}

void
cache_put_alias(struct cache *self, const uint8_t alias[CACHE_KEY],
                const struct cache_answer *answer)
{
    struct om_str body = { (const char *)answer->id.key, CACHE_KEY };
    struct slot *slot = make(self, answer, body);
    if (!slot)
        return;
    slot->alias = true;
    slot->answer.check_ms = INT64_MAX;
    memcpy(slot->answer.id.key, alias, CACHE_KEY);
    put(self, NULL, slot);
}

// ---- purging

static bool
is_meant(const struct slot *slot, const struct om_uuid *tenant, uint64_t tag,
         const uint8_t *key)
{
    bool tagged = tag == 0;
    for (size_t i = 0; i < CACHE_TAGS; i++)
        tagged |= slot->answer.tags[i] == tag;
    return tagged && om_uuid_eq(&slot->answer.id.tenant, tenant) &&
           (!key || memcmp(slot->answer.id.key, key, CACHE_KEY) == 0);
}

size_t
cache_purge(struct cache *self, const struct om_uuid *tenant, uint64_t tag,
            const uint8_t *key)
{
    size_t count = 0;
    atomic_fetch_add(mark_of(self, tenant), 1);
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &self->buckets[i];
        struct slot *slot, *next;
        pthread_mutex_lock(&bucket->lock);
        DL_FOREACH_SAFE (bucket->slots, slot, next) {
            if (!is_meant(slot, tenant, tag, key))
                continue;
            count += !slot->alias;
            take_out(self, bucket, slot);
        }
        pthread_mutex_unlock(&bucket->lock);
    }
    return count;
}

struct cache_counts
cache_count(struct cache *self)
{
    struct cache_counts counts = { 0 };
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &self->buckets[i];
        pthread_mutex_lock(&bucket->lock);
        counts.answers += bucket->answers;
        counts.bytes += bucket->bytes;
        counts.pushed_out += bucket->pushed_out;
        pthread_mutex_unlock(&bucket->lock);
    }
    return counts;
}

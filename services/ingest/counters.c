#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "counters.h"
#include "hash.h"
#include "limiter.h"

enum {
    BUCKETS = 16,
    NONE = 0,
    // When one in flight ends nobody knows: ask again then.
    HELD_WAIT_MS = 1000,
    SLOTS_MIN = 2 * COUNTERS_WANTS_MAX,
};

// Slots are numbered from 1, so that memory of zeros is a table with nothing in it.
struct slot {
    struct counter_key key;
    uint32_t next;         // of the same hash
    uint32_t newer, older; // by last use
    int64_t held;          // of COUNTER_CONCURRENT
    struct limiter limiter;
};

struct bucket {
    pthread_mutex_t lock;
    struct slot *slots;
    uint32_t *heads; // first slot of a hash
    uint32_t used, newest, oldest;
} __attribute__((aligned(64)));

struct counters {
    uint32_t slots, heads; // of a bucket; heads is a power of two
    struct bucket buckets[BUCKETS];
};

struct counters *
counters_create(size_t max)
{
    struct counters *self = aligned_alloc(64, sizeof(*self));
    if (!self)
        return NULL;
    memset(self, 0, sizeof(*self));
    self->slots = (uint32_t)((max + BUCKETS - 1) / BUCKETS);
    if (self->slots < SLOTS_MIN)
        self->slots = SLOTS_MIN;
    for (self->heads = 1; self->heads < self->slots;)
        self->heads *= 2;
    for (size_t i = 0; i < BUCKETS; i++) {
        struct bucket *bucket = &self->buckets[i];
        pthread_mutex_init(&bucket->lock, NULL);
        bucket->slots = calloc(self->slots + 1, sizeof(*bucket->slots));
        bucket->heads = calloc(self->heads, sizeof(*bucket->heads));
        if (!bucket->slots || !bucket->heads)
            counters_destroy(&self);
        if (!self)
            return NULL;
    }
    return self;
}

void
counters_destroy(struct counters **self_p)
{
    struct counters *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (size_t i = 0; i < BUCKETS; i++) {
        free(self->buckets[i].slots);
        free(self->buckets[i].heads);
    }
    free(self);
}

// ---- the table of a bucket

static uint32_t *
head_of(const struct counters *self, struct bucket *bucket, const struct counter_key *key)
{
    return &bucket->heads[om_hash(key, sizeof(*key)) & (self->heads - 1)];
}

static struct slot *
find(const struct counters *self, struct bucket *bucket, const struct counter_key *key)
{
    uint32_t at = *head_of(self, bucket, key);
    while (at != NONE && memcmp(&bucket->slots[at].key, key, sizeof(*key)) != 0)
        at = bucket->slots[at].next;
    return at != NONE ? &bucket->slots[at] : NULL;
}

static void
link_newest(struct bucket *bucket, struct slot *slot)
{
    uint32_t at = (uint32_t)(slot - bucket->slots);
    slot->newer = NONE;
    slot->older = bucket->newest;
    *(bucket->newest ? &bucket->slots[bucket->newest].newer : &bucket->oldest) = at;
    bucket->newest = at;
}

static void
unlink_use(struct bucket *bucket, struct slot *slot)
{
    struct slot *slots = bucket->slots;
    *(slot->newer ? &slots[slot->newer].older : &bucket->newest) = slot->older;
    *(slot->older ? &slots[slot->older].newer : &bucket->oldest) = slot->newer;
}

static void
touch(struct bucket *bucket, struct slot *slot)
{
    if (!slot->newer)
        return;
    unlink_use(bucket, slot);
    link_newest(bucket, slot);
}

static bool
in_use(struct slot *slot, int64_t now_ms)
{
    if (slot->key.kind == COUNTER_CONCURRENT)
        return slot->held > 0;
    limiter_advance(&slot->limiter, now_ms);
    return slot->limiter.used > 0;
}

// Take the slot used longest ago out of the table. NULL: that one is in use. Those in
// flight that hold the end of the list up go to its front: each is passed once a walk.
static struct slot *
forget_oldest(const struct counters *self, struct bucket *bucket, int64_t now_ms)
{
    uint32_t passed = 0, at = bucket->oldest;
    while (in_use(&bucket->slots[at], now_ms)) {
        if (bucket->slots[at].key.kind != COUNTER_CONCURRENT || passed++ >= self->slots)
            return NULL;
        touch(bucket, &bucket->slots[at]);
        at = bucket->oldest;
    }
    struct slot *slot = &bucket->slots[at];
    uint32_t *link = head_of(self, bucket, &slot->key);
    while (*link != at)
        link = &bucket->slots[*link].next;
    *link = slot->next;
    unlink_use(bucket, slot);
    return slot;
}

static struct slot *
add(const struct counters *self, struct bucket *bucket, const struct counter_key *key,
    int64_t now_ms)
{
    struct slot *slot = bucket->used < self->slots ? &bucket->slots[++bucket->used]
                                                   : forget_oldest(self, bucket, now_ms);
    if (!slot)
        return NULL;
    uint32_t *head = head_of(self, bucket, key);
    slot->key = *key;
    slot->next = *head;
    slot->held = 0;
    slot->limiter.used = slot->limiter.newest_ms = slot->limiter.count = 0;
    *head = (uint32_t)(slot - bucket->slots);
    link_newest(bucket, slot);
    return slot;
}

// ---- all or nothing

// How a counter stands before anything is taken.
static struct counter_state
look(struct slot *slot, int64_t *now_ms, const struct counter_want *want)
{
    static const struct limiter unused;
    struct counter_state state = { 0 };
    int64_t used = 0;
    if (want->key.kind == COUNTER_CONCURRENT) {
        used = slot ? slot->held : 0;
        state.wait_ms = used + want->amount > want->limit ? HELD_WAIT_MS : 0;
    } else {
        const struct limiter *limiter = slot ? &slot->limiter : &unused;
        if (slot)
            *now_ms = limiter_advance(&slot->limiter, *now_ms);
        used = limiter->used;
        state.wait_ms = limiter_wait_ms(limiter, *now_ms, want->limit, want->amount);
        state.reset_ms = limiter_reset_ms(limiter, *now_ms);
    }
    state.remaining = used < want->limit ? want->limit - used : 0;
    return state;
}

static void
take(struct slot *slot, int64_t now_ms, const struct counter_want *want,
     struct counter_state *state)
{
    state->remaining -= want->amount;
    if (want->key.kind == COUNTER_CONCURRENT) {
        slot->held += want->amount;
        return;
    }
    limiter_take(&slot->limiter, now_ms, want->limit, want->amount);
    state->reset_ms = limiter_reset_ms(&slot->limiter, now_ms);
}

// Have a slot for each counter something is taken of. To make one may forget another that
// is not in use, so they are looked up again.
static bool
make_slots(const struct counters *self, struct bucket *bucket, int64_t now_ms,
           const struct counter_want *wants, size_t count, struct slot **slots)
{
    bool made = false;
    for (size_t i = 0; i < count; i++) {
        if (slots[i] || wants[i].amount == 0)
            continue;
        if (!add(self, bucket, &wants[i].key, now_ms))
            return false;
        made = true;
    }
    for (size_t i = 0; made && i < count; i++) {
        slots[i] = find(self, bucket, &wants[i].key);
        if (!slots[i] && wants[i].amount != 0)
            return false;
    }
    return true;
}

static enum om_rc
take_all(const struct counters *self, struct bucket *bucket, int64_t *now_ms,
         const struct counter_want *wants, size_t count, struct counter_state *states)
{
    struct slot *slots[COUNTERS_WANTS_MAX];
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        slots[i] = find(self, bucket, &wants[i].key);
        if (slots[i])
            touch(bucket, slots[i]);
        states[i] = look(slots[i], now_ms, &wants[i]);
        fits &= states[i].wait_ms == 0;
    }
    if (!fits)
        return OM_ERATE;
    if (!make_slots(self, bucket, *now_ms, wants, count, slots))
        return OM_EFULL;
    for (size_t i = 0; i < count; i++)
        if (wants[i].amount != 0)
            take(slots[i], *now_ms, &wants[i], &states[i]);
    return OM_OK;
}

static struct bucket *
bucket_of(struct counters *self, const struct om_uuid *tenant)
{
    return &self->buckets[om_hash(tenant, sizeof(*tenant)) % BUCKETS];
}

enum om_rc
counters_take(struct counters *self, int64_t now_ms, const struct counter_want *wants,
              size_t count, struct counter_state *states, int64_t *at_ms)
{
    *at_ms = now_ms;
    if (count == 0)
        return OM_OK;
    assert(count <= COUNTERS_WANTS_MAX);
    struct bucket *bucket = bucket_of(self, &wants[0].key.tenant);
    pthread_mutex_lock(&bucket->lock);
    enum om_rc rc = take_all(self, bucket, at_ms, wants, count, states);
    pthread_mutex_unlock(&bucket->lock);
    return rc;
}

void
counters_give(struct counters *self, int64_t at_ms, const struct counter_want *wants,
              size_t count)
{
    if (count == 0)
        return;
    struct bucket *bucket = bucket_of(self, &wants[0].key.tenant);
    pthread_mutex_lock(&bucket->lock);
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = find(self, bucket, &wants[i].key);
        if (slot && wants[i].key.kind == COUNTER_CONCURRENT)
            slot->held -= wants[i].amount;
        else if (slot)
            limiter_give(&slot->limiter, at_ms, wants[i].amount);
    }
    pthread_mutex_unlock(&bucket->lock);
}

size_t
counters_count(struct counters *self)
{
    size_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        pthread_mutex_lock(&self->buckets[i].lock);
        count += self->buckets[i].used;
        pthread_mutex_unlock(&self->buckets[i].lock);
    }
    return count;
}

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "quota_table.h"

enum { BUCKET_MAX = QUOTA_TENANTS_MAX / QUOTA_BUCKETS };

struct tenant {
    struct om_uuid id;
    char plan[33];
    struct quota_block *blocks[QUOTA_COUNT]; // NULL: nothing is known
    int64_t touched_ms;
    UT_hash_handle hh;
};

struct bucket {
    pthread_mutex_t lock;
    struct tenant *tenants;
};

struct quota_table {
    struct bucket buckets[QUOTA_BUCKETS];
};

struct quota_table *
quota_table_create(void)
{
    struct quota_table *self = calloc(1, sizeof(*self));
    for (int i = 0; self && i < QUOTA_BUCKETS; i++)
        pthread_mutex_init(&self->buckets[i].lock, NULL);
    return self;
}

static void
drop_tenant(struct bucket *bucket, struct tenant *tenant)
{
    HASH_DEL(bucket->tenants, tenant);
    for (int i = 0; i < QUOTA_COUNT; i++)
        free(tenant->blocks[i]);
    free(tenant);
}

void
quota_table_destroy(struct quota_table **self_p)
{
    struct quota_table *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (int i = 0; i < QUOTA_BUCKETS; i++) {
        while (self->buckets[i].tenants)
            drop_tenant(&self->buckets[i], self->buckets[i].tenants);
        pthread_mutex_destroy(&self->buckets[i].lock);
    }
    free(self);
}

static struct bucket *
lock_bucket(struct quota_table *self, const struct om_uuid *tenant)
{
    unsigned place = (unsigned)(tenant->bytes[13] ^ tenant->bytes[14]) % QUOTA_BUCKETS;
    struct bucket *bucket = &self->buckets[place];
    pthread_mutex_lock(&bucket->lock);
    return bucket;
}

static void
collect(struct quota_dues *dues, const struct om_uuid *tenant, struct quota_block *block)
{
    struct quota_grant grant;
    while (dues->count < QUOTA_DUES_MAX && quota_block_due(block, &grant)) {
        dues->items[dues->count].tenant = *tenant;
        dues->items[dues->count++].grant = grant;
    }
}

// What is held of a tenant is to be settled.
static void
forget(struct tenant *tenant, struct quota_dues *dues)
{
    for (int i = 0; i < QUOTA_COUNT; i++) {
        if (!tenant->blocks[i])
            continue;
        quota_block_forget(tenant->blocks[i]);
        collect(dues, &tenant->id, tenant->blocks[i]);
    }
}

// Make room by forgetting who has asked for nothing for the longest time.
static void
evict(struct bucket *bucket, struct quota_dues *dues)
{
    struct tenant *oldest = bucket->tenants;
    for (struct tenant *at = oldest; at; at = at->hh.next)
        if (at->touched_ms < oldest->touched_ms)
            oldest = at;
    forget(oldest, dues);
    drop_tenant(bucket, oldest);
}

static struct tenant *
find_tenant(struct bucket *bucket, const struct om_uuid *id)
{
    struct tenant *tenant = NULL;
    HASH_FIND(hh, bucket->tenants, id, sizeof(*id), tenant);
    return tenant;
}

// The block of a tenant that has this plan now; what is held under another is to be
// settled. NULL: no memory.
static struct quota_block *
need_block(struct bucket *bucket, const struct quota_spot *spot, const char *plan,
           int64_t now_ms, struct quota_dues *dues)
{
    struct tenant *tenant = find_tenant(bucket, &spot->tenant);
    if (!tenant) {
        if (HASH_COUNT(bucket->tenants) >= BUCKET_MAX)
            evict(bucket, dues);
        tenant = calloc(1, sizeof(*tenant));
        if (!tenant)
            return NULL;
        tenant->id = spot->tenant;
        HASH_ADD(hh, bucket->tenants, id, sizeof(tenant->id), tenant);
    }
    if (strcmp(tenant->plan, plan) != 0) {
        forget(tenant, dues);
        snprintf(tenant->plan, sizeof(tenant->plan), "%s", plan);
    }
    tenant->touched_ms = now_ms;
    if (!tenant->blocks[spot->quota])
        tenant->blocks[spot->quota] = calloc(1, sizeof(struct quota_block));
    return tenant->blocks[spot->quota];
}

enum quota_verdict
quota_table_take(struct quota_table *self, struct quota_spot *spot, const char *plan,
                 int64_t amount, int64_t now_ms, struct quota_dues *dues)
{
    enum quota_verdict verdict = QUOTA_SILENT;
    struct bucket *bucket = lock_bucket(self, &spot->tenant);
    struct quota_block *block = need_block(bucket, spot, plan, now_ms, dues);
    if (block) {
        verdict = quota_block_take(block, now_ms, amount);
        bool waits = verdict == QUOTA_WAIT || verdict == QUOTA_SILENT;
        if (!quota_block_ask(block, now_ms, waits, &spot->wanted))
            spot->wanted = 0;
        spot->epoch = block->epoch;
        spot->silent_ms = block->silent   ? block->silent_ms
                          : block->asking ? block->asked_ms
                                          : 0;
        spot->resets_wall_ms = block->resets_wall_ms;
        spot->limit = block->limit;
        collect(dues, &spot->tenant, block);
    }
    pthread_mutex_unlock(&bucket->lock);
    return verdict;
}

void
quota_table_put_back(struct quota_table *self, const struct quota_spot *spot,
                     int64_t amount)
{
    struct bucket *bucket = lock_bucket(self, &spot->tenant);
    struct tenant *tenant = find_tenant(bucket, &spot->tenant);
    if (tenant && tenant->blocks[spot->quota])
        quota_block_put_back(tenant->blocks[spot->quota], amount, spot->resets_wall_ms);
    pthread_mutex_unlock(&bucket->lock);
}

void
quota_table_set_free(struct quota_table *self, const struct quota_spot *spot,
                     int64_t now_ms)
{
    struct bucket *bucket = lock_bucket(self, &spot->tenant);
    struct tenant *tenant = find_tenant(bucket, &spot->tenant);
    struct quota_block *block = tenant ? tenant->blocks[spot->quota] : NULL;
    if (block && block->epoch == spot->epoch) {
        block->free = true;
        block->free_ms = now_ms;
    }
    pthread_mutex_unlock(&bucket->lock);
}

bool
quota_table_is_free(struct quota_table *self, struct quota_spot *spot, const char *plan,
                    int64_t now_ms, bool ever, struct quota_dues *dues)
{
    struct bucket *bucket = lock_bucket(self, &spot->tenant);
    struct quota_block *block = need_block(bucket, spot, plan, now_ms, dues);
    bool is_free =
        block && block->free && (ever || now_ms - block->free_ms < QUOTA_FREE_MS);
    if (block) {
        block->touched_ms = now_ms;
        spot->epoch = block->epoch;
        collect(dues, &spot->tenant, block);
    }
    pthread_mutex_unlock(&bucket->lock);
    return is_free;
}

bool
quota_table_answer(struct quota_table *self, const struct quota_spot *spot,
                   int64_t asked_ms, int64_t now_ms, const struct quota_answer *answer,
                   struct quota_dues *dues)
{
    struct bucket *bucket = lock_bucket(self, &spot->tenant);
    struct tenant *tenant = find_tenant(bucket, &spot->tenant);
    struct quota_block *block = tenant ? tenant->blocks[spot->quota] : NULL;
    if (block) {
        quota_block_answer(block, now_ms, spot->epoch, asked_ms, answer);
        collect(dues, &spot->tenant, block);
    }
    pthread_mutex_unlock(&bucket->lock);
    return block != NULL;
}

// ---- giving back

void
quota_table_forget(struct quota_table *self, const struct om_uuid *id,
                   struct quota_dues *dues)
{
    struct bucket *bucket = lock_bucket(self, id);
    struct tenant *tenant = find_tenant(bucket, id);
    if (tenant)
        forget(tenant, dues);
    pthread_mutex_unlock(&bucket->lock);
}

bool
quota_table_forget_all(struct quota_table *self, size_t place, struct quota_dues *dues)
{
    struct bucket *bucket = &self->buckets[place];
    pthread_mutex_lock(&bucket->lock);
    for (struct tenant *at = bucket->tenants; at; at = at->hh.next)
        if (dues->count <= QUOTA_DUES_MAX / 2)
            forget(at, dues);
    pthread_mutex_unlock(&bucket->lock);
    return dues->count > QUOTA_DUES_MAX / 2;
}

static void
rest_tenant(struct bucket *bucket, struct tenant *tenant, int64_t now_ms,
            struct quota_dues *dues)
{
    bool used = false;
    for (int i = 0; i < QUOTA_COUNT; i++) {
        struct quota_block *block = tenant->blocks[i];
        if (!block)
            continue;
        bool keep = quota_block_rest(block, now_ms);
        collect(dues, &tenant->id, block);
        used |= keep || block->due_count > 0;
    }
    if (!used)
        drop_tenant(bucket, tenant);
}

void
quota_table_rest(struct quota_table *self, size_t place, int64_t now_ms,
                 struct quota_dues *dues)
{
    struct tenant *at, *next;
    struct bucket *bucket = &self->buckets[place];
    pthread_mutex_lock(&bucket->lock);
    HASH_ITER (hh, bucket->tenants, at, next)
        if (dues->count <= QUOTA_DUES_MAX / 2)
            rest_tenant(bucket, at, now_ms, dues);
    pthread_mutex_unlock(&bucket->lock);
}

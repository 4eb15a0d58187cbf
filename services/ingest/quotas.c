#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "clock.h"
#include "exchange.h"
#include "id.h"
#include "log.h"

enum {
    BUCKETS = 64,
    BUCKET_MAX = QUOTA_TENANTS_MAX / BUCKETS,
    ASK_MS = 2000,
    SETTLE_MS = 10000,
    HEARD_LATELY_MS = 1000,
    DUES_MAX = 2 * QUOTA_COUNT * QUOTA_DUE_MAX, // of two tenants
};

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

struct quotas {
    int64_t hold_ms;
    atomic_int_fast64_t heard_ms; // when billing answered last, on the mono clock
    atomic_int_fast64_t version;  // of the limits, as billing counts
    struct {
        atomic_int fd; // 0: there is no such thread
        atomic_bool parked;
    } desks[INGEST_THREADS_MAX];
    struct bucket buckets[BUCKETS];
};

// Blocks to be settled once the bucket is unlocked.
struct dues {
    size_t count;
    struct {
        struct om_uuid tenant;
        struct quota_grant grant;
    } items[DUES_MAX];
};

// ---- the table

struct quotas *
quotas_create(int64_t hold_ms)
{
    struct quotas *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->hold_ms = hold_ms;
    atomic_store(&self->heard_ms, om_clock_mono_ms());
    for (int i = 0; i < BUCKETS; i++)
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
quotas_destroy(struct quotas **self_p)
{
    struct quotas *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (int i = 0; i < BUCKETS; i++) {
        while (self->buckets[i].tenants)
            drop_tenant(&self->buckets[i], self->buckets[i].tenants);
        pthread_mutex_destroy(&self->buckets[i].lock);
    }
    free(self);
}

static struct bucket *
lock_bucket(struct quotas *self, const struct om_uuid *tenant)
{
    unsigned place = (unsigned)(tenant->bytes[13] ^ tenant->bytes[14]) % BUCKETS;
    struct bucket *bucket = &self->buckets[place];
    pthread_mutex_lock(&bucket->lock);
    return bucket;
}

static void
collect(struct dues *dues, const struct om_uuid *tenant, struct quota_block *block)
{
    struct quota_grant grant;
    while (dues->count < DUES_MAX && quota_block_due(block, &grant)) {
        dues->items[dues->count].tenant = *tenant;
        dues->items[dues->count++].grant = grant;
    }
}

// What is held of a tenant is to be settled.
static void
forget(struct tenant *tenant, struct dues *dues)
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
evict(struct bucket *bucket, struct dues *dues)
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
need_block(struct bucket *bucket, const struct om_uuid *id, const char *plan,
           enum quota quota, struct dues *dues)
{
    struct tenant *tenant = find_tenant(bucket, id);
    if (!tenant) {
        if (HASH_COUNT(bucket->tenants) >= BUCKET_MAX)
            evict(bucket, dues);
        tenant = calloc(1, sizeof(*tenant));
        if (!tenant)
            return NULL;
        tenant->id = *id;
        HASH_ADD(hh, bucket->tenants, id, sizeof(tenant->id), tenant);
    }
    if (strcmp(tenant->plan, plan) != 0) {
        forget(tenant, dues);
        snprintf(tenant->plan, sizeof(tenant->plan), "%s", plan);
    }
    tenant->touched_ms = om_clock_mono_ms();
    if (!tenant->blocks[quota])
        tenant->blocks[quota] = calloc(1, sizeof(struct quota_block));
    return tenant->blocks[quota];
}

bool
quotas_hold(const struct quotas *self)
{
    return om_clock_mono_ms() - atomic_load(&self->heard_ms) < self->hold_ms;
}

void
quotas_heard(struct quotas *self)
{
    atomic_store(&self->heard_ms, om_clock_mono_ms());
}

// ---- messages

static bool
send_call(struct edge *edge, enum op op, const struct om_uuid *tenant, const char *id,
          const void *request, int64_t timeout_ms, om_answer_fn *fn, void *context)
{
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    om_typeid_encode(OM_ID_TENANT, tenant, text);
    rec_encode(ops[op].request, request, &body);
    WIRE_SET(&msg, tenant, om_str(text));
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, queue, om_str(queues[ops[op].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    return om_client_send(edge->client, WIRE_CALL, &msg, om_buf_str(&body), timeout_ms,
                          fn, context) != 0;
}

// One that is not settled expires.
static void
on_settled(void *context, const struct om_answer *answer)
{
    struct edge *edge = context;
    edge->quotas.settling--;
    if (answer->rc == OM_OK)
        quotas_heard(edge->ingest->quotas);
}

void
quotas_settle(struct edge *edge, const struct om_uuid *tenant, const char *name,
              int64_t used, struct om_str object)
{
    char id[OM_TYPEID_MAX];
    struct quota_settle_request request = { 0 };
    om_id_text(OM_ID_REQUEST, om_uuid_shard(tenant), id);
    REC_SET(&request, quota_settle_request, lease, om_str(name));
    REC_SET(&request, quota_settle_request, used, used);
    if (object.size > 0)
        REC_SET(&request, quota_settle_request, object, object);
    if (send_call(edge, OP_quota_settle, tenant, id, &request, SETTLE_MS, on_settled,
                  edge))
        edge->quotas.settling++;
}

static void
settle_all(struct edge *edge, const struct dues *dues)
{
    for (size_t i = 0; i < dues->count; i++)
        quotas_settle(edge, &dues->items[i].tenant, dues->items[i].grant.name,
                      dues->items[i].grant.spent, (struct om_str){ 0 });
}

// ---- asking for a block

struct quota_ask {
    struct edge *edge;
    struct om_uuid tenant;
    enum quota quota;
    unsigned epoch;
    int64_t asked_ms, asked_wall_ms;
    struct quota_ask *prev, *next;
};

static void
drop_ask(struct quota_ask *ask)
{
    DL_DELETE(ask->edge->quotas.asks, ask);
    free(ask);
}

// Have the threads whose requests wait look again.
static void
wake_desks(struct quotas *self)
{
    uint64_t one = 1;
    for (int i = 0; i < INGEST_THREADS_MAX; i++) {
        int fd = atomic_load(&self->desks[i].fd);
        if (fd > 0 && atomic_load(&self->desks[i].parked))
            (void)!write(fd, &one, sizeof(one));
    }
}

static bool
read_answer(const struct quota_ask *ask, const struct om_answer *message,
            struct quota_answer *out)
{
    struct quota_lease_reply reply;
    if (message->rc != OM_OK ||
        rec_decode(ops[OP_quota_lease].reply, message->payload, &reply, NULL) != OM_OK)
        return false;
    *out = (struct quota_answer){
        .granted = reply.granted,
        .lasts_ms = reply.expires_ms - ask->asked_wall_ms,
        .window_ms = INT64_MAX,
        .limited = REC_HAS(&reply, quota_lease_reply, limit),
        .limit = reply.limit,
        .leased = reply.leased > 0,
    };
    memcpy(out->name, reply.lease.data ? reply.lease.data : "", reply.lease.size);
    if (reply.resets_ms > 0) {
        out->resets_wall_ms = reply.resets_ms;
        out->window_ms = reply.resets_ms - ask->asked_wall_ms;
    }
    return true;
}

static void
on_lease(void *context, const struct om_answer *message)
{
    struct quota_ask *ask = context;
    struct edge *edge = ask->edge;
    struct quotas *self = edge->ingest->quotas;
    struct dues dues = { 0 };
    struct quota_answer answer;
    bool good = read_answer(ask, message, &answer);
    if (good)
        quotas_heard(self);
    struct bucket *bucket = lock_bucket(self, &ask->tenant);
    struct tenant *tenant = find_tenant(bucket, &ask->tenant);
    struct quota_block *block = tenant ? tenant->blocks[ask->quota] : NULL;
    if (block) {
        quota_block_answer(block, om_clock_mono_ms(), ask->epoch, ask->asked_ms,
                           good ? &answer : NULL);
        collect(&dues, &ask->tenant, block);
    }
    pthread_mutex_unlock(&bucket->lock);
    if (!block && good && answer.limited && answer.granted > 0)
        quotas_settle(edge, &ask->tenant, answer.name, 0, (struct om_str){ 0 });
    settle_all(edge, &dues);
    drop_ask(ask);
    wake_desks(self);
}

static void
send_ask(struct edge *edge, const struct om_uuid *tenant, const char *plan,
         enum quota quota, unsigned epoch, int64_t amount)
{
    char id[OM_TYPEID_MAX];
    struct quota_lease_request request = { 0 };
    struct quota_ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return; // it is asked again when this one should have been answered
    ask->edge = edge;
    ask->tenant = *tenant;
    ask->quota = quota;
    ask->epoch = epoch;
    ask->asked_ms = om_clock_mono_ms();
    ask->asked_wall_ms = om_clock_wall_ms();
    DL_APPEND(edge->quotas.asks, ask);
    om_id_text(OM_ID_REQUEST, om_uuid_shard(tenant), id);
    REC_SET(&request, quota_lease_request, policy, om_str(quota_infos[quota].name));
    REC_SET(&request, quota_lease_request, plan, om_str(plan));
    REC_SET(&request, quota_lease_request, amount, amount);
    REC_SET(&request, quota_lease_request, least, 1);
    if (!send_call(edge, OP_quota_lease, tenant, id, &request, ASK_MS, on_lease, ask))
        drop_ask(ask);
}

enum quota_verdict
quotas_take(struct edge *edge, const struct om_uuid *tenant, const char *plan,
            enum quota quota, int64_t amount, struct quota_state *state)
{
    struct dues dues;
    int64_t wanted = 0, now_ms = om_clock_mono_ms();
    unsigned epoch = 0;
    dues.count = 0;
    struct bucket *bucket = lock_bucket(edge->ingest->quotas, tenant);
    struct quota_block *block = need_block(bucket, tenant, plan, quota, &dues);
    enum quota_verdict verdict = QUOTA_SILENT;
    if (block) {
        verdict = quota_block_take(block, now_ms, amount);
        bool waits = verdict == QUOTA_WAIT || verdict == QUOTA_SILENT;
        if (!quota_block_ask(block, now_ms, waits, &wanted))
            wanted = 0;
        epoch = block->epoch;
        *state = (struct quota_state){ block->resets_wall_ms, block->limit };
        collect(&dues, tenant, block);
    }
    pthread_mutex_unlock(&bucket->lock);
    settle_all(edge, &dues);
    if (wanted > 0)
        send_ask(edge, tenant, plan, quota, epoch, wanted);
    return verdict;
}

void
quotas_put_back(struct edge *edge, const struct om_uuid *tenant, enum quota quota,
                int64_t amount, int64_t resets_wall_ms)
{
    struct bucket *bucket = lock_bucket(edge->ingest->quotas, tenant);
    struct tenant *found = find_tenant(bucket, tenant);
    if (found && found->blocks[quota])
        quota_block_put_back(found->blocks[quota], amount, resets_wall_ms);
    pthread_mutex_unlock(&bucket->lock);
}

// ---- giving back

// Some tenants at a time.
static void
forget_bucket(struct edge *edge, struct bucket *bucket)
{
    struct dues dues = { 0 };
    do {
        dues.count = 0;
        pthread_mutex_lock(&bucket->lock);
        for (struct tenant *at = bucket->tenants; at; at = at->hh.next)
            if (dues.count <= DUES_MAX / 2)
                forget(at, &dues);
        pthread_mutex_unlock(&bucket->lock);
        settle_all(edge, &dues);
    } while (dues.count > DUES_MAX / 2);
}

void
quota_desk_drain(struct edge *edge)
{
    for (int i = 0; i < BUCKETS; i++)
        forget_bucket(edge, &edge->ingest->quotas->buckets[i]);
}

static void
forget_tenant(struct edge *edge, struct om_str text)
{
    struct quotas *self = edge->ingest->quotas;
    struct dues dues = { 0 };
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_TENANT, text, &id) != OM_OK)
        return;
    struct bucket *bucket = lock_bucket(self, &id);
    struct tenant *tenant = find_tenant(bucket, &id);
    if (tenant)
        forget(tenant, &dues);
    pthread_mutex_unlock(&bucket->lock);
    settle_all(edge, &dues);
}

void
quotas_apply(struct edge *edge, const struct plan_changes_reply *reply)
{
    struct quotas *self = edge->ingest->quotas;
    int64_t known = atomic_load(&self->version);
    if (known == reply->version ||
        !atomic_compare_exchange_strong(&self->version, &known, reply->version))
        return;
    if (!REC_HAS(reply, plan_changes_reply, tenants)) {
        quota_desk_drain(edge);
        return;
    }
    struct rec_iter iter = rec_iter(reply->tenants);
    for (struct om_str text; rec_next_str(&iter, &text);)
        forget_tenant(edge, text);
}

// Blocks that nobody spends of are given back; a tenant that has none is forgotten.
static void
rest_tenant(struct bucket *bucket, struct tenant *tenant, struct dues *dues)
{
    bool used = false;
    for (int i = 0; i < QUOTA_COUNT; i++) {
        struct quota_block *block = tenant->blocks[i];
        if (!block)
            continue;
        bool keep = quota_block_rest(block, om_clock_mono_ms());
        collect(dues, &tenant->id, block);
        used |= keep || block->due_count > 0;
    }
    if (!used)
        drop_tenant(bucket, tenant);
}

void
quota_desk_tick(struct edge *edge)
{
    struct quotas *self = edge->ingest->quotas;
    struct tenant *at, *next;
    for (int64_t i = edge->number; i < BUCKETS; i += edge->ingest->conf.threads) {
        struct dues dues;
        struct bucket *bucket = &self->buckets[i];
        dues.count = 0;
        pthread_mutex_lock(&bucket->lock);
        HASH_ITER (hh, bucket->tenants, at, next)
            if (dues.count <= DUES_MAX / 2)
                rest_tenant(bucket, at, &dues);
        pthread_mutex_unlock(&bucket->lock);
        settle_all(edge, &dues);
    }
}

// ---- a thread's part

static void
on_park_due(void *edge)
{
    quota_look(edge);
}

void
quota_desk_wake(struct edge *edge)
{
    uint64_t count;
    if (edge->quotas.parked &&
        read(edge->quotas.wake_fd, &count, sizeof(count)) == sizeof(count))
        quota_look(edge);
}

bool
quota_desk_init(struct edge *edge)
{
    edge->quotas.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (edge->quotas.wake_fd < 0)
        return false;
    if (!om_http_watch(edge->loop, edge->quotas.wake_fd))
        return false;
    edge->quotas.park_timer.fire = on_park_due;
    edge->quotas.park_timer.context = edge;
    atomic_store(&edge->ingest->quotas->desks[edge->number].fd, edge->quotas.wake_fd);
    return true;
}

void
quota_desk_finish(struct edge *edge)
{
    if (edge->quotas.wake_fd > 0) {
        atomic_store(&edge->ingest->quotas->desks[edge->number].fd, 0);
        close(edge->quotas.wake_fd);
    }
    while (edge->quotas.asks)
        drop_ask(edge->quotas.asks);
}

bool
quota_desk_idle(const struct edge *edge)
{
    int64_t heard_ms = atomic_load(&edge->ingest->quotas->heard_ms);
    return edge->quotas.settling == 0 &&
           (!edge->quotas.asks || om_clock_mono_ms() - heard_ms > HEARD_LATELY_MS);
}

// ---- requests that wait

void
quota_park(struct exchange *x)
{
    struct edge *edge = x->edge;
    struct quota_desk *desk = &edge->quotas;
    bool first = !desk->parked;
    x->quota.parked = true;
    x->quota.park_until_ms = om_clock_mono_ms() + QUOTA_PARK_MS;
    DL_APPEND2(desk->parked, x, quota.prev, quota.next);
    atomic_store(&edge->ingest->quotas->desks[edge->number].parked, true);
    if (first && !om_timers_set(om_http_timers(edge->loop), &desk->park_timer,
                                x->quota.park_until_ms))
        om_log(OM_ERROR, "no memory for a timer");
}

void
quota_unpark(struct exchange *x)
{
    struct edge *edge = x->edge;
    if (!x->quota.parked)
        return;
    x->quota.parked = false;
    DL_DELETE2(edge->quotas.parked, x, quota.prev, quota.next);
    if (edge->quotas.parked)
        return;
    atomic_store(&edge->ingest->quotas->desks[edge->number].parked, false);
    if (edge->loop) // else the timers are gone with it
        om_timers_clear(om_http_timers(edge->loop), &edge->quotas.park_timer);
}

#include "limit.h"
#include "lease.h"
#include "queue.h"
#include "start.h"

enum { LIMITS = 3 }; // that may apply to a job

// ---- life

struct limit_tenant *
limit_tenant_find(const struct core *self, const struct om_uuid *tenant)
{
    struct limit_tenant *found = NULL;
    HASH_FIND(hh, self->limits, tenant, sizeof(*tenant), found);
    return found;
}

enum { KEY_BYTES = 1 + 128 };

// A queue's or a key's name is never longer than a key has room for: the wire's bounds.
static size_t
make_key(char out[KEY_BYTES], enum setting_scope scope, struct om_str name)
{
    size_t size = name.size < KEY_BYTES - 1 ? name.size : KEY_BYTES - 1;
    out[0] = (char)scope;
    if (size)
        memcpy(out + 1, name.data, size);
    return 1 + size;
}

static struct limit *
find(const struct limit_tenant *tenant, const char *key, size_t size)
{
    struct limit *limit = NULL;
    if (tenant)
        HASH_FIND(hh, tenant->limits, key, size, limit);
    return limit;
}

struct limit *
limit_find(const struct core *self, const struct om_uuid *tenant,
           enum setting_scope scope, struct om_str name)
{
    char key[KEY_BYTES];
    size_t size = make_key(key, scope, name);
    return find(limit_tenant_find(self, tenant), key, size);
}

bool
limit_fits(const struct core *self, const struct om_uuid *tenant,
           enum setting_scope scope, struct om_str name)
{
    static const size_t most[] = { [SETTING_TENANT] = 1,
                                   [SETTING_QUEUE] = LIMIT_QUEUES_MAX,
                                   [SETTING_KEY] = LIMIT_KEYS_MAX };
    const struct limit_tenant *known = limit_tenant_find(self, tenant);
    return !known || known->counts[scope] < most[scope] ||
           limit_find(self, tenant, scope, name);
}

// All shares of the tenant that a limit of its own or of its part of a queue is about
// stand under it from now on; what they have at workers counts.
static void
join_shares(struct core *self, struct limit *limit)
{
    struct queue_state *queue, *next;
    HASH_ITER (hh, self->queues, queue, next) {
        struct share *share = share_find(queue, &limit->tenant->id);
        bool of_queue = limit_scope(limit) == SETTING_QUEUE;
        if (!share || (of_queue && !om_str_eq(queue_name(queue), limit_name(limit))))
            continue;
        share->limits[of_queue] = limit;
        limit->refs++;
        limit->running += (int64_t)share->running;
    }
}

struct limit *
limit_get(struct core *self, const struct om_uuid *id, enum setting_scope scope,
          struct om_str name)
{
    char key[KEY_BYTES];
    size_t size = make_key(key, scope, name);
    struct limit_tenant *tenant = limit_tenant_find(self, id);
    struct limit *limit = find(tenant, key, size);
    if (limit) {
        limit->refs++;
        return limit;
    }
    if (!tenant) {
        tenant = core_alloc(sizeof(*tenant));
        tenant->id = *id;
        HASH_ADD(hh, self->limits, id, sizeof(tenant->id), tenant);
    }
    limit = core_alloc(sizeof(*limit) + size);
    limit->tenant = tenant;
    limit->refs = 1;
    limit->key_size = size;
    memcpy(limit->key, key, size);
    tenant->counts[scope]++;
    HASH_ADD(hh, tenant->limits, key, size, limit);
    if (scope != SETTING_KEY)
        join_shares(self, limit);
    return limit;
}

static void
destroy(struct core *self, struct limit *limit)
{
    struct limit_tenant *tenant = limit->tenant;
    timer_stop(&self->mono, &limit->timer);
    timer_stop(&self->mono, &limit->purge);
    start_forget(self, limit);
    rate_finish(&limit->rate);
    tenant->counts[limit_scope(limit)]--;
    HASH_DEL(tenant->limits, limit);
    free(limit);
    if (tenant->limits)
        return;
    HASH_DEL(self->limits, tenant);
    free(tenant);
}

bool
setting_is_empty(const struct setting *setting)
{
    return !setting->weight && !setting->concurrency && !setting->rate &&
           !setting->paused && !setting->purge_seq;
}

void
limit_unref(struct core *self, struct limit **limit_p)
{
    struct limit *limit = *limit_p;
    *limit_p = NULL;
    if (--limit->refs == 0 && setting_is_empty(&limit->now))
        destroy(self, limit);
}

void
limit_destroy_all(struct core *self)
{
    struct limit_tenant *tenant, *next_tenant;
    struct limit *limit, *next;
    HASH_ITER (hh, self->limits, tenant, next_tenant)
        HASH_ITER (hh, tenant->limits, limit, next)
            destroy(self, limit); // the tenant goes with its last limit
}

// ---- open and closed

static bool
has_room(const struct limit *limit)
{
    const struct setting *now = &limit->now;
    return !now->paused && (!now->concurrency || limit->running < now->concurrency);
}

static bool
is_open(const struct core *self, struct limit *limit)
{
    return has_room(limit) && rate_allows(&limit->rate, self->now.mono_ms);
}

static void
wait_at(struct limit *limit, struct limit_wait *wait)
{
    wait->limit = limit;
    DL_APPEND(limit->waits, wait);
}

static void
wait_no_more(struct limit_wait *wait)
{
    if (wait->limit)
        DL_DELETE(wait->limit->waits, wait);
    wait->limit = NULL;
}

static void on_window(struct core *self, struct timer *timer);

// Something changed at the limit: let those that wait try again, or see when they may.
static void
recheck(struct core *self, struct limit *limit)
{
    if (!limit->waits)
        return;
    if (is_open(self, limit)) {
        for (struct limit_wait *wait; (wait = limit->waits);) {
            wait_no_more(wait);
            if (wait->flow)
                flow_unblock(self, wait->flow, BLOCK_LIMIT);
            else
                share_unblock(self, wait->share, BLOCK_LIMIT);
        }
        return;
    }
    int64_t at_ms = rate_next_ms(&limit->rate, self->now.mono_ms);
    if (has_room(limit) && at_ms != INT64_MAX)
        timer_set(&self->mono, &limit->timer, at_ms, on_window);
}

static void
on_window(struct core *self, struct timer *timer)
{
    recheck(self, TIMER_OWNER(timer, struct limit, timer));
}

bool
limit_gate(struct core *self, struct flow *flow)
{
    struct share *share = flow->turn->share;
    for (size_t i = 0; i < OM_COUNT(share->limits); i++) {
        struct limit *limit = share->limits[i];
        if (!limit || is_open(self, limit))
            continue;
        share_block(share, BLOCK_LIMIT);
        share->wait.share = share;
        wait_at(limit, &share->wait);
        recheck(self, limit);
        return false;
    }
    if (!flow->limit || is_open(self, flow->limit))
        return true;
    flow_block(flow, BLOCK_LIMIT);
    flow->wait.flow = flow;
    wait_at(flow->limit, &flow->wait);
    recheck(self, flow->limit);
    return false;
}

void
limit_apply(struct core *self, struct limit *limit, const struct setting *setting)
{
    struct queue_state *queue, *next;
    limit->now = *setting;
    rate_set(&limit->rate, setting->rate, setting->rate_ms);
    if (limit_scope(limit) == SETTING_TENANT)
        HASH_ITER (hh, self->queues, queue, next) {
            struct share *share = share_find(queue, &limit->tenant->id);
            if (share)
                share_set_weight(share, setting->weight);
        }
    recheck(self, limit);
}

// ---- shares and flows

void
limit_join_share(struct core *self, struct share *share)
{
    const struct limit_tenant *tenant =
        self->limits ? limit_tenant_find(self, &share->tenant) : NULL;
    if (!tenant)
        return;
    const struct om_str names[] = { { NULL, 0 }, queue_name(share->queue) };
    for (size_t i = 0; i < OM_COUNT(share->limits); i++) {
        char key[KEY_BYTES];
        size_t size = make_key(key, i ? SETTING_QUEUE : SETTING_TENANT, names[i]);
        share->limits[i] = find(tenant, key, size);
        if (share->limits[i])
            share->limits[i]->refs++;
    }
    if (share->limits[0])
        share_set_weight(share, share->limits[0]->now.weight);
}

void
limit_leave_share(struct core *self, struct share *share)
{
    wait_no_more(&share->wait);
    for (size_t i = 0; i < OM_COUNT(share->limits); i++)
        if (share->limits[i])
            limit_unref(self, &share->limits[i]);
}

void
limit_join_flow(struct core *self, struct flow *flow)
{
    if (flow->key.size > 0 && !flow->limit)
        flow->limit = limit_get(self, &flow->turn->share->tenant, SETTING_KEY, flow->key);
}

void
limit_leave_flow(struct core *self, struct flow *flow)
{
    wait_no_more(&flow->wait);
    if (flow->limit)
        limit_unref(self, &flow->limit);
}

// ---- leases

// The limits a lease stands under; NULL where there is none.
static void
limits_of(const struct lease *lease, struct limit *limits[LIMITS])
{
    limits[0] = lease->share ? lease->share->limits[0] : NULL;
    limits[1] = lease->share ? lease->share->limits[1] : NULL;
    limits[2] = lease->flow ? lease->flow->limit : NULL;
}

void
limit_take(struct lease *lease)
{
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    lease->reserved = 0;
    if (lease->share)
        lease->share->running++;
    for (unsigned i = 0; i < LIMITS; i++) {
        if (!limits[i])
            continue;
        limits[i]->running++;
        rate_reserve(&limits[i]->rate);
        lease->reserved |= 1u << i;
    }
}

void
limit_restore(struct lease *lease)
{
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    if (lease->share)
        lease->share->running++;
    for (unsigned i = 0; i < LIMITS; i++)
        if (limits[i])
            limits[i]->running++;
}

bool
limit_binds(const struct lease *lease)
{
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    for (unsigned i = 0; i < LIMITS; i++)
        if (limits[i] && (limits[i]->now.concurrency || limits[i]->now.rate))
            return true;
    return false;
}

size_t
limit_starts(const struct lease *lease)
{
    struct limit *limits[LIMITS];
    size_t count = 0;
    limits_of(lease, limits);
    for (unsigned i = 0; i < LIMITS; i++)
        count += limits[i] && limits[i]->now.rate;
    return count;
}

void
limit_add_starts(struct core *self, struct lease *lease)
{
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    for (unsigned i = 0; i < LIMITS; i++)
        if (limits[i] && limits[i]->now.rate)
            start_add(self, limits[i]);
    lease->decided_ms = self->now.mono_ms;
}

void
limit_sent(struct core *self, struct lease *lease)
{
    if (!lease->reserved)
        return;
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    bool late = self->now.mono_ms - lease->decided_ms > START_SENT_MS;
    size_t count = late ? limit_starts(lease) : 0;
    if (count) {
        commit_group(self, EFFECT_NONE, count);
        limit_add_starts(self, lease);
    }
    for (unsigned i = 0; i < LIMITS; i++)
        if (lease->reserved & 1u << i) {
            rate_start(&limits[i]->rate, self->now.mono_ms);
            recheck(self, limits[i]);
        }
    lease->reserved = 0;
}

void
limit_end(struct core *self, struct lease *lease)
{
    struct limit *limits[LIMITS];
    limits_of(lease, limits);
    if (lease->share)
        lease->share->running--;
    for (unsigned i = 0; i < LIMITS; i++) {
        if (!limits[i])
            continue;
        limits[i]->running--;
        if (lease->reserved & 1u << i)
            rate_give_back(&limits[i]->rate);
        recheck(self, limits[i]);
    }
    lease->reserved = 0;
}

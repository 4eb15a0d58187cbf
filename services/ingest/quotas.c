#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "clock.h"
#include "exchange.h"
#include "id.h"
#include "log.h"

enum {
    ASK_MS = 2000,
    SETTLE_MS = 10000,
    HEARD_LATELY_MS = 1000,
};

struct quotas {
    int64_t hold_ms;
    struct quota_table *table;
    atomic_int_fast64_t heard_ms; // when billing answered last, on the mono clock
    atomic_int_fast64_t version;  // of the limits, as billing counts
    struct {
        atomic_int fd; // 0: there is no such thread
        atomic_bool parked;
    } desks[INGEST_THREADS_MAX];
};

struct quotas *
quotas_create(int64_t hold_ms)
{
    struct quotas *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->hold_ms = hold_ms;
    self->table = quota_table_create();
    atomic_store(&self->heard_ms, om_clock_mono_ms());
    if (!self->table)
        quotas_destroy(&self);
    return self;
}

void
quotas_destroy(struct quotas **self_p)
{
    struct quotas *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    quota_table_destroy(&self->table);
    free(self);
}

bool
quotas_trust(const struct quotas *self, const struct quota_spot *spot)
{
    return spot->silent_ms > 0 && om_clock_mono_ms() - spot->silent_ms < self->hold_ms;
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
settle_all(struct edge *edge, const struct quota_dues *dues)
{
    for (size_t i = 0; i < dues->count; i++)
        quotas_settle(edge, &dues->items[i].tenant, dues->items[i].grant.name,
                      dues->items[i].grant.spent, (struct om_str){ 0 });
}

// ---- asking for a block

struct quota_ask {
    struct edge *edge;
    struct quota_spot spot;
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
    struct quota_dues dues = { 0 };
    struct quota_answer answer;
    bool good = read_answer(ask, message, &answer);
    if (good)
        quotas_heard(self);
    bool known = quota_table_answer(self->table, &ask->spot, ask->asked_ms,
                                    om_clock_mono_ms(), good ? &answer : NULL, &dues);
    if (!known && good && answer.limited && answer.granted > 0)
        quotas_settle(edge, &ask->spot.tenant, answer.name, 0, (struct om_str){ 0 });
    settle_all(edge, &dues);
    drop_ask(ask);
    wake_desks(self);
}

static void
send_ask(struct edge *edge, const struct quota_spot *spot, const char *plan)
{
    char id[OM_TYPEID_MAX];
    struct quota_lease_request request = { 0 };
    struct quota_ask *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return; // it is asked again when this one should have been answered
    ask->edge = edge;
    ask->spot = *spot;
    ask->asked_ms = om_clock_mono_ms();
    ask->asked_wall_ms = om_clock_wall_ms();
    DL_APPEND(edge->quotas.asks, ask);
    om_id_text(OM_ID_REQUEST, om_uuid_shard(&spot->tenant), id);
    REC_SET(&request, quota_lease_request, policy, om_str(quota_infos[spot->quota].name));
    REC_SET(&request, quota_lease_request, plan, om_str(plan));
    REC_SET(&request, quota_lease_request, amount, spot->wanted);
    REC_SET(&request, quota_lease_request, least, 1);
    if (!send_call(edge, OP_quota_lease, &spot->tenant, id, &request, ASK_MS, on_lease,
                   ask))
        drop_ask(ask);
}

enum quota_verdict
quotas_take(struct edge *edge, struct quota_spot *spot, const char *plan, int64_t amount)
{
    struct quota_dues dues;
    dues.count = 0; // the rest of it is large, and this is done at every request
    enum quota_verdict verdict = quota_table_take(edge->ingest->quotas->table, spot, plan,
                                                  amount, om_clock_mono_ms(), &dues);
    settle_all(edge, &dues);
    if (spot->wanted > 0)
        send_ask(edge, spot, plan);
    return verdict;
}

bool
quotas_are_free(struct edge *edge, struct quota_spot *spot, const char *plan, bool ever)
{
    struct quota_dues dues;
    dues.count = 0;
    bool is_free = quota_table_is_free(edge->ingest->quotas->table, spot, plan,
                                       om_clock_mono_ms(), ever, &dues);
    settle_all(edge, &dues);
    return is_free;
}

void
quotas_set_free(struct edge *edge, const struct quota_spot *spot)
{
    quota_table_set_free(edge->ingest->quotas->table, spot, om_clock_mono_ms());
}

void
quotas_put_back(struct edge *edge, const struct quota_spot *spot, int64_t amount)
{
    quota_table_put_back(edge->ingest->quotas->table, spot, amount);
}

// ---- giving back

void
quota_desk_drain(struct edge *edge)
{
    struct quota_dues dues = { 0 };
    for (size_t i = 0; i < QUOTA_BUCKETS; i++)
        for (bool more = true; more; dues.count = 0) {
            more = quota_table_forget_all(edge->ingest->quotas->table, i, &dues);
            settle_all(edge, &dues);
        }
}

static void
forget_tenant(struct edge *edge, struct om_str text)
{
    struct quota_dues dues = { 0 };
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_TENANT, text, &id) != OM_OK)
        return;
    quota_table_forget(edge->ingest->quotas->table, &id, &dues);
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

void
quota_desk_tick(struct edge *edge)
{
    struct quota_dues dues;
    for (int64_t i = edge->number; i < QUOTA_BUCKETS; i += edge->ingest->conf.threads) {
        dues.count = 0;
        quota_table_rest(edge->ingest->quotas->table, (size_t)i, om_clock_mono_ms(),
                         &dues);
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

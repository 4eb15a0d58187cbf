// Forgetting cached answers, when who owns them or an operator says so.
#include "exchange.h"
#include "id.h"

REC_DEFINE(cache_purge, CACHE_PURGE);
REC_DEFINE(cache_purged, CACHE_PURGED);

enum { PURGE_MS = 5000 };

// What is asked to be forgotten; in the exchange's arena.
struct purge {
    struct om_uuid tenant;
    uint64_t tag;
    bool keyed;
    uint8_t key[CACHE_KEY];
};

// ---- other edges

static size_t
do_purge(struct ingest *ingest, const struct purge *purge)
{
    return cache_purge(ingest->cache, &purge->tenant, purge->tag,
                       purge->keyed ? purge->key : NULL);
}

static bool
read_purge(const struct purge_item *item, struct purge *out)
{
    *out = (struct purge){ .keyed = item->what.size == sizeof(out->tag) + CACHE_KEY };
    if (!out->keyed && item->what.size != sizeof(out->tag))
        return false;
    memcpy(&out->tag, item->what.data, sizeof(out->tag));
    if (out->keyed)
        memcpy(out->key, item->what.data + sizeof(out->tag), CACHE_KEY);
    return om_typeid_decode(OM_ID_TENANT, item->tenant, &out->tenant) == OM_OK;
}

// Threads may do the same purge twice, but none is noted before it is done.
static void
note_purge(struct ingest *ingest, int64_t seq)
{
    int64_t known = atomic_load(&ingest->purged_seq);
    while (known < seq && !atomic_compare_exchange_weak(&ingest->purged_seq, &known, seq))
        ;
}

bool
cached_apply_purges(struct ingest *ingest, const struct purge_changes_reply *reply)
{
    struct rec_iter iter = rec_iter(reply->data);
    struct purge_item item;
    struct om_str bytes;
    while (rec_next_rec(&iter, &purge_item_rec, &item, &bytes)) {
        struct purge purge;
        bool own = memcmp(item.by.data, ingest->self.bytes, sizeof(ingest->self)) == 0;
        if (item.seq <= atomic_load(&ingest->purged_seq))
            continue;
        if (!own && read_purge(&item, &purge))
            do_purge(ingest, &purge);
        note_purge(ingest, item.seq);
    }
    return reply->data.data && atomic_load(&ingest->purged_seq) < reply->last;
}

// ---- a request

static void
fail(struct exchange *x)
{
    exchange_fail(x, OM_EUNAVAILABLE, NULL,
                  "this process forgot its answers, but others cannot be told now; try "
                  "again");
}

// What is shared is gone before what is in memory: else one could come back as the other.
static void
finish(struct exchange *x, bool told)
{
    struct cache_purged out = { 0 };
    size_t count = do_purge(x->edge->ingest, x->record);
    if (!told) {
        fail(x);
        return;
    }
    REC_SET(&out, cache_purged, object, OM_LIT("cache_purge"));
    REC_SET(&out, cache_purged, purged, (int64_t)count);
    REC_SET(&out, cache_purged, shared, x->edge->shared != NULL);
    exchange_reply_record(x, &cache_purged_rec, &out);
}

static void
on_added(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    x->pending = 0;
    finish(x, answer->rc == OM_OK);
}

// Have identity tell the other edges.
static void
tell(struct exchange *x)
{
    const struct purge *purge = x->record;
    char traceparent[OM_TRACEPARENT_SIZE + 1], tenant[OM_TYPEID_MAX];
    char what[sizeof(purge->tag) + CACHE_KEY];
    struct purge_add_request request = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    struct wire_msg msg = exchange_msg(x, true, traceparent);
    memcpy(what, &purge->tag, sizeof(purge->tag));
    memcpy(what + sizeof(purge->tag), purge->key, CACHE_KEY);
    REC_SET(&request, purge_add_request, what,
            ((struct om_str){ what, purge->keyed ? sizeof(what) : sizeof(purge->tag) }));
    REC_SET(&request, purge_add_request, by,
            ((struct om_str){ (const char *)x->edge->ingest->self.bytes, 16 }));
    rec_encode(ops[OP_purge_add].request, &request, &body);
    om_typeid_encode(OM_ID_TENANT, &purge->tenant, tenant);
    WIRE_SET(&msg, tenant, om_str(tenant));
    WIRE_SET(&msg, queue, om_str(queues[ops[OP_purge_add].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[OP_purge_add].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    if (body.failed)
        finish(x, false);
    else
        exchange_send(x, WIRE_CALL, &msg, om_buf_str(&body), PURGE_MS, on_added);
}

static bool
read_digit(char digit, uint8_t *out)
{
    if (digit >= '0' && digit <= '9')
        *out = (uint8_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
        *out = (uint8_t)(digit - 'a' + 10);
    else
        return false;
    return true;
}

static bool
read_key(struct om_str text, uint8_t out[CACHE_KEY])
{
    uint8_t high, low;
    for (size_t i = 0; i < CACHE_KEY; i++) {
        if (!read_digit(text.data[2 * i], &high) ||
            !read_digit(text.data[2 * i + 1], &low))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void
begin(struct exchange *x, const struct om_uuid *tenant)
{
    const struct cache_purge *request = exchange_read(x, &cache_purge_rec);
    if (!request)
        return;
    struct purge *purge = x->record = om_arena_alloc(&x->arena, sizeof(*purge));
    purge->tenant = *tenant;
    purge->tag = cache_tag(request->model);
    purge->keyed = REC_HAS(request, cache_purge, key);
    if (purge->keyed && !read_key(request->key, purge->key))
        exchange_fail(x, OM_EINVAL, "key", "key must be the x-cache-key of an answer");
    else if (!x->edge->shared)
        tell(x);
    else if (!cached_void(x, tenant, finish))
        finish(x, false);
}

void
cache_purge_own(struct exchange *x)
{
    begin(x, &x->caller.tenant);
}

void
cache_purge_admin(struct exchange *x)
{
    struct om_uuid tenant;
    if (om_typeid_decode(OM_ID_TENANT, x->params[0], &tenant) == OM_OK)
        begin(x, &tenant);
    else
        exchange_fail(x, OM_ENOTFOUND, "id", "there is no such tenant");
}

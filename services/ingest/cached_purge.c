// Forgetting cached answers, when who owns them or an operator says so.
#include "exchange.h"

REC_DEFINE(cache_purge, CACHE_PURGE);
REC_DEFINE(cache_purged, CACHE_PURGED);

// What is asked to be forgotten; in the exchange's arena.
struct purge {
    struct om_uuid tenant;
    uint64_t tag;
    bool keyed;
    uint8_t key[CACHE_KEY];
};

// What is shared is gone before what is in memory: else one could come back as the other.
static void
finish(struct exchange *x, bool shared)
{
    const struct purge *purge = x->record;
    struct cache_purged out = { 0 };
    size_t count = cache_purge(x->edge->ingest->cache, &purge->tenant, purge->tag,
                               purge->keyed ? purge->key : NULL);
    if (x->edge->shared && !shared) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL,
                      "this process forgot its answers, but the cache that edges share "
                      "cannot be told now; try again");
        return;
    }
    REC_SET(&out, cache_purged, object, OM_LIT("cache_purge"));
    REC_SET(&out, cache_purged, purged, (int64_t)count);
    REC_SET(&out, cache_purged, shared, shared);
    exchange_reply_record(x, &cache_purged_rec, &out);
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
    else if (!x->edge->shared || !cached_void(x, tenant, finish))
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

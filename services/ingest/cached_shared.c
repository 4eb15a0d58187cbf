// The cache that edges share through Redis.
//
// Each tenant has a stamp there, 16 random bytes, and each answer carries the one that
// was read before it was asked for; an answer with another stamp is none. A purge sets a
// new stamp: all that was kept, and all that is under way, is void with one write, at
// every edge and for certain. In memory an answer then holds for CHECK_MS after the stamp
// was read, so that a purge at one edge is seen at the others after that time at most.
#include "exchange.h"
#include "id.h"

enum { CHECK_MS = 1000, STAMP_MS = 24 * 3600 * 1000 };

#define CACHE_ITEM(F, M)                                                                 \
    F(M, BIN, tenant, REQUIRED, 16, 16, NULL, "whose answer it is")                      \
    F(M, BIN, key, REQUIRED, CACHE_KEY, CACHE_KEY, NULL, "of what request")              \
    F(M, BIN, stamp, REQUIRED, CACHED_STAMP, CACHED_STAMP, NULL, "the tenant's then")    \
    F(M, BIN, tags, REQUIRED, 8 * CACHE_TAGS, 8 * CACHE_TAGS, NULL, "for a purge")       \
    F(M, I64, made_ms, REQUIRED, 0, 9e15, NULL, "ms since 1970")                         \
    F(M, I64, expires_ms, REQUIRED, 0, 9e15, NULL, "ms since 1970")                      \
    F(M, I64, tokens, REQUIRED, 0, 9e15, NULL, "what it counts for in limits")           \
    F(M, BIN, body, REQUIRED, 0, CACHE_ANSWER_MAX, NULL, "JSON")
REC_DECLARE(cache_item, CACHE_ITEM);
REC_DEFINE(cache_item, CACHE_ITEM);

static const struct om_str stamp_key = { "stamp", 5 };

static struct om_str
bytes_of(const void *data, size_t size)
{
    return (struct om_str){ data, size };
}

static struct om_str
name_of(const struct cache_id *id, char out[2 * CACHE_KEY + 1])
{
    om_hex(id->key, CACHE_KEY, out);
    return (struct om_str){ out, 2 * CACHE_KEY };
}

int64_t
cached_check_ms(const struct exchange *x)
{
    return x->edge->shared ? x->cached.looked_ms + CHECK_MS : INT64_MAX;
}

// ---- asking

static void
new_stamp(uint8_t out[CACHED_STAMP])
{
    struct om_uuid id = om_id_new(0);
    uint8_t digest[32];
    om_sha256(bytes_of(&id, sizeof(id)), digest);
    memcpy(out, digest, CACHED_STAMP);
}

static void
on_stamp(void *context, enum om_rc rc, struct om_str value)
{
    struct exchange *x = context;
    struct cached_use *use = &x->cached;
    use->asked_stamp = 0;
    if (rc == OM_OK && value.size == CACHED_STAMP) {
        memcpy(use->stamp, value.data, CACHED_STAMP);
        use->stamped = true;
    } else if (rc != OM_EUNAVAILABLE) { // none, or one that Redis forgot
        new_stamp(use->stamp);
        use->stamped = true;
        shared_set(x->edge->shared, &x->caller.tenant, stamp_key,
                   bytes_of(use->stamp, CACHED_STAMP), STAMP_MS);
    }
}

// Is what Redis holds the answer of this request, and does it still hold?
static bool
read_item(const struct exchange *x, struct om_str value, struct cache_answer *out)
{
    const struct cached_use *use = &x->cached;
    struct cache_item item;
    if (!use->stamped || rec_decode(&cache_item_rec, value, &item, NULL) != OM_OK ||
        !om_str_eq(item.tenant, bytes_of(&use->id.tenant, sizeof(use->id.tenant))) ||
        !om_str_eq(item.key, bytes_of(use->id.key, CACHE_KEY)) ||
        !om_str_eq(item.stamp, bytes_of(use->stamp, CACHED_STAMP)))
        return false;
    *out = (struct cache_answer){ .id = use->id,
                                  .made_ms = item.made_ms,
                                  .expires_ms = item.expires_ms,
                                  .check_ms = cached_check_ms(x),
                                  .tokens = item.tokens,
                                  .body = item.body };
    memcpy(out->tags, item.tags.data, sizeof(out->tags));
    int64_t now_ms = cached_now_ms(x);
    return now_ms < out->expires_ms && now_ms >= out->made_ms - CACHE_SLACK_MS;
}

static void
on_item(void *context, enum om_rc rc, struct om_str value)
{
    struct exchange *x = context;
    struct cache_answer answer;
    x->cached.asked_answer = 0;
    if (rc != OM_OK || !read_item(x, value, &answer)) {
        cached_depart(x);
        return;
    }
    cache_put(x->edge->ingest->cache, x->cached.mark, &answer);
    cache_put_alias(x->edge->ingest->cache, x->cached.raw, &answer);
    cached_land(x, &answer);
}

// Redis answers in the order it is asked, so the stamp is known when the answer comes.
bool
cached_ask(struct exchange *x)
{
    char text[2 * CACHE_KEY + 1];
    struct cached_use *use = &x->cached;
    struct shared *shared = x->edge->shared;
    if (!shared)
        return false;
    use->asked_stamp = shared_get(shared, &x->caller.tenant, stamp_key, on_stamp, x);
    if (!use->asked_stamp)
        return false;
    use->asked_answer =
        shared_get(shared, &x->caller.tenant, name_of(&use->id, text), on_item, x);
    if (!use->asked_answer)
        cached_forget(x);
    return use->asked_answer != 0;
}

void
cached_forget(struct exchange *x)
{
    struct cached_use *use = &x->cached;
    if (use->asked_stamp && x->edge->shared)
        shared_forget(x->edge->shared, use->asked_stamp);
    if (use->asked_answer && x->edge->shared)
        shared_forget(x->edge->shared, use->asked_answer);
    use->asked_stamp = use->asked_answer = 0;
}

void
cached_share(struct exchange *x, const struct cache_answer *answer)
{
    char text[2 * CACHE_KEY + 1];
    const struct cached_use *use = &x->cached;
    struct cache_item item = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf value = { 0 };
    if (!x->edge->shared || !use->stamped || answer->body.size > CACHE_ANSWER_MAX)
        return;
    REC_SET(&item, cache_item, tenant, bytes_of(&answer->id.tenant, 16));
    REC_SET(&item, cache_item, key, bytes_of(answer->id.key, CACHE_KEY));
    REC_SET(&item, cache_item, stamp, bytes_of(use->stamp, CACHED_STAMP));
    REC_SET(&item, cache_item, tags, bytes_of(answer->tags, sizeof(answer->tags)));
    REC_SET(&item, cache_item, made_ms, answer->made_ms);
    REC_SET(&item, cache_item, expires_ms, answer->expires_ms);
    REC_SET(&item, cache_item, tokens, answer->tokens);
    REC_SET(&item, cache_item, body, answer->body);
    rec_encode(&cache_item_rec, &item, &value);
    if (!value.failed)
        shared_set(x->edge->shared, &answer->id.tenant, name_of(&answer->id, text),
                   om_buf_str(&value), answer->expires_ms - answer->made_ms);
}

// ---- purging

static void
on_told(void *context, enum om_rc rc, struct om_str value)
{
    struct exchange *x = context;
    x->cached.asked_stamp = 0;
    x->cached.on_void(x, rc == OM_OK &&
                             om_str_eq(value, bytes_of(x->cached.stamp, CACHED_STAMP)));
}

bool
cached_void(struct exchange *x, const struct om_uuid *tenant,
            void (*fn)(struct exchange *x, bool done))
{
    struct cached_use *use = &x->cached;
    use->on_void = fn;
    new_stamp(use->stamp);
    shared_set(x->edge->shared, tenant, stamp_key, bytes_of(use->stamp, CACHED_STAMP),
               STAMP_MS);
    use->asked_stamp = shared_get(x->edge->shared, tenant, stamp_key, on_told, x);
    return use->asked_stamp != 0;
}

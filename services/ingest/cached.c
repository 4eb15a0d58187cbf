#include <stdio.h>
#include <strings.h>
#include <utlist.h>

#include "admit.h"
#include "clock.h"
#include "id.h"

// ---- keys

// What a key is made of; the same bytes elsewhere never mean another thing.
static void
put_part(struct om_buf *out, struct om_str part)
{
    uint64_t size = part.data ? part.size : UINT64_MAX;
    om_buf_put(out, &size, sizeof(size));
    om_buf_put(out, part.data, part.size);
}

// What both keys have in common: what is asked, and who may share the answer.
static void
begin_key(const struct exchange *x, const struct om_http_request *request, char kind,
          struct om_buf *out)
{
    const struct cache_policy *policy = &x->route->cache;
    const struct policy *user = x->caller.policy;
    om_buf_put(out, &kind, 1);
    put_part(out, OM_LIT(OMNI_VERSION));
    put_part(out, om_str(x->version));
    put_part(out, om_str(x->route->pattern));
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
        put_part(out, x->params[i]);
    if (policy->scope == CACHE_USER)
        put_part(out, om_str(user && *user->user ? user->user : x->caller.key));
    for (size_t i = 0; i < CACHE_VARY_MAX && policy->vary[i]; i++)
        put_part(out, om_http_field(request, policy->vary[i]));
}

// By the bytes of the request.
static void
make_raw_key(struct exchange *x, const struct om_http_request *request)
{
    struct om_buf *scratch = &x->edge->scratch;
    begin_key(x, request, 'b', scratch);
    for (size_t i = 0; i < request->query_count; i++) {
        put_part(scratch, request->query[i].name);
        put_part(scratch, request->query[i].value);
    }
    om_buf_put(scratch, request->body.data, request->body.size);
    om_sha256(om_buf_str(scratch), x->cached.raw);
    if (scratch->failed)
        x->cached.result = CACHED_NOT;
    om_buf_reset(scratch);
}

// By what was read of it.
static bool
make_key(struct exchange *x, const struct om_http_request *request)
{
    struct om_buf *scratch = &x->edge->scratch;
    begin_key(x, request, 'r', scratch);
    rec_encode(route_request(x->route), x->record, scratch);
    x->cached.id.tenant = x->caller.tenant;
    om_sha256(om_buf_str(scratch), x->cached.id.key);
    bool made = !scratch->failed;
    om_buf_reset(scratch);
    return made;
}

// What the answer can be purged by: the model in the path, and the one in the record.
static void
put_tags(const struct exchange *x, uint64_t tags[CACHE_TAGS])
{
    const struct rec *type = route_request(x->route);
    tags[0] = cache_tag(x->params[0]);
    tags[1] = 0;
    for (size_t i = 0; i < type->count; i++)
        if (strcmp(type->fields[i].name, "model_id") == 0 &&
            type->fields[i].type == REC_STR)
            tags[1] = cache_tag(*(const struct om_str *)((const char *)x->record +
                                                         type->fields[i].offset));
}

// ---- what the client wants

// Is `word` one of the directives of a Cache-Control field (RFC 9111, 5.2)?
static bool
is_told(struct om_str field, const char *word)
{
    size_t size = strlen(word);
    for (size_t at = 0; at < field.size;) {
        const char *comma = memchr(field.data + at, ',', field.size - at);
        size_t end = comma ? (size_t)(comma - field.data) : field.size;
        while (at < end && (field.data[at] == ' ' || field.data[at] == '\t'))
            at++;
        size_t length = end - at;
        while (length > 0 && (field.data[at + length - 1] == ' ' ||
                              field.data[at + length - 1] == '\t'))
            length--;
        if (length == size && strncasecmp(field.data + at, word, size) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

int64_t
cached_now_ms(const struct exchange *x)
{
    return caller_now_ms(&x->caller);
}

// ---- answering

static void
reply_body(struct exchange *x, struct om_str body)
{
    struct om_http_response response = { .status = x->route->status,
                                         .content_type = OM_LIT("application/json"),
                                         .body = body };
    exchange_reply(x, &response);
}

static void
serve(struct exchange *x, const struct cache_answer *answer)
{
    x->cached.id = answer->id;
    x->cached.result = CACHED_HIT;
    x->cached.made_ms = answer->made_ms;
    reply_body(x, answer->body);
}

// Nobody joins the flight any more. Returns those that wait.
static struct exchange *
end_flight(struct exchange *x)
{
    struct flight *flight = x->cached.flight;
    struct exchange *waiting, *each;
    if (!flight)
        return NULL;
    HASH_DEL(x->edge->flights, flight);
    waiting = flight->waiting;
    DL_FOREACH2(waiting, each, cached.next)
    each->cached.joined = NULL;
    x->cached.flight = NULL;
    return waiting;
}

static struct exchange *
next_waiting(struct exchange **waiting)
{
    struct exchange *first = *waiting;
    if (first)
        DL_DELETE2(*waiting, first, cached.prev, cached.next);
    return first;
}

// Those that waited are hits: no inference was made for them.
static void
give_to(struct exchange *waiting, const struct cache_answer *answer)
{
    for (struct exchange *each; (each = next_waiting(&waiting));)
        serve(each, answer);
}

void
cached_land(struct exchange *x, const struct cache_answer *answer)
{
    give_to(end_flight(x), answer);
    serve(x, answer);
}

void
cached_keep(struct exchange *x)
{
    struct edge *edge = x->edge;
    struct exchange *waiting = end_flight(x);
    if (x->cached.result == CACHED_NOT || edge->out.failed) {
        while (waiting)
            exchange_fail(next_waiting(&waiting), OM_EUNAVAILABLE, NULL, "no memory");
        return;
    }
    struct om_buf out = edge->out; // each reply empties edge->out
    edge->out = (struct om_buf){ 0 };
    int64_t now_ms = cached_now_ms(x);
    struct cache_answer answer = {
        .id = x->cached.id,
        .made_ms = now_ms,
        .expires_ms = now_ms + INT64_C(1000) * x->route->cache.ttl_s,
        .check_ms = cached_check_ms(x),
        .tokens = x->cached.tokens,
        .body = om_buf_str(&out),
    };
    put_tags(x, answer.tags);
    if (!x->cached.no_store) {
        cache_put(edge->ingest->cache, x->cached.mark, &answer);
        cache_put_alias(edge->ingest->cache, x->cached.raw, &answer);
        cached_share(x, &answer);
    }
    give_to(waiting, &answer);
    om_buf_finish(&edge->out);
    edge->out = out;
}

void
cached_fail(struct exchange *x, int status, const struct error_text *error,
            const char *retry_after)
{
    struct exchange *waiting = end_flight(x);
    for (struct exchange *each; (each = next_waiting(&waiting));) {
        each->limited = x->limited;
        if (x->limited) // a refusal takes nothing of anybody
            admit_revoke(each);
        exchange_fail_as(each, status, error, retry_after);
    }
}

// ---- looking

static void
serve_held(struct exchange *x)
{
    serve(x, x->cached.answer);
}

bool
cached_begin(struct exchange *x)
{
    const struct om_http_request *request = exchange_request(x);
    struct om_str told = om_http_field(request, "cache-control");
    struct cached_use *use = &x->cached;
    const struct policy *policy = x->caller.policy;
    use->no_store = (policy && policy->uncached) || is_told(told, "no-store");
    use->result =
        use->no_store || is_told(told, "no-cache") ? CACHED_BYPASS : CACHED_MISS;
    make_raw_key(x, request);
    if (use->result != CACHED_MISS)
        return false;
    struct cache_id id = { .tenant = x->caller.tenant };
    memcpy(id.key, use->raw, CACHE_KEY);
    use->looked_ms = cached_now_ms(x);
    use->answer = cache_get(x->edge->ingest->cache, &id, use->looked_ms);
    if (!use->answer)
        return false;
    if (admit_tokens(x, use->answer->tokens, serve_held))
        serve_held(x);
    return true;
}

// Wait for an equal request's call. False: there is none, or too many do.
static bool
join(struct exchange *x)
{
    struct flight *flight;
    HASH_FIND(hh, x->edge->flights, &x->cached.id, sizeof(x->cached.id), flight);
    if (!flight || flight->count == CACHED_WAITERS_MAX || flight->mark != x->cached.mark)
        return false;
    x->cached.joined = flight;
    flight->count++;
    DL_APPEND2(flight->waiting, x, cached.prev, cached.next);
    return true;
}

static void
lead(struct exchange *x)
{
    struct flight *flight, *other;
    HASH_FIND(hh, x->edge->flights, &x->cached.id, sizeof(x->cached.id), other);
    if (other)
        return; // it goes alone
    flight = x->cached.flight = om_arena_alloc(&x->arena, sizeof(*flight));
    flight->id = x->cached.id;
    flight->mark = x->cached.mark;
    flight->leader = x;
    HASH_ADD(hh, x->edge->flights, id, sizeof(flight->id), flight);
}

void
cached_depart(struct exchange *x)
{
    if (quota_rest(x, x->cached.call))
        x->cached.call(x);
}

void
cached_call(struct exchange *x, void (*call)(struct exchange *x))
{
    struct cached_use *use = &x->cached;
    struct cache *cache = x->edge->ingest->cache;
    use->call = call;
    if (use->result == CACHED_NOT || !make_key(x, exchange_request(x))) {
        cached_depart(x);
        return;
    }
    use->mark = cache_mark(cache, &x->caller.tenant);
    use->looked_ms = cached_now_ms(x);
    if (use->result == CACHED_BYPASS) {
        cached_depart(x);
        return;
    }
    const struct cache_answer *answer = cache_get(cache, &use->id, use->looked_ms);
    if (answer) {
        cache_put_alias(cache, use->raw, answer);
        cached_land(x, answer);
        cache_release(&answer);
        return;
    }
    if (join(x))
        return;
    lead(x);
    if (!cached_ask(x))
        cached_depart(x);
}

// ---- the end

bool
cached_is_awaited(const struct exchange *x)
{
    return x->cached.flight && x->cached.flight->count > 0;
}

void
cached_end(struct exchange *x)
{
    struct flight *flight = x->cached.joined;
    cache_release(&x->cached.answer);
    cached_forget(x);
    end_flight(x);
    if (!flight)
        return;
    x->cached.joined = NULL;
    DL_DELETE2(flight->waiting, x, cached.prev, cached.next);
    flight->count--;
    if (flight->count == 0 && !flight->leader->handle)
        exchange_abandon(flight->leader); // nobody waits for its call any more
}

void
cached_fields(struct exchange *x, struct om_http_response *response)
{
    static const char *const names[] = {
        [CACHED_HIT] = "hit", [CACHED_MISS] = "miss", [CACHED_BYPASS] = "bypass"
    };
    struct cached_use *use = &x->cached;
    if (use->result == CACHED_NOT || response->status != 200)
        return;
    size_t row = (size_t)(x->route - routes);
    atomic_fetch_add_explicit(&x->edge->ingest->cached[row][use->result], 1,
                              memory_order_relaxed);
    om_http_response_field(response, "x-cache", om_str(names[use->result]));
    if (use->no_store) {
        om_http_response_field(response, "cache-control", OM_LIT("no-store"));
        return;
    }
    int size = snprintf(use->control, sizeof(use->control), "private, max-age=%d",
                        x->route->cache.ttl_s);
    om_http_response_field(response, "cache-control",
                           (struct om_str){ use->control, (size_t)size });
    om_hex(use->id.key, CACHE_KEY, use->key);
    om_http_response_field(response, "x-cache-key",
                           (struct om_str){ use->key, 2 * CACHE_KEY });
    if (use->result != CACHED_HIT)
        return;
    int64_t age_ms = use->looked_ms - use->made_ms;
    size = snprintf(use->age, sizeof(use->age), "%lld",
                    (long long)(age_ms > 0 ? age_ms / 1000 : 0));
    om_http_response_field(response, "age", (struct om_str){ use->age, (size_t)size });
}

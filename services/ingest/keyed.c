#include "keyed.h"

#include "id.h"
#include "later.h"
#include "parts.h"

enum { KEY_MAX = 255, KEEP_MS = 5000, BODY_MAX = 900000 };

enum keyed_by
keyed_by(const struct route *route)
{
    if (route->method != OM_HTTP_POST || route->auth != AUTH_KEY)
        return KEYED_NOBODY;
    if (route->flags & ROUTE_JOBS)
        return KEYED_BROKER;
    bool commits = !route->on_request || route->flags & ROUTE_MUTATES;
    return commits && route->op != OP_COUNT ? KEYED_SERVICE : KEYED_CLAIM;
}

// ---- the key and what it stands for

void
keyed_put_scope(const struct exchange *x, struct om_buf *out)
{
    om_pack_str(out, om_str(om_http_method_name(x->route->method)));
    om_pack_str(out, om_str(x->route->pattern));
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && x->params[i].data; i++)
        om_pack_str(out, x->params[i]);
    om_pack_str(out, x->idem_key);
}

void
keyed_identify(struct exchange *x, struct om_str content)
{
    om_sha256(content, x->idem_hash);
}

bool
keyed_is_valid(struct om_str key)
{
    return !key.data || (key.size > 0 && key.size <= KEY_MAX);
}

// Read the header. False: refused, and replied.
static bool
read_key(struct exchange *x)
{
    uint8_t name[32];
    struct om_str key = om_http_field(exchange_request(x), "idempotency-key");
    if (!keyed_is_valid(key)) {
        exchange_fail(x, OM_EINVAL, "Idempotency-Key",
                      "the header Idempotency-Key must have 1 to %d bytes", KEY_MAX);
        return false;
    }
    if (!key.data)
        return true;
    x->idem_key = (struct om_str){ om_arena_strdup(&x->arena, key), key.size };
    OM_AUTO(om_buf_finish) struct om_buf scope = { 0 };
    keyed_put_scope(x, &scope);
    if (scope.failed) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no memory for the request");
        return false;
    }
    om_sha256(om_buf_str(&scope), name);
    om_hex(name, sizeof(name), x->idem_name);
    return true;
}

// ---- claims

static void
run(struct exchange *x)
{
    // With a key, as a job, in parts or as a replay it has an answer of its own.
    if (x->route->cache.ttl_s > 0 && !x->idem_key.data && !x->instead &&
        !parts_wanted(x, false) && !later_is_wanted(x) && cached_begin(x))
        return;
    if (x->route->on_request)
        x->route->on_request(x);
    else
        operate(x);
}

static void
reply_again(struct exchange *x, const struct idem_claim_reply *first)
{
    struct om_http_response response = { .status = (int)first->status };
    x->replayed = true;
    if (first->location.data)
        om_http_response_field(&response, "location", first->location);
    om_buf_put(&x->edge->out, first->body.data, first->body.size);
    exchange_reply_json(x, &response);
}

static void
ignore(void *context, const struct om_answer *answer)
{
    (void)context;
    (void)answer;
}

// Nothing was done: a repeat need not wait until the claim is over.
static void
drop(struct exchange *x)
{
    struct idem_drop_request request = { 0 };
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    x->claimed = false;
    REC_SET(&request, idem_drop_request, name, om_str(x->idem_name));
    REC_SET(&request, idem_drop_request, hash,
            ((struct om_str){ (const char *)x->idem_hash, sizeof(x->idem_hash) }));
    rec_encode(ops[OP_idem_drop].request, &request, &body);
    struct wire_msg msg = exchange_msg(x, true, traceparent);
    WIRE_SET(&msg, queue, om_str(queues[ops[OP_idem_drop].queue].name));
    WIRE_SET(&msg, kind, om_str(ops[OP_idem_drop].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    if (!body.failed) // lost, it ends by itself
        om_client_send(x->edge->client, WIRE_CALL, &msg, om_buf_str(&body), KEEP_MS,
                       ignore, NULL);
}

void
keyed_abandon(struct exchange *x)
{
    if (x->claimed)
        drop(x);
}

static void
on_claimed(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct idem_claim_reply first;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(ops[OP_idem_claim].reply, answer->payload, &first, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the answer about the key is malformed");
        return;
    }
    if (REC_HAS(&first, idem_claim_reply, status)) {
        reply_again(x, &first);
        return;
    }
    x->claimed = true;
    if (exchange_request(x))
        run(x);
    else // the client has left, and its request with it
        exchange_abandon(x);
}

static void
claim(struct exchange *x)
{
    const struct om_http_request *asked = exchange_request(x);
    struct idem_claim_request request = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf content = { 0 };
    om_pack_bin(&content, asked->body);
    for (size_t i = 0; i < asked->query_count; i++) {
        om_pack_str(&content, asked->query[i].name);
        om_pack_str(&content, asked->query[i].value);
    }
    keyed_identify(x, om_buf_str(&content));
    REC_SET(&request, idem_claim_request, name, om_str(x->idem_name));
    REC_SET(&request, idem_claim_request, hash,
            ((struct om_str){ (const char *)x->idem_hash, sizeof(x->idem_hash) }));
    if (content.failed)
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no memory for the request");
    else
        exchange_call(x, OP_idem_claim, true, &request, 0, on_claimed);
}

void
keyed_handle(struct exchange *x)
{
    enum keyed_by by = keyed_by(x->route);
    if (by != KEYED_NOBODY && !read_key(x))
        return;
    if (by == KEYED_CLAIM && x->idem_key.data)
        claim(x);
    else
        run(x);
}

// ---- the answer of a request that has a claim

static void
on_kept(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    (void)answer; // it was done, whether a repeat will know that or not
    x->pending = 0;
    exchange_reply(x, x->record);
}

static struct om_str
find_location(const struct om_http_response *response)
{
    for (size_t i = 0; i < response->field_count; i++)
        if (om_str_eq(response->fields[i].name, OM_LIT("location")))
            return response->fields[i].value;
    return (struct om_str){ 0 };
}

static struct om_str
copy(struct exchange *x, struct om_str text)
{
    return (struct om_str){ om_arena_strdup(&x->arena, text), text.size };
}

bool
keyed_finish(struct exchange *x, const struct om_http_response *response)
{
    struct idem_keep_request request = { 0 };
    if (!x->claimed)
        return false;
    if (response->status >= 300 || response->body.size > BODY_MAX) {
        drop(x);
        return false;
    }
    x->claimed = false;
    struct om_http_response *kept = om_arena_alloc(&x->arena, sizeof(*kept));
    *kept = (struct om_http_response){
        .status = response->status,
        .content_type = response->content_type,
        .body = copy(x, response->body),
    };
    REC_SET(&request, idem_keep_request, name, om_str(x->idem_name));
    REC_SET(&request, idem_keep_request, hash,
            ((struct om_str){ (const char *)x->idem_hash, sizeof(x->idem_hash) }));
    REC_SET(&request, idem_keep_request, status, response->status);
    REC_SET(&request, idem_keep_request, body, kept->body);
    struct om_str location = find_location(response);
    if (location.data) {
        location = copy(x, location);
        REC_SET(&request, idem_keep_request, location, location);
        om_http_response_field(kept, "location", location);
    }
    x->record = kept;
    om_buf_reset(&x->edge->out);
    exchange_call(x, OP_idem_keep, true, &request, KEEP_MS, on_kept);
    return true;
}

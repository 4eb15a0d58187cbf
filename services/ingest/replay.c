#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "admit.h"
#include "http_target.h"
#include "json.h"
#include "request_note.h"

enum { REPLAY_BODY_MAX = 1024 * 1024 };

REC_DEFINE(replay_item, REPLAY_ITEM);

// ---- the answer

void
replay_part(struct exchange *x)
{
    if (x->other)
        x->other->other = NULL;
    x->other = NULL;
}

// A body that is read while it is sent is nobody's to read here.
static void
close_source(const struct om_http_response *response)
{
    if (response->source.close)
        response->source.close(response->source.context);
}

void
replay_end(struct exchange *x, const struct om_http_response *response)
{
    struct exchange *asker = x->other;
    struct edge *edge = x->edge;
    struct replay_item item = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf headers = { 0 }, body = { 0 };
    char id[OM_TYPEID_MAX], tenant[OM_TYPEID_MAX];
    int status = response->status;
    bool streamed = response->source.read != NULL;
    int64_t bytes = streamed ? response->source_bytes : (int64_t)response->body.size;
    bool whole = !streamed && bytes <= REPLAY_BODY_MAX;
    close_source(response);
    request_put_reply_headers(response, &headers);
    om_buf_put(&body, response->body.data, whole ? response->body.size : 0);
    memcpy(id, x->id_text, sizeof(id));
    memcpy(tenant, x->caller.tenant_text, sizeof(tenant));
    om_buf_reset(&edge->out);
    exchange_abandon(x);
    if (!asker)
        return;
    if (headers.failed || body.failed) {
        exchange_fail(asker, OM_EUNAVAILABLE, NULL, "there is no memory for the answer");
        return;
    }
    REC_SET(&item, replay_item, id, om_str(id));
    REC_SET(&item, replay_item, object, OM_LIT("replay"));
    REC_SET(&item, replay_item, request, asker->params[0]);
    REC_SET(&item, replay_item, tenant, om_str(tenant));
    REC_SET(&item, replay_item, status, status);
    REC_SET(&item, replay_item, headers, om_buf_str(&headers));
    REC_SET(&item, replay_item, body_bytes, bytes);
    if (whole)
        REC_SET(&item, replay_item, body, om_buf_str(&body));
    exchange_reply_record(asker, &replay_item_rec, &item);
}

// ---- the request

static struct om_str
copy(struct exchange *x, struct om_str text)
{
    return (struct om_str){ om_arena_strdup(&x->arena, text), text.size };
}

// Header fields that the handlers of routes read; who asks and how it is cached is the
// replay's own.
static void
add_headers(struct exchange *x, struct om_http_request *request, struct om_str headers)
{
    static const char *const names[] = { "content-type", "if-match", "if-none-match",
                                         "prefer" };
    struct rec_iter iter = rec_iter(headers);
    struct header_item item;
    struct om_str bytes;
    while (rec_next_rec(&iter, &header_item_rec, &item, &bytes))
        for (size_t i = 0; i < OM_COUNT(names); i++)
            if (om_str_eq(item.name, om_str(names[i])) &&
                request->field_count < OM_HTTP_FIELDS_MAX)
                request->fields[request->field_count++] =
                    (struct om_http_field){ om_str(names[i]), copy(x, item.value) };
}

// Make the request of the replay in its arena. NULL: it is none that can be made.
static struct om_http_request *
make_request(struct exchange *x, const struct request_get_reply *kept)
{
    struct om_http_request *request = om_arena_alloc(&x->arena, sizeof(*request));
    struct om_http_tables *tables = om_arena_alloc(&x->arena, sizeof(*tables));
    struct om_str target = copy(x, kept->path);
    if (kept->query.size) {
        target.data =
            om_arena_printf(&x->arena, "%.*s?%.*s", (int)kept->path.size, kept->path.data,
                            (int)kept->query.size, kept->query.data);
        target.size = kept->path.size + 1 + kept->query.size;
    }
    char *decoded = om_arena_alloc(&x->arena, target.size + 1);
    for (int i = 0; i < OM_HTTP_METHOD_COUNT; i++)
        if (om_str_eq(kept->method, om_str(om_http_method_name((enum om_http_method)i))))
            request->method = (enum om_http_method)i;
    request->minor_version = 1;
    request->segments = tables->segments;
    request->query = tables->query;
    request->fields = tables->fields;
    request->remote = om_arena_strdup(&x->arena, om_str(x->remote));
    if (om_http_target_parse(target, decoded, request))
        return NULL;
    add_headers(x, request, kept->headers);
    request->body = copy(x, kept->body);
    request->has_body = kept->body.size > 0;
    request->content_length = (int64_t)kept->body.size;
    return request;
}

// Why it cannot be replayed; NULL: it can.
static const char *
why_not(const struct request_get_reply *kept)
{
    if (kept->redacted)
        return "something secret was taken out of it";
    if (om_str_eq(kept->body_kept, OM_LIT("cut")))
        return "its body is longer than what is kept of one";
    if (om_str_eq(kept->body_kept, OM_LIT("unread")))
        return "it was answered before its body was read";
    if (om_str_eq(kept->body_kept, OM_LIT("binary")))
        return "its body is no text, and was not kept";
    return kept->path.size ? NULL : "its client had left";
}

// Give the replay its route. False: it has none that can be replayed.
static bool
find_route(struct exchange *x)
{
    struct om_str params[ROUTE_PARAMS_MAX] = { 0 };
    char allow[128];
    x->route = route_find(x->instead, params, allow, sizeof(allow));
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && params[i].data; i++)
        x->params[i] = copy(x, params[i]);
    return x->route && x->route->auth == AUTH_KEY && !x->route->on_head &&
           !x->route->on_body && x->route->on_request != request_replay &&
           x->instead->body.size <=
               (x->route->body_max ? x->route->body_max : OM_HTTP_BODY_MAX);
}

// Ask it in the sandbox's name.
static void
begin(struct exchange *asker, const struct caller *caller)
{
    struct om_http_request nothing = { .remote = asker->remote };
    struct exchange *x = exchange_begin(asker->edge, &nothing);
    if (!x) {
        exchange_fail(asker, OM_EUNAVAILABLE, NULL, "there is no memory for the replay");
        return;
    }
    x->trace = om_trace_child(&asker->trace);
    x->instead = make_request(x, asker->record);
    x->remote = x->instead ? x->instead->remote : NULL;
    x->secure = asker->secure;
    if (!x->instead || !find_route(x)) {
        exchange_abandon(x);
        exchange_fail(asker, OM_ECONFLICT, "id",
                      "this request cannot be replayed: its route takes no replays");
        return;
    }
    x->other = asker;
    asker->other = x;
    admit_end(asker); // a key that may do one thing at a time does this now
    admit_replay(x, caller);
}

// ---- what was asked for

static void
on_sandbox(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct key_resolve_reply reply;
    struct caller caller;
    if (!exchange_answered(x, answer))
        return;
    if (!x->handle) { // nobody would see the answer
        exchange_abandon(x);
        return;
    }
    if (rec_decode(ops[OP_key_resolve].reply, answer->payload, &reply, NULL) ||
        caller_decode(&reply, &caller)) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the answer about the sandbox is malformed");
        return;
    }
    if (caller.policy->sandbox)
        begin(x, &caller);
    else
        exchange_fail(x, OM_EINTERNAL, NULL, "the answer is about no sandbox");
    caller_drop(&caller);
}

static void
on_kept(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct request_get_reply *kept = om_arena_alloc(&x->arena, sizeof(*kept));
    struct key_resolve_request request = { 0 };
    if (!exchange_answered(x, answer))
        return;
    // The record borrows from the answer, which is gone when the next one comes.
    struct om_str bytes = copy(x, answer->payload);
    if (rec_decode(ops[OP_request_get].reply, bytes, kept, NULL)) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the answer about the request is malformed");
        return;
    }
    if (why_not(kept)) {
        exchange_fail(x, OM_ECONFLICT, "id", "this request cannot be replayed: %s",
                      why_not(kept));
        return;
    }
    x->record = kept;
    REC_SET(&request, key_resolve_request, hash,
            ((struct om_str){ (const char *)x->key_hash, KEY_HASH }));
    REC_SET(&request, key_resolve_request, sandbox, true);
    exchange_call(x, OP_key_resolve, false, &request, 0, on_sandbox);
}

void
request_replay(struct exchange *x)
{
    struct request_get_request request = { 0 };
    if (x->params[0].size > 48) {
        exchange_fail(x, OM_ENOTFOUND, "id", "there is no such request");
        return;
    }
    REC_SET(&request, request_get_request, id, x->params[0]);
    exchange_call(x, OP_request_get, false, &request, 0, on_kept);
}

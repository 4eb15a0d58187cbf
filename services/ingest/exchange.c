#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "admit.h"
#include "clock.h"
#include "commit.h"
#include "cors_reply.h"
#include "exchange.h"
#include "failure_note.h"
#include "id.h"
#include "json.h"
#include "keyed.h"
#include "log.h"
#include "parts.h"
#include "replay.h"
#include "request_note.h"
#include "stats.h"

enum { CALL_MS = 10000, TEXT_MAX = 512, NUMBER_DIGITS = 18, CLIENT_ID_MAX = 128 };

// ---- life

static void
set_id(struct exchange *x, uint8_t shard)
{
    x->id.bytes[15] = shard;
    om_typeid_encode(OM_ID_REQUEST, &x->id, x->id_text);
}

// What the client calls its request, if that can stand in a header field and a log.
static struct om_str
read_client_id(struct exchange *x, const struct om_http_request *request)
{
    struct om_str text = om_http_field(request, "x-request-id");
    if (text.size == 0 || text.size > CLIENT_ID_MAX)
        return (struct om_str){ 0 };
    for (size_t i = 0; i < text.size; i++)
        if (!isalnum((unsigned char)text.data[i]) && !strchr("-_.:/+=@~", text.data[i]))
            return (struct om_str){ 0 };
    return (struct om_str){ om_arena_strdup(&x->arena, text), text.size };
}

void
exchange_name(const struct exchange *x, struct om_http_response *response)
{
    bool named = x->client_id.data != NULL;
    om_http_response_field(response, "x-request-id",
                           named ? x->client_id : om_str(x->id_text));
    if (named)
        om_http_response_field(response, "omni-request-id", om_str(x->id_text));
}

struct exchange *
exchange_begin(struct edge *edge, struct om_http_request *request)
{
    struct exchange *x = edge->idle;
    if (x)
        LL_DELETE(edge->idle, x);
    else
        x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    struct om_arena arena = x->arena;
    memset(x, 0, sizeof(*x));
    x->arena = arena;
    x->edge = edge;
    x->handle = request->handle;
    x->id = om_id_new(0);
    set_id(x, 0);
    x->started_us = om_clock_mono_us();
    DL_APPEND(edge->busy, x);
    stats_begin();
    const struct proxies *proxies = &edge->ingest->proxies;
    x->remote = proxy_client(proxies, request, &x->arena);
    x->client_id = read_client_id(x, request);
    x->secure = proxy_is_secure(proxies, request, edge->ingest->tls != NULL);
    traced_begin(x, request);
    return x;
}

void
exchange_abandon(struct exchange *x)
{
    struct edge *edge = x->edge;
    traced_end(x);
    if (x->pending)
        om_client_forget(edge->client, x->pending);
    keyed_abandon(x);
    if (x->upload)
        om_blob_abort(&x->upload->writer);
    if (x->commit)
        commit_forget(x->commit);
    if (x->stream)
        stream_forget(x);
    parts_forget(x);
    replay_part(x);
    quota_finish(x, x->replayed ? 409 : x->status); // a repeat has no use of its own
    cached_end(x);
    guess_end(x);
    admit_asked(x);
    admit_end(x);
    caller_drop(&x->caller);
    om_arena_reset(&x->arena);
    DL_DELETE(edge->busy, x);
    LL_PREPEND(edge->idle, x);
    stats_end();
}

void
exchange_gone(struct exchange *x)
{
    bool waits = x->pending || x->commit || x->cached.asked_stamp || x->other;
    bool goes_on = waits && x->authenticated && x->route->flags & ROUTE_MUTATES;
    x->handle = 0;
    if (!goes_on && !cached_is_awaited(x)) {
        if (x->on_gone)
            x->on_gone(x);
        exchange_abandon(x);
    }
}

struct om_http_request *
exchange_request(struct exchange *x)
{
    return x->instead ? x->instead : om_http_find(x->edge->loop, x->handle);
}

// ---- who asks

static struct om_str
copy(struct exchange *x, struct om_str text, size_t max)
{
    text.size = text.size < max ? text.size : max;
    return (struct om_str){ text.data ? om_arena_strdup(&x->arena, text) : NULL,
                            text.size };
}

void
exchange_identify(struct exchange *x, const struct caller *caller)
{
    const struct om_http_request *request = exchange_request(x);
    x->caller = caller_hold(caller);
    x->authenticated = true;
    traced_identify(x);
    set_id(x, om_uuid_shard(&caller->tenant));
    if (x->route->action && request) {
        x->ip = copy(x, om_str(x->remote), 64);
        x->agent = copy(x, om_http_field(request, "user-agent"), 256);
        snprintf(x->resource, sizeof(x->resource), "%.*s", (int)x->params[0].size,
                 x->params[0].data ? x->params[0].data : "");
    }
}

// ---- what is asked

// A decimal number that is one in JSON too: no plus, no leading zeros, not too big.
static bool
is_number(struct om_str text)
{
    size_t at = text.size > 0 && text.data[0] == '-', digits = 0, dots = 0;
    bool padded = text.size > at + 1 && text.data[at] == '0' && text.data[at + 1] != '.';
    for (; at < text.size; at++) {
        bool digit = text.data[at] >= '0' && text.data[at] <= '9';
        if (!digit && (text.data[at] != '.' || digits == 0 || dots++ > 0))
            return false;
        digits += digit;
    }
    return digits > 0 && digits <= NUMBER_DIGITS && !padded && text.data[at - 1] != '.';
}

// A text from path or query as JSON of the field's type, so that one reader checks all.
static void
put_member(struct om_buf *out, const struct rec *type, struct om_str name,
           struct om_str value)
{
    const struct rec_field *field = NULL;
    for (size_t i = 0; i < type->count; i++)
        if (om_str_eq(name, type->fields[i].key))
            field = &type->fields[i];
    if (value.size == 0 && (!field || field->type == REC_STR))
        return; // "?after=" is as if it were not there
    om_json_put(out, out->size > 1 ? "," : "");
    om_json_put_str(out, name);
    om_json_put(out, ":");
    bool plain =
        field &&
        ((field->type == REC_BOOL &&
          (om_str_eq(value, OM_LIT("true")) || om_str_eq(value, OM_LIT("false")))) ||
         ((field->type == REC_I64 || field->type == REC_F64) && is_number(value)));
    if (plain)
        om_buf_put(out, value.data, value.size);
    else
        om_json_put_str(out, value);
}

// Is a parameter before the one at `at` of the same name?
static bool
is_repeated(const struct om_http_request *request, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (om_str_eq(request->query[i].name, request->query[at].name))
            return true;
    return false;
}

// False: refused, and replied.
static bool
put_parameters(struct exchange *x, const struct om_http_request *request,
               const struct rec *type, struct om_buf *out)
{
    om_json_put(out, "{");
    if (x->route->param)
        put_member(out, type, om_str(x->route->param), x->params[0]);
    for (size_t i = 0; i < request->query_count; i++) {
        const struct om_http_field *one = &request->query[i];
        if (is_repeated(request, i)) {
            char name[64];
            snprintf(name, sizeof(name), "%.*s", (int)one->name.size, one->name.data);
            exchange_fail(x, OM_EINVAL, name, "\"%s\" must be given once", name);
            return false;
        }
        put_member(out, type, one->name, one->value);
    }
    om_json_put(out, "}");
    return true;
}

// The parameter of the path as the INTERNAL field of a record that came as a body.
// False: there can be no such object, and that was replied.
static bool
set_parameter(struct exchange *x, const struct rec *type, void *record)
{
    for (size_t i = 0; x->route->param && i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (strcmp(field->name, x->route->param) != 0 || field->type != REC_STR)
            continue;
        if ((double)x->params[0].size > field->high) {
            exchange_fail(x, OM_ENOTFOUND, field->name, "there is no such object");
            return false;
        }
        *(struct om_str *)((char *)record + field->offset) = x->params[0];
        *(uint64_t *)record |= UINT64_C(1) << i;
    }
    return true;
}

void *
exchange_read(struct exchange *x, const struct rec *type)
{
    const struct om_http_request *request = exchange_request(x);
    struct om_json_error error;
    OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
    if (x->route->flags & ROUTE_BODY)
        om_buf_put(&text, request->body.data, request->body.size);
    else if (!put_parameters(x, request, type, &text))
        return NULL;
    void *record = om_arena_alloc(&x->arena, type->size);
    if (om_json_to_record(type, om_buf_str(&text), &x->arena, record, &error) == OM_OK)
        return !(x->route->flags & ROUTE_BODY) || set_parameter(x, type, record) ? record
                                                                                 : NULL;
    exchange_fail(x, OM_EINVAL, error.param, "%s", error.text);
    return NULL;
}

// ---- asking the broker

struct wire_msg
exchange_msg(struct exchange *x, bool effect, char *traceparent)
{
    struct wire_msg msg = { 0 };
    if (!x->traced.waits) { // else nobody knows yet what goes on here
        om_trace_format(&x->trace, traceparent);
        WIRE_SET(&msg, traceparent, om_str(traceparent));
        if (x->traced.believed && x->traced.state.size)
            WIRE_SET(&msg, tracestate, x->traced.state);
    }
    if (x->authenticated)
        WIRE_SET(&msg, tenant, om_str(x->caller.tenant_text));
    if (effect)
        WIRE_SET(&msg, id, om_str(x->id_text));
    return msg;
}

void
exchange_send(struct exchange *x, enum wire_type type, struct wire_msg *msg,
              struct om_str payload, int64_t timeout_ms, om_answer_fn *fn)
{
    x->pending = om_client_send(x->edge->client, type, msg, payload, timeout_ms, fn, x);
    if (!x->pending)
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "too many requests wait for answers");
}

void
exchange_call(struct exchange *x, enum op op, bool effect, const void *request,
              int64_t limit_ms, om_answer_fn *fn)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1], grant[OM_GRANT_MAX];
    const struct queue_info *queue = &queues[ops[op].queue];
    if (limit_ms == 0)
        limit_ms = queue->hard_ms ? queue->hard_ms : CALL_MS;
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    struct wire_msg msg = exchange_msg(x, effect, traceparent);
    WIRE_SET(&msg, queue, om_str(queue->name));
    WIRE_SET(&msg, kind, om_str(ops[op].name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    if (x->parts && op == x->route->op)
        WIRE_SET(&msg, limit, PARTS_WINDOW);
    if (x->idem_key.data && op == x->route->op && keyed_by(x->route) == KEYED_SERVICE) {
        WIRE_SET(&msg, idem_key, om_str(x->idem_name));
        WIRE_SET(&msg, hash,
                 ((struct om_str){ (const char *)x->idem_hash, sizeof(x->idem_hash) }));
    }
    if (ops[op].queue == QUEUE_INFERENCE) { // its workers may share no directory
        struct om_grant claims = { .tenant = x->caller.tenant,
                                   .expires_ms = om_clock_wall_ms() + 2 * limit_ms,
                                   .rights = OM_GRANT_READ };
        memcpy(claims.task, x->id_text, sizeof(x->id_text));
        om_grant_mint(&x->edge->ingest->secret, &claims, grant);
        WIRE_SET(&msg, grant, om_str(grant));
    }
    rec_encode(ops[op].request, request, &body);
    if (body.failed || body.size > WIRE_PAYLOAD_MAX)
        exchange_fail(x, OM_ETOOBIG, NULL, "the request is larger than a message may be");
    else
        exchange_send(x, WIRE_CALL, &msg, om_buf_str(&body), limit_ms, fn);
}

bool
exchange_answered(struct exchange *x, const struct om_answer *answer)
{
    const struct wire_msg *msg = answer->msg;
    x->pending = 0;
    x->replayed = x->replayed || (msg && msg->type == WIRE_REPLY && msg->duplicate);
    if (answer->rc == OM_OK)
        return true;
    struct om_str text =
        msg && msg->text.size ? msg->text : om_str(om_rc_info(answer->rc)->text);
    char param[64] = "";
    if (msg)
        snprintf(param, sizeof(param), "%.*s", (int)msg->param.size,
                 msg->param.data ? msg->param.data : "");
    exchange_fail(x, answer->rc, param, "%.*s", (int)text.size, text.data);
    return false;
}

// ---- replies

struct audit_event
exchange_audit_event(const struct exchange *x, const char *result)
{
    struct audit_event event = { 0 };
    REC_SET(&event, audit_event, actor, om_str(x->caller.key));
    REC_SET(&event, audit_event, action, om_str(x->route->action));
    REC_SET(&event, audit_event, resource, om_str(x->resource));
    REC_SET(&event, audit_event, result, om_str(result));
    REC_SET(&event, audit_event, ip, x->ip);
    if (x->agent.data)
        REC_SET(&event, audit_event, user_agent, x->agent);
    REC_SET(&event, audit_event, correlation, om_str(x->id_text));
    return event;
}

// What an operator did to a tenant stands in that tenant's log too.
static void
audit_target(struct exchange *x, const struct audit_event *event)
{
    struct om_uuid tenant;
    char text[OM_TYPEID_MAX];
    if (x->route->scope != SCOPE_OPERATOR || !(x->route->flags & ROUTE_MUTATES) ||
        om_typeid_decode(OM_ID_TENANT, x->params[0], &tenant) != OM_OK ||
        om_uuid_eq(&tenant, &x->caller.tenant))
        return;
    om_typeid_encode(OM_ID_TENANT, &tenant, text);
    report_audit(&x->edge->report, text, om_uuid_shard(&tenant), event);
}

static void
audit(struct exchange *x, int status)
{
    if (!x->route || !x->route->action || !x->authenticated || x->limited)
        return;
    const char *result = status < 400                     ? "success"
                         : status == 401 || status == 403 ? "denied"
                                                          : "failed";
    struct audit_event event = exchange_audit_event(x, result);
    report_audit(&x->edge->report, x->caller.tenant_text,
                 om_uuid_shard(&x->caller.tenant), &event);
    if (status < 400)
        audit_target(x, &event);
}

static void
log_reply(const struct exchange *x, int status)
{
    char trace_id[33];
    om_trace_id_text(&x->trace, trace_id);
    om_log_context(trace_id, x->id_text);
    // What has no caller, such as /readyz, is asked all the time.
    bool failed = status >= 500 && x->route && x->route->auth != AUTH_NONE;
    om_log(failed ? OM_ERROR : OM_DEBUG, "answered",
           LOG_S("route", x->route ? x->route->pattern : ""), LOG_I("status", status),
           LOG_S("tenant", x->caller.tenant_text),
           LOG_S("client", x->handle ? x->remote : ""),
           LOG_S("scheme", x->secure ? "https" : "http"),
           LOG_I("dur_us", om_clock_mono_us() - x->started_us));
    om_log_context(NULL, NULL);
}

// Add the fields that every response has, and take note of it.
static void
note_reply(struct exchange *x, struct om_http_response *response)
{
    struct edge *edge = x->edge;
    exchange_name(x, response);
    admit_fields(x, response);
    cors_fields(x, response);
    cached_fields(x, response);
    if (x->replayed && response->status < 400)
        om_http_response_field(response, "idempotent-replayed", OM_LIT("true"));
    if (x->version)
        om_http_response_field(response, "omni-version", om_str(x->version));
    if (response->status == 401)
        om_http_response_field(response, "www-authenticate", OM_LIT("Bearer"));
    stats_reply(x, response->status);
    x->status = response->status;
    if (x->limited)
        atomic_fetch_add_explicit(&edge->ingest->limited, 1, memory_order_relaxed);
    audit(x, response->status);
    log_reply(x, response->status);
    if (response->status >= 400)
        request_note(x, response);
    failure_note(x, response->status);
}

void
exchange_begin_reply(struct exchange *x, struct om_http_response *response)
{
    note_reply(x, response);
    request_hold(x);
    traced_hold(x, exchange_request(x));
    om_http_begin(x->edge->loop, x->handle, response);
}

void
exchange_reply(struct exchange *x, struct om_http_response *response)
{
    struct edge *edge = x->edge;
    if (keyed_finish(x, response))
        return;
    note_reply(x, response);
    traced_reply(x, exchange_request(x), response->status);
    if (x->instead) {
        replay_end(x, response);
        return;
    }
    om_http_respond(edge->loop, x->handle, response);
    om_buf_reset(&edge->out);
    exchange_abandon(x);
}

void
exchange_reply_json(struct exchange *x, struct om_http_response *response)
{
    response->content_type = OM_LIT("application/json");
    response->body = om_buf_str(&x->edge->out);
    if (!x->edge->out.failed) {
        exchange_reply(x, response);
        return;
    }
    struct om_http_response empty = { .status = 503 };
    exchange_reply(x, &empty);
}

void
exchange_reply_record(struct exchange *x, const struct rec *type, const void *record)
{
    om_json_put_record(&x->edge->out, type, record);
    struct om_http_response response = { .status = x->route->status };
    exchange_reply_json(x, &response);
}

void
exchange_fail_as(struct exchange *x, int status, const struct error_text *error,
                 const char *retry_after)
{
    struct om_http_response response = { .status = status };
    stats_error(error->code);
    cached_fail(x, status, error, retry_after);
    x->code = om_arena_strdup(&x->arena, om_str(error->code));
    if (status >= 500)
        x->failure = om_arena_strdup(&x->arena, error->message);
    om_buf_reset(&x->edge->out);
    error_write(&x->edge->out, error, x->id_text);
    if (x->stream) {
        response.content_type = OM_LIT("text/event-stream");
        response.body = om_buf_str(&x->edge->out);
        request_note(x, &response);
        failure_note(x, status);
        stream_fail(x, response.body);
        om_buf_reset(&x->edge->out);
        return;
    }
    om_http_response_field(&response, "retry-after", om_str(retry_after));
    // OpenAI's clients try a 429 again, unless they are told not to.
    if (om_str_eq(om_str(error->code), om_str(om_rc_info(OM_EQUOTA)->code)) ||
        (status == 429 && !retry_after))
        om_http_response_field(&response, "x-should-retry", OM_LIT("false"));
    if (status == 405)
        om_http_response_field(&response, "allow", om_str(x->resource));
    exchange_reply_json(x, &response);
}

void
exchange_fail(struct exchange *x, enum om_rc rc, const char *param, const char *format,
              ...)
{
    const struct om_rc_info *info = om_rc_info(rc);
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct error_text error = {
        .type = info->type, .code = info->code, .param = param, .message = om_str(text)
    };
    bool later = info->http_status == 429 || info->http_status == 503 || rc == OM_EBUSY;
    exchange_fail_as(x, info->http_status, &error, later ? "1" : NULL);
}

void
exchange_refuse(struct exchange *x, int status, const struct error_text *error,
                int64_t retry_s)
{
    char seconds[24] = "";
    if (retry_s > 0)
        snprintf(seconds, sizeof(seconds), "%lld", (long long)retry_s);
    exchange_fail_as(x, status, error, retry_s > 0 ? seconds : NULL);
}

void
exchange_fail_status(struct exchange *x, int status, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct error_text error = error_of_status(status);
    error.message = om_str(text);
    exchange_fail_as(x, status, &error, NULL);
}

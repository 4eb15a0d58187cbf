#include "request_note.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "redact.h"

enum { NAME_MAX = 128, VALUE_MAX = 2048, PATH_MAX_KEPT = 2048, QUERY_MAX_KEPT = 4096 };

// ---- header fields

static unsigned
put_header(struct om_str name, struct om_str value, struct om_buf *out)
{
    struct header_item item = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf name_left = { 0 }, left = { 0 };
    unsigned bits = redact_text(name, NAME_MAX, &name_left);
    for (size_t i = 0; i < name_left.size; i++)
        name_left.data[i] = (char)tolower((unsigned char)name_left.data[i]);
    bits |= redact_field(name, value, VALUE_MAX, &left);
    REC_SET(&item, header_item, name, om_buf_str(&name_left));
    REC_SET(&item, header_item, value, om_buf_str(&left));
    rec_encode(&header_item_rec, &item, out);
    out->failed |= name_left.failed || left.failed;
    return bits;
}

// Does a replay send the field again? Then it matters if it was changed here.
static bool
is_replayed(struct om_str name)
{
    static const char *const names[] = { "content-type", "if-match", "if-none-match",
                                         "prefer" };
    for (size_t i = 0; i < OM_COUNT(names); i++)
        if (name.size == strlen(names[i]) &&
            strncasecmp(name.data, names[i], name.size) == 0)
            return true;
    return false;
}

static unsigned
put_headers(const struct om_http_request *request, struct om_buf *out)
{
    unsigned bits = 0;
    om_pack_array(out, request->field_count);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct om_http_field *field = &request->fields[i];
        unsigned of_this = put_header(field->name, field->value, out);
        if (is_replayed(field->name))
            bits |= of_this;
    }
    return bits;
}

unsigned
request_put_reply_headers(const struct om_http_response *response, struct om_buf *out)
{
    bool typed = response->content_type.data != NULL;
    unsigned bits = 0;
    om_pack_array(out, response->field_count + typed);
    if (typed)
        bits |= put_header(OM_LIT("content-type"), response->content_type, out);
    for (size_t i = 0; i < response->field_count; i++)
        bits |= put_header(response->fields[i].name, response->fields[i].value, out);
    return bits;
}

// ---- the request

// What is in it cannot be looked through.
static bool
is_binary(const struct exchange *x, const struct om_http_request *request)
{
    struct om_str type = om_http_field(request, "content-type"), body = request->body;
    return x->route->on_body || om_http_field(request, "content-encoding").data ||
           (type.size >= 10 && strncasecmp(type.data, "multipart/", 10) == 0) ||
           (body.size && memchr(body.data, '\0', body.size)) ||
           (body.size >= 2 && (memcmp(body.data, "\xff\xfe", 2) == 0 ||
                               memcmp(body.data, "\xfe\xff", 2) == 0));
}

// How much of the body is kept, in one word; the body is in `out`.
static const char *
put_body(const struct exchange *x, const struct om_http_request *request, unsigned *bits,
         struct om_buf *out)
{
    if (!request->has_body || request->content_length == 0)
        return "none";
    if (is_binary(x, request))
        return "binary";
    if (request->body.size == 0)
        return "unread";
    unsigned found = redact_body(request->body, REQUEST_BODY_MAX, out);
    *bits |= found & REDACT_HIT;
    return found & REDACT_CUT ? "cut" : "whole";
}

// What was asked, without its secrets; all of it in the arena of its exchange.
struct request_asked {
    const char *method, *body_kept;
    struct om_str path, query, headers, body;
    int64_t body_bytes;
    bool redacted, failed;
};

static struct om_str
move(struct exchange *x, struct om_buf *from, bool *failed)
{
    struct om_str kept = { om_arena_strdup(&x->arena, om_buf_str(from)), from->size };
    *failed = *failed || from->failed;
    om_buf_finish(from);
    return kept;
}

// NULL: it left, and its request with it.
static const struct request_asked *
look_at(struct exchange *x, const struct om_http_request *request)
{
    struct om_buf path = { 0 }, query = { 0 }, headers = { 0 }, body = { 0 };
    struct request_asked *asked = om_arena_alloc(&x->arena, sizeof(*asked));
    *asked = (struct request_asked){
        .method = om_http_method_name(request ? request->method : x->route->method),
        .body_kept = "unread",
        .body_bytes = request ? (int64_t)request->body.size : 0,
    };
    unsigned bits = 0;
    if (request) {
        bits |= redact_path(request->path, PATH_MAX_KEPT, &path);
        bits |= redact_form(request->query_text, QUERY_MAX_KEPT, &query);
        bits |= put_headers(request, &headers);
        asked->body_kept = put_body(x, request, &bits, &body);
    } else {
        om_pack_array(&headers, 0);
    }
    asked->path = move(x, &path, &asked->failed);
    asked->query = move(x, &query, &asked->failed);
    asked->headers = move(x, &headers, &asked->failed);
    asked->body = move(x, &body, &asked->failed);
    asked->redacted = bits != 0;
    return asked;
}

// Who asks for a request before it is kept would fill the log with that.
static bool
is_about_the_log(const struct route *route)
{
    return route->scope == SCOPE_REQUESTS_READ || route->scope == SCOPE_REQUESTS_REPLAY;
}

// Is it kept if it fails?
static bool
is_kept(const struct exchange *x)
{
    return x->authenticated && x->route && x->route->auth == AUTH_KEY &&
           !is_about_the_log(x->route);
}

void
request_hold(struct exchange *x)
{
    const struct om_http_request *request = exchange_request(x);
    if (request && is_kept(x))
        x->asked = look_at(x, request);
}

struct note {
    struct request_kept kept;
    struct om_buf reply_headers, reply_body, client_id;
    char trace_id[33];
};

static void
note_finish(struct note *note)
{
    om_buf_finish(&note->reply_headers);
    om_buf_finish(&note->reply_body);
    om_buf_finish(&note->client_id);
}

static bool
has_failed(const struct note *note)
{
    return note->reply_headers.failed || note->reply_body.failed ||
           note->client_id.failed;
}

static void
note_request(const struct request_asked *asked, struct note *note)
{
    struct request_kept *kept = &note->kept;
    REC_SET(kept, request_kept, method, om_str(asked->method));
    REC_SET(kept, request_kept, path, asked->path);
    REC_SET(kept, request_kept, query, asked->query);
    REC_SET(kept, request_kept, headers, asked->headers);
    REC_SET(kept, request_kept, body_kept, om_str(asked->body_kept));
    REC_SET(kept, request_kept, body_bytes, asked->body_bytes);
    REC_SET(kept, request_kept, redacted, asked->redacted);
    if (strcmp(asked->body_kept, "whole") == 0 || strcmp(asked->body_kept, "cut") == 0)
        REC_SET(kept, request_kept, body, asked->body);
}

static void
note_answer(const struct exchange *x, const struct om_http_response *response,
            struct note *note)
{
    struct request_kept *kept = &note->kept;
    request_put_reply_headers(response, &note->reply_headers);
    unsigned bits = redact_text(response->body, REQUEST_BODY_MAX, &note->reply_body);
    REC_SET(kept, request_kept, status, response->status);
    if (x->code)
        REC_SET(kept, request_kept, code, om_str(x->code));
    REC_SET(kept, request_kept, reply_headers, om_buf_str(&note->reply_headers));
    REC_SET(kept, request_kept, reply_body, om_buf_str(&note->reply_body));
    REC_SET(kept, request_kept, reply_bytes, (int64_t)response->body.size);
    if (bits & REDACT_CUT)
        REC_SET(kept, request_kept, reply_cut, true);
}

static void
note_caller(const struct exchange *x, struct note *note)
{
    struct request_kept *kept = &note->kept;
    const struct policy *policy = x->caller.policy;
    int64_t took_us = om_clock_mono_us() - x->started_us;
    REC_SET(kept, request_kept, tenant, om_str(x->caller.tenant_text));
    REC_SET(kept, request_kept, id, om_str(x->id_text));
    REC_SET(kept, request_kept, object, OM_LIT("request"));
    REC_SET(kept, request_kept, created_ms, om_clock_wall_ms() - took_us / 1000);
    REC_SET(kept, request_kept, duration_us, took_us);
    REC_SET(kept, request_kept, route, om_str(x->route->pattern));
    REC_SET(kept, request_kept, key_id, om_str(x->caller.key));
    REC_SET(kept, request_kept, sandbox, policy && policy->sandbox);
    if (policy && *policy->user)
        REC_SET(kept, request_kept, user, om_str(policy->user));
    om_trace_id_text(&x->trace, note->trace_id);
    REC_SET(kept, request_kept, trace_id, om_str(note->trace_id));
    if (x->client_id.data &&
        redact_text(x->client_id, x->client_id.size, &note->client_id) == 0)
        REC_SET(kept, request_kept, client_id, om_buf_str(&note->client_id));
}

void
request_note(struct exchange *x, const struct om_http_response *response)
{
    struct request_log *log = &x->edge->requests;
    int64_t now_ms = om_clock_mono_ms();
    if (!is_kept(x) ||
        !request_log_admit(log, x->caller.tenant_text, response->status, now_ms))
        return;
    OM_AUTO(note_finish) struct note note = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf record = { 0 };
    if (!x->asked)
        x->asked = look_at(x, exchange_request(x));
    note_caller(x, &note);
    note_request(x->asked, &note);
    note_answer(x, response, &note);
    rec_encode(&request_kept_rec, &note.kept, &record);
    record.failed |= x->asked->failed || has_failed(&note) ||
                     rec_check(&request_kept_rec, &note.kept, NULL);
    request_log_put(log, x->caller.tenant_text, &record, now_ms);
}

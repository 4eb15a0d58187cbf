// Requests that failed: what was asked and answered, and asking it again in the sandbox.
#include <stdarg.h>
#include <stdio.h>

#include "api.h"
#include "commands.h"
#include "pack.h"
#include "print.h"

enum { LINE_MAX = 4096 };

static const char *
text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void __attribute__((format(printf, 2, 3)))
put_line(struct om_buf *out, const char *format, ...)
{
    char line[LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    om_buf_put(out, line, strlen(line));
    om_buf_put(out, "\n", 1);
}

// Header fields and body, each line behind a mark, as curl -v shows them.
static void
put_message(struct om_buf *out, const char *mark, json_t *headers, const char *body)
{
    size_t index;
    json_t *header;
    json_array_foreach (headers, index, header)
        put_line(out, "%s %s: %s", mark, text_of(header, "name"),
                 text_of(header, "value"));
    for (const char *at = body; *at;) {
        size_t size = strcspn(at, "\n");
        om_buf_put(out, mark, strlen(mark));
        om_buf_put(out, " ", 1);
        om_buf_put(out, at, size);
        om_buf_put(out, "\n", 1);
        at += size + (at[size] == '\n');
    }
}

static void
print_buffer(struct om_buf *out)
{
    om_buf_put(out, "", 1);
    if (!out->failed)
        print_text(out->data);
}

// ---- show

static void
print_request(json_t *request)
{
    OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
    static const char *const names[] = { "id",     "client_id", "route",    "code",
                                         "key_id", "user",      "trace_id", "body_kept" };
    const char *query = text_of(request, "query");
    for (size_t i = 0; i < OM_COUNT(names); i++)
        if (*text_of(request, names[i]))
            put_line(&out, "%-10s %s", names[i], text_of(request, names[i]));
    put_line(&out, "%-10s %" JSON_INTEGER_FORMAT " us", "took",
             json_integer_value(json_object_get(request, "duration_us")));
    put_line(&out, "> %s %s%s%s", text_of(request, "method"), text_of(request, "path"),
             *query ? "?" : "", query);
    put_message(&out, ">", json_object_get(request, "headers"), text_of(request, "body"));
    put_line(&out, "< %" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(request, "status")));
    put_message(&out, "<", json_object_get(request, "reply_headers"),
                text_of(request, "reply_body"));
    print_buffer(&out);
}

int
cmd_request_show(const struct args *args)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "/developer/requests/%s",
                          api_escape(args->positional[0]));
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_request(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

// ---- replay

static void
print_replay(json_t *replay)
{
    OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
    put_line(&out, "%-10s %s", "id", text_of(replay, "id"));
    put_line(&out, "%-10s %s", "sandbox", text_of(replay, "tenant"));
    put_line(&out, "< %" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(replay, "status")));
    put_message(&out, "<", json_object_get(replay, "headers"), text_of(replay, "body"));
    print_buffer(&out);
}

int
cmd_request_replay(const struct args *args)
{
    struct api_reply reply = { 0 };
    const char *key = args_get(args, "idempotency-key");
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    if (key)
        api_set_field(api, "Idempotency-Key", key);
    int status = api_call(api, &reply, "POST", NULL, "/developer/requests/%s/replay",
                          api_escape(args->positional[0]));
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_replay(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

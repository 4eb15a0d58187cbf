#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api.h"
#include "clock.h"
#include "commands.h"
#include "print.h"

// ---- what there is, and how a list of it looks

struct resource {
    const char *command; // the first word
    const char *path;
    struct print_column columns[8];
};

// clang-format off
static const struct resource resources[] = {
    { "keys", "/developer/keys",
      { { "id", "ID", 0 }, { "name", "NAME", 0 }, { "prefix", "KEY", 0 },
        { "scopes", "SCOPES", 0 }, { "used_ms", "USED", PRINT_MILLIS },
        { "expires_ms", "EXPIRES", PRINT_MILLIS }, { "revoked_ms", "REVOKED", PRINT_MILLIS } } },
    { "tenants", "/api/v1/admin/tenants",
      { { "id", "ID", 0 }, { "slug", "SLUG", 0 }, { "name", "NAME", 0 }, { "plan", "PLAN", 0 },
        { "state", "STATE", 0 }, { "region", "REGION", 0 },
        { "created_ms", "CREATED", PRINT_MILLIS } } },
    { "users", "/api/v1/admin/users",
      { { "id", "ID", 0 }, { "email", "EMAIL", 0 }, { "name", "NAME", 0 }, { "state", "STATE", 0 },
        { "roles", "ROLES", 0 }, { "team", "TEAM", 0 } } },
    { "roles", "/api/v1/admin/roles",
      { { "id", "ROLE", 0 }, { "description", "FOR", 0 }, { "scopes", "SCOPES", 0 } } },
    { "teams", "/api/v1/admin/teams",
      { { "id", "ID", 0 }, { "name", "NAME", 0 }, { "requests", "REQUESTS/MIN", 0 },
        { "tokens", "TOKENS/MIN", 0 }, { "concurrent", "AT A TIME", 0 } } },
    { "files", "/v1/files",
      { { "id", "ID", 0 }, { "filename", "NAME", 0 }, { "bytes", "BYTES", 0 },
        { "purpose", "PURPOSE", 0 }, { "created_at", "CREATED", PRINT_SECONDS } } },
    { "models", "/api/v1/models",
      { { "id", "ID", 0 }, { "name", "NAME", 0 }, { "version", "VERSION", 0 },
        { "model_type", "TYPE", 0 }, { "task_id", "TASK", 0 },
        { "created_at", "CREATED", PRINT_SECONDS } } },
    { "tasks", "/api/v1/tasks",
      { { "id", "ID", 0 }, { "kind", "KIND", 0 }, { "status", "STATUS", 0 },
        { "progress", "DONE", PRINT_PERCENT }, { "attempts", "ATTEMPTS", 0 },
        { "lost", "LOST", 0 },
        { "created_at", "CREATED", PRINT_SECONDS } } },
    { "schedules", "/api/v1/schedules",
      { { "id", "ID", 0 }, { "cron", "CRON", 0 }, { "queue", "QUEUE", 0 }, { "kind", "KIND", 0 },
        { "misfire", "MISFIRE", 0 }, { "next_ms", "NEXT", PRINT_MILLIS },
        { "last_task", "LAST TASK", 0 } } },
    { "requests", "/developer/requests",
      { { "id", "ID", 0 }, { "created_ms", "AT", PRINT_MILLIS }, { "status", "STATUS", 0 },
        { "code", "CODE", 0 }, { "method", "METHOD", 0 }, { "path", "PATH", 0 },
        { "client_id", "CLIENT ID", 0 } } },
    { "audit", "/api/v1/compliance/audit",
      { { "id", "ID", 0 }, { "at", "AT", PRINT_MILLIS }, { "actor", "ACTOR", 0 },
        { "action", "ACTION", 0 }, { "resource", "RESOURCE", 0 }, { "result", "RESULT", 0 } } },
    { "usage", "/api/v1/usage",
      { { "meter", "METER", 0 }, { "quantity", "QUANTITY", 0 }, { "unit", "UNIT", 0 } } },
};
// clang-format on

static const struct resource *
find_resource(const struct args *args)
{
    for (size_t i = 0; i < OM_COUNT(resources); i++)
        if (strcmp(resources[i].command, args->command->name) == 0)
            return &resources[i];
    abort(); // the tables of commands and resources do not fit
}

// ---- what all of them have in common

int
finish_object(const struct args *args, struct api **api, struct api_reply *reply,
              int status)
{
    if (args_get(args, "json"))
        print_json(reply->body);
    else if (status == EXIT_DONE)
        print_object(reply->body);
    api_reply_finish(reply);
    api_close(api);
    return status;
}

// "?limit=…&after=…" from those of `names` that were given.
static void
write_query(const struct args *args, const char *const *names, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (; *names; names++) {
        const char *value = args_get(args, *names);
        if (value)
            used += (size_t)snprintf(out + used, size - used, "%c%s=%s", used ? '&' : '?',
                                     *names, api_escape(value));
    }
}

int
cmd_list(const struct args *args)
{
    static const char *const names[] = { "limit", "after", "status",    "queue", "kind",
                                         "code",  "route", "client-id", "since", NULL };
    const struct resource *resource = find_resource(args);
    char query[2048];
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    write_query(args, names, query, sizeof(query));
    int status = api_call(api, &reply, "GET", NULL, "%s%s", resource->path, query);
    if (args_get(args, "json")) {
        print_json(reply.body);
    } else if (status == EXIT_DONE) {
        print_table(json_object_get(reply.body, "data"), resource->columns, "");
        json_t *last = json_object_get(reply.body, "last_id");
        if (json_is_true(json_object_get(reply.body, "has_more")) && last)
            printf("there are more: --after %s\n", json_string_value(last));
    }
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

static int
one(const struct args *args, const char *method, const char *action)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, method, NULL, "%s/%s%s", find_resource(args)->path,
                          api_escape(args->positional[0]), action);
    return finish_object(args, &api, &reply, status);
}

int
cmd_get(const struct args *args)
{
    return one(args, "GET", "");
}

int
cmd_delete(const struct args *args)
{
    return one(args, "DELETE", "");
}

int
cmd_cancel(const struct args *args)
{
    return one(args, "POST", "/cancel");
}

int
cmd_revoke(const struct args *args)
{
    return one(args, "POST", "/revoke");
}

int
cmd_verify(const struct args *args)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "POST", NULL, "/api/v1/compliance/audit/verify");
    if (status == EXIT_DONE && !json_is_true(json_object_get(reply.body, "valid")))
        status = EXIT_REFUSED;
    if (status == EXIT_REFUSED && reply.status == 200 && !args_get(args, "json"))
        print_object(reply.body);
    return finish_object(args, &api, &reply, status);
}

// ---- what is special

// A day, as 2026-11-21 (UTC), or seconds since 1970.
static bool
read_time(const struct args *args, const char *option, json_int_t *out)
{
    int year, month, day, used = 0;
    const char *text = args_get(args, option);
    struct tm parts = { 0 };
    if (!text || (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) == 3 &&
                  text[used] == '\0')) {
        if (text) {
            parts.tm_year = year - 1900;
            parts.tm_mon = month - 1;
            parts.tm_mday = day;
            *out = (json_int_t)timegm(&parts);
        }
        return true;
    }
    int64_t seconds;
    if (!args_get_int(args, option, 0, INT64_C(9000000000000), 0, &seconds))
        return false;
    *out = seconds;
    return true;
}

int
cmd_usage(const struct args *args)
{
    json_int_t from = -1, to = -1;
    char query[96];
    struct api_reply reply = { 0 };
    if (!read_time(args, "from", &from) || !read_time(args, "to", &to))
        return EXIT_USAGE;
    int size = snprintf(query, sizeof(query), "?group_by=meter");
    if (from >= 0)
        size += snprintf(query + size, sizeof(query) - (size_t)size,
                         "&from=%" JSON_INTEGER_FORMAT, from);
    if (to >= 0)
        snprintf(query + size, sizeof(query) - (size_t)size, "&to=%" JSON_INTEGER_FORMAT,
                 to);
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "/api/v1/usage%s", query);
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_table(json_object_get(reply.body, "data"), find_resource(args)->columns,
                    "");
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int
cmd_file_upload(const struct args *args)
{
    struct api_reply reply = { 0 };
    const char *path = args->positional[0], *purpose = args_get(args, "purpose");
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status =
        api_upload(api, &reply, purpose ? purpose : "dataset", base_name(path), path);
    return finish_object(args, &api, &reply, status);
}

int
cmd_schedule_create(const struct args *args)
{
    struct api_reply reply = { 0 };
    const char *const *words = args->positional;
    json_t *payload = NULL;
    if (args->count > 3 && !(payload = read_json(words[3])))
        return EXIT_USAGE;
    struct api *api = api_open(args);
    if (!api) {
        json_decref(payload);
        return EXIT_USAGE;
    }
    json_t *body =
        json_pack("{s:s,s:s,s:s,s:o*,s:s*}", "cron", words[0], "queue", words[1], "kind",
                  words[2], "payload", payload, "misfire", args_get(args, "misfire"));
    int status = api_call(api, &reply, "POST", body, "/api/v1/schedules");
    return finish_object(args, &api, &reply, status);
}

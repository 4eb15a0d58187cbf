// Groups of errors: what fails, how often, and where to look.
#include <stdio.h>
#include <stdlib.h>

#include "api.h"
#include "commands.h"
#include "print.h"

enum { HOURS = 24, LINE_BYTES = 2048, BAR_BYTES = 3 * HOURS + 1 };

static const struct print_column columns[] = {
    { "id", "ID", 0 },
    { "status", "STATUS", 0 },
    { "count", "COUNT", 0 },
    { "bars", "24 HOURS", 0 },
    { "last_seen_ms", "LAST", PRINT_MILLIS },
    { "where", "WHERE", 0 },
    { "title", "ERROR", 0 },
    { "trace_id", "TRACE", 0 },
    { 0 },
};

static const struct print_column sample_columns[] = {
    { "at_ms", "AT", PRINT_MILLIS }, { "task_id", "TASK", 0 },
    { "request_id", "REQUEST", 0 },  { "trace_id", "TRACE", 0 },
    { "message", "MESSAGE", 0 },     { 0 },
};

static const char *
text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

// A bar for each hour, as high as its share of the highest.
static void
write_bars(json_t *hours, char out[BAR_BYTES])
{
    static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    json_int_t most = 0, counts[HOURS] = { 0 };
    size_t used = 0;
    for (size_t i = 0; i < HOURS; i++) {
        counts[i] = json_integer_value(json_array_get(hours, i));
        most = counts[i] > most ? counts[i] : most;
    }
    for (size_t i = 0; i < HOURS; i++) {
        size_t height = most ? (size_t)((double)counts[i] / (double)most * 6.99) : 0;
        const char *bar = counts[i] > 0 ? bars[1 + height] : bars[0];
        used += (size_t)snprintf(out + used, BAR_BYTES - used, "%s", bar);
    }
}

// What the columns show of a group beside its own fields.
static void
add_columns(json_t *group)
{
    char bars[BAR_BYTES], where[256];
    const char *kind = text_of(group, "kind"), *route = text_of(group, "route");
    write_bars(json_object_get(group, "hours"), bars);
    if (*route)
        snprintf(where, sizeof(where), "%s", route);
    else
        snprintf(where, sizeof(where), "%s%s%s", text_of(group, "queue"),
                 *kind ? " " : "", kind);
    json_object_set_new(group, "bars", json_string(bars));
    json_object_set_new(group, "where", json_string(where));
    if (json_is_true(json_object_get(group, "regressed")))
        json_object_set_new(group, "status", json_string("regressed"));
}

// ---- the list

static int
by_last_seen(const void *a, const void *b)
{
    json_t *const *left = a, *const *right = b;
    json_int_t at = json_integer_value(json_object_get(*left, "last_seen_ms"));
    json_int_t other = json_integer_value(json_object_get(*right, "last_seen_ms"));
    return (at < other) - (at > other);
}

// What was seen last comes first.
static json_t *
sorted(json_t *groups)
{
    size_t index, count = json_array_size(groups);
    json_t *group, *out = json_array();
    json_t **list = calloc(count + 1, sizeof(*list));
    json_array_foreach (groups, index, group)
        if (list)
            list[index] = group;
    if (list)
        qsort(list, count, sizeof(*list), by_last_seen);
    for (size_t i = 0; list && i < count; i++)
        json_array_append(out, list[i]);
    free(list);
    return out;
}

static void
print_groups(json_t *reply)
{
    size_t index;
    json_t *group, *groups = sorted(json_object_get(reply, "data"));
    json_array_foreach (groups, index, group)
        add_columns(group);
    print_table(groups, columns, "");
    if (json_is_true(json_object_get(reply, "has_more")))
        printf("there are more: --after %s\n", text_of(reply, "last_id"));
    json_decref(groups);
}

static void
add_to_query(const struct args *args, const char *name, char *query, size_t size)
{
    const char *value = args_get(args, name);
    size_t used = strlen(query);
    if (value)
        snprintf(query + used, size - used, "&%s=%s", name, api_escape(value));
}

int
cmd_errors(const struct args *args)
{
    static const char *const names[] = { "source", "queue", "since", "after" };
    const char *status_wanted = args_get(args, "status");
    const char *limit = args_get(args, "limit");
    bool all = args_get(args, "all");
    char query[LINE_BYTES];
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    snprintf(query, sizeof(query), "?limit=%s", limit ? api_escape(limit) : "100");
    if (!status_wanted || strcmp(status_wanted, "all") != 0)
        snprintf(query + strlen(query), sizeof(query) - strlen(query), "&status=%s",
                 status_wanted ? api_escape(status_wanted) : "open");
    for (size_t i = 0; i < OM_COUNT(names); i++)
        add_to_query(args, names[i], query, sizeof(query));
    int status = api_call(api, &reply, "GET", NULL, "/api/v1/%serrors%s",
                          all ? "admin/" : "", query);
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_groups(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

// ---- one of them

static void
print_line(const char *name, const char *value)
{
    char line[LINE_BYTES];
    if (!*value)
        return;
    snprintf(line, sizeof(line), "%-10s %s", name, value);
    print_text(line);
}

static void
print_count(json_t *group)
{
    char line[128];
    json_int_t retried = json_integer_value(json_object_get(group, "retried"));
    snprintf(line, sizeof(line), "%" JSON_INTEGER_FORMAT,
             json_integer_value(json_object_get(group, "count")));
    if (retried > 0)
        snprintf(line + strlen(line), sizeof(line) - strlen(line),
                 ", of which %" JSON_INTEGER_FORMAT " were tried again", retried);
    print_line("count", line);
}

static void
print_group(json_t *group)
{
    static const char *const names[] = { "id",    "tenant", "status", "source",
                                         "where", "code",   "title" };
    static const struct print_column times[] = { { "first_seen_ms", "FIRST",
                                                   PRINT_MILLIS },
                                                 { "last_seen_ms", "LAST", PRINT_MILLIS },
                                                 { "bars", "24 HOURS", 0 },
                                                 { 0 } };
    add_columns(group);
    for (size_t i = 0; i < OM_COUNT(names); i++)
        print_line(names[i], text_of(group, names[i]));
    print_count(group);
    print_line("worker", text_of(group, "worker"));
    print_line("model", text_of(group, "model"));
    print_line("message", text_of(group, "message"));
    putchar('\n');
    json_t *rows = json_pack("[O]", group);
    print_table(rows, times, "");
    json_decref(rows);
    json_t *samples = json_object_get(group, "samples");
    if (json_array_size(samples) > 0) {
        putchar('\n');
        print_table(samples, sample_columns, "");
    }
    if (*text_of(group, "trace_id")) {
        putchar('\n');
        print_line("see", "omni trace TRACE");
    }
}

static int
one(const struct args *args, const char *method, const char *of, const char *action)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, method, NULL, "/api/v1/%serrors/%s%s", of,
                          api_escape(args->positional[0]), action);
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_group(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

int
cmd_error_show(const struct args *args)
{
    return one(args, "GET", args_get(args, "all") ? "admin/" : "", "");
}

int
cmd_error_change(const struct args *args)
{
    char action[32];
    snprintf(action, sizeof(action), "/%s", args->command->verb);
    return one(args, "POST", "", action);
}

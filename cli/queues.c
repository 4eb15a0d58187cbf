// Queues and limits: what goes on in them, and setting them.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api.h"
#include "clock.h"
#include "commands.h"
#include "print.h"

enum { COUNT_MAX = 1000000, RATE_MAX = 10000, WEIGHT_MAX = 100 };

// ---- showing

static const struct print_column queue_columns[] = {
    { "queue", "QUEUE", 0 },
    { "ready", "READY", 0 },
    { "scheduled", "LATER", 0 },
    { "retrying", "RETRYING", 0 },
    { "blocked", "BLOCKED", 0 },
    { "running", "RUNNING", 0 },
    { "oldest", "OLDEST", 0 },
    { "in_rate", "IN/S", 0 },
    { "out_rate", "OUT/S", 0 },
    { "workers", "WORKERS", 0 },
    { "set", "SET", 0 },
    { "tenant", "TENANT", 0 },
    { 0 },
};

static const struct print_column limit_columns[] = {
    { "limit_key", "KEY", 0 },
    { "running", "RUNNING", 0 },
    { "set", "SET", 0 },
    { 0 },
};

// A time as people write it: of the longest unit that divides it.
static void
write_period(int64_t ms, char *out, size_t size)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };
    for (size_t i = 0; i < OM_COUNT(units); i++)
        if (ms % units[i].ms == 0) {
            int64_t times = ms / units[i].ms;
            int used = times > 1 ? snprintf(out, size, "%lld", (long long)times) : 0;
            snprintf(out + used, size - (size_t)used, "%s", units[i].unit);
            return;
        }
    snprintf(out, size, "%lldms", (long long)ms);
}

// What is set, in one cell: "paused, 4 at a time, 10/m, weight 3".
static void
add_set(json_t *item)
{
    const json_t *settings = json_object_get(item, "settings");
    char text[160] = "", period[32];
    size_t used = 0;
    int64_t concurrency = json_integer_value(json_object_get(settings, "concurrency"));
    int64_t rate = json_integer_value(json_object_get(settings, "rate"));
    int64_t weight = json_integer_value(json_object_get(settings, "weight"));
    write_period(json_integer_value(json_object_get(settings, "rate_ms")), period,
                 sizeof(period));
    if (json_is_true(json_object_get(settings, "paused")))
        used += (size_t)snprintf(text, sizeof(text), ", paused");
    if (concurrency)
        used += (size_t)snprintf(text + used, sizeof(text) - used, ", %lld at a time",
                                 (long long)concurrency);
    if (rate)
        used += (size_t)snprintf(text + used, sizeof(text) - used, ", %lld/%s",
                                 (long long)rate, period);
    if (weight)
        snprintf(text + used, sizeof(text) - used, ", weight %lld", (long long)weight);
    json_object_set_new(item, "set", json_string(text[0] ? text + 2 : ""));
}

static void
add_cells(json_t *item)
{
    char text[32];
    double seconds = json_number_value(json_object_get(item, "oldest_ms")) / 1000;
    snprintf(text, sizeof(text), seconds < 10 ? "%.1f s" : "%.0f s", seconds);
    json_object_set_new(item, "oldest", json_string(text));
    if (!json_object_get(item, "limit_key"))
        json_object_set_new(item, "limit_key", json_string("(all jobs)"));
    add_set(item);
}

static void
print_items(json_t *items, const struct print_column *columns)
{
    size_t index;
    json_t *item;
    json_array_foreach (items, index, item)
        add_cells(item);
    print_table(items, columns, "");
}

static int
show(struct api *api, const struct args *args, const char *path,
     const struct print_column *columns)
{
    struct api_reply reply = { 0 };
    int status = api_call(api, &reply, "GET", NULL, "%s", path);
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_items(json_object_get(reply.body, "data"), columns);
    api_reply_finish(&reply);
    return status;
}

int
cmd_queues(const struct args *args)
{
    const char *path = args_get(args, "all") ? "/api/v1/admin/queues" : "/api/v1/queues";
    int64_t watch_s;
    if (!args_get_int(args, "watch", 1, 3600, 0, &watch_s))
        return EXIT_USAGE;
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = show(api, args, path, queue_columns);
    while (status == EXIT_DONE && watch_s > 0) {
        fflush(stdout);
        sleep((unsigned)watch_s);
        printf(isatty(STDOUT_FILENO) ? "\033[H\033[J" : "\n");
        status = show(api, args, path, queue_columns);
    }
    api_close(&api);
    return status;
}

int
cmd_limits(const struct args *args)
{
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = show(api, args, "/api/v1/limits", limit_columns);
    api_close(&api);
    return status;
}

// ---- setting

// "10/s", "100/5m", "3/500ms": so many in any such time; "0" for no limit.
static bool
read_rate(const char *text, json_t *body)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                  { "h", 3600000 }, { "d", 86400000 }, { "", 1000 } };
    char *end;
    long long count = strtoll(text, &end, 10), times = 1;
    bool good = end != text && count >= 0 && count <= RATE_MAX;
    if (good && *end == '/') {
        const char *at = end + 1;
        times = strtoll(at, &end, 10);
        times = end == at ? 1 : times;
        good = times > 0 && times <= 86400000 && *end;
    }
    for (size_t i = 0; good && i < OM_COUNT(units); i++)
        if (strcmp(end, units[i].unit) == 0) {
            json_object_set_new(body, "rate", json_integer(count));
            json_object_set_new(body, "rate_ms", json_integer(times * units[i].ms));
            return true;
        }
    args_fail(0, "--rate: %s is no number of starts and a time, such as 10/s or 100/5m",
              text);
    return false;
}

// What is to be set, from the options. NULL after a message.
static json_t *
read_settings(const struct args *args)
{
    static const struct {
        const char *option;
        int64_t max;
    } numbers[] = { { "concurrency", COUNT_MAX }, { "weight", WEIGHT_MAX } };
    json_t *body = json_object();
    const char *rate = args_get(args, "rate");
    bool good = !rate || read_rate(rate, body);
    for (size_t i = 0; i < OM_COUNT(numbers) && good; i++) {
        int64_t value;
        good = args_get_int(args, numbers[i].option, 0, numbers[i].max, -1, &value);
        if (good && value >= 0)
            json_object_set_new(body, numbers[i].option, json_integer(value));
    }
    if (good && args_get(args, "queue"))
        json_object_set_new(body, "queue", json_string(args_get(args, "queue")));
    if (good && json_object_size(body) > 0)
        return body;
    json_decref(body);
    if (good)
        args_fail(0, "nothing to set: give --concurrency N or --rate N/TIME");
    return NULL;
}

static int
set(const struct args *args, const char *path, const char *tail)
{
    struct api_reply reply = { 0 };
    json_t *body = read_settings(args);
    struct api *api = body ? api_open(args) : NULL;
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, "PUT", body, "%s/%s%s", path,
                          api_escape(args->positional[0]), tail);
    return finish_object(args, &api, &reply, status);
}

int
cmd_queue_set(const struct args *args)
{
    return set(args, "/api/v1/queues", "");
}

int
cmd_limit_set(const struct args *args)
{
    return set(args, "/api/v1/limits", "");
}

int
cmd_limit_tenant(const struct args *args)
{
    return set(args, "/api/v1/admin/tenants", "/limits");
}

int
cmd_queue_steer(const struct args *args)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "POST", NULL, "/api/v1/queues/%s/%s",
                          api_escape(args->positional[0]), args->command->verb);
    return finish_object(args, &api, &reply, status);
}

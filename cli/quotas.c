// Plans and quotas: what there is, what is used of it, and what operators set.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "print.h"

enum { TEXT_MAX = 40 };

static const struct print_column quota_columns[] = {
    { "policy", "QUOTA", 0 },
    { "used", "USED", 0 },
    { "leased", "OUT", 0 },
    { "most", "LIMIT", 0 },
    { "window", "WINDOW", 0 },
    { "resets_ms", "UNTIL", PRINT_MILLIS },
    { 0 },
};

// Quotas have a column each.
static const struct print_column plan_columns[] = {
    { "code", "PLAN", 0 },
    { "requests", "REQUESTS/MIN", 0 },
    { "tokens", "TOKENS/MIN", 0 },
    { "concurrent", "AT A TIME", 0 },
    { "api_calls_month", "CALLS/MONTH", 0 },
    { "ml_inference_day", "PREDICTIONS/DAY", 0 },
    { "storage_bytes", "BYTES STORED", 0 },
    { "compute_month", "COMPUTE MS/MONTH", 0 },
    { "custom_models", "MODELS", 0 },
    { 0 },
};

// What is not limited says so.
static void
show_missing(json_t *item, const char *key)
{
    if (!json_object_get(item, key) || json_is_null(json_object_get(item, key)))
        json_object_set_new(item, key, json_string("any"));
}

static void
add_most(json_t *item)
{
    char text[TEXT_MAX];
    json_t *limit = json_object_get(item, "limit");
    if (!json_is_integer(limit)) {
        json_object_set_new(item, "most", json_string("any"));
        return;
    }
    snprintf(text, sizeof(text), "%lld%s", (long long)json_integer_value(limit),
             json_is_true(json_object_get(item, "overridden")) ? " (own)" : "");
    json_object_set_new(item, "most", json_string(text));
}

static void
add_limits(json_t *plan)
{
    size_t index;
    json_t *quota;
    json_array_foreach (json_object_get(plan, "quotas"), index, quota)
        json_object_set(plan, json_string_value(json_object_get(quota, "policy")),
                        json_object_get(quota, "limit"));
    for (const struct print_column *column = plan_columns; column->key; column++)
        show_missing(plan, column->key);
}

static int
list(const struct args *args, const char *path, const struct print_column *columns,
     void (*add)(json_t *item))
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    size_t index;
    json_t *item;
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "%s", path);
    json_t *data = json_object_get(reply.body, "data");
    if (args_get(args, "json")) {
        print_json(reply.body);
    } else if (status == EXIT_DONE) {
        json_array_foreach (data, index, item)
            add(item);
        print_table(data, columns, "");
    }
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

int
cmd_quotas(const struct args *args)
{
    return list(args, "/api/v1/quotas", quota_columns, add_most);
}

int
cmd_plans(const struct args *args)
{
    return list(args, "/api/v1/plans", plan_columns, add_limits);
}

// ---- setting

// A number, or "plan" for that of the plan. False: neither, and said so.
static bool
read_limit(const char *text, json_t *body, const char *key)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (strcmp(text, "plan") == 0)
        return true;
    if (*text >= '0' && *text <= '9' && *end == '\0' && value <= 9000000000000000) {
        json_object_set_new(body, key, json_integer(value));
        return true;
    }
    args_fail(0, "%s is no limit: give a number, or plan", text);
    return false;
}

int
cmd_quota_set(const struct args *args)
{
    const char *const *words = args->positional;
    struct api_reply reply = { 0 };
    json_t *body = json_object();
    struct api *api = read_limit(words[2], body, "limit") ? api_open(args) : NULL;
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, "PUT", body, "/api/v1/admin/tenants/%s/quotas/%s",
                          api_escape(words[0]), api_escape(words[1]));
    return finish_object(args, &api, &reply, status);
}

// "POLICY=LIMIT,…" as the plan's quotas.
static bool
read_quotas(const char *text, json_t *body)
{
    json_t *quotas = json_array();
    json_object_set_new(body, "quotas", quotas);
    while (*text) {
        size_t size = strcspn(text, ","), name = strcspn(text, "=");
        char limit[TEXT_MAX];
        json_t *quota = json_object();
        json_array_append_new(quotas, quota);
        if (name >= size || size - name > sizeof(limit)) {
            args_fail(0, "--quotas: give POLICY=LIMIT,POLICY=LIMIT,…");
            return false;
        }
        snprintf(limit, sizeof(limit), "%.*s", (int)(size - name - 1), text + name + 1);
        json_object_set_new(quota, "policy", json_stringn(text, name));
        if (!read_limit(limit, quota, "limit"))
            return false;
        text += size + (text[size] == ',');
    }
    return true;
}

static bool
read_plan(const struct args *args, json_t *body)
{
    static const struct {
        const char *option;
        int64_t max;
    } rates[] = { { "requests", 1000000000 },
                  { "tokens", 1000000000000 },
                  { "concurrent", 1000000 } };
    const char *name = args_get(args, "name"), *quotas = args_get(args, "quotas");
    json_object_set_new(body, "name", json_string(name ? name : args->positional[0]));
    for (size_t i = 0; i < OM_COUNT(rates); i++) {
        int64_t value;
        if (!args_get_int(args, rates[i].option, 0, rates[i].max, -1, &value))
            return false;
        if (value >= 0)
            json_object_set_new(body, rates[i].option, json_integer(value));
    }
    return read_quotas(quotas ? quotas : "", body);
}

int
cmd_plan_set(const struct args *args)
{
    struct api_reply reply = { 0 };
    json_t *body = json_object();
    struct api *api = read_plan(args, body) ? api_open(args) : NULL;
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, "PUT", body, "/api/v1/admin/plans/%s",
                          api_escape(args->positional[0]));
    if (status == EXIT_DONE && !args_get(args, "json")) {
        json_t *plans = json_pack("[O]", reply.body);
        add_limits(reply.body);
        print_table(plans, plan_columns, "");
        json_decref(plans);
        api_reply_finish(&reply);
        api_close(&api);
        return status;
    }
    return finish_object(args, &api, &reply, status);
}

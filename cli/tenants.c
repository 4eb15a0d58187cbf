// Tenants, their users, teams and keys.
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "send.h"

static const char users_path[] = "/api/v1/admin/users";
static const char teams_path[] = "/api/v1/admin/teams";
static const char tenants_path[] = "/api/v1/admin/tenants";

#define LIMITS_GIVEN                                                                     \
    { "requests", "requests", GIVEN_NUMBER }, { "tokens", "tokens", GIVEN_NUMBER },      \
    {                                                                                    \
        "concurrent", "concurrent", GIVEN_NUMBER                                         \
    }

// ---- keys

int
cmd_key_create(const struct args *args)
{
    static const struct given given[] = { { "scopes", "scopes", GIVEN_LIST },
                                          { "user", "user", GIVEN_TEXT },
                                          { "team", "team", GIVEN_TEXT },
                                          { "models", "models", GIVEN_LIST },
                                          { "cidrs", "cidrs", GIVEN_LIST },
                                          { "version", "version", GIVEN_TEXT },
                                          LIMITS_GIVEN,
                                          { 0 } };
    json_t *body = json_pack("{s:s}", "name", args->positional[0]);
    if (args_get(args, "test"))
        json_object_set_new(body, "env", json_string("test"));
    if (add_given(args, given, body) && add_days(args, body))
        return send_body(args, "POST", body, "/developer/keys", "", "");
    json_decref(body);
    return EXIT_USAGE;
}

int
cmd_key_rotate(const struct args *args)
{
    enum { HOURS_MAX = 168 };
    int64_t hours;
    json_t *body = json_object();
    if (!args_get_int(args, "overlap", 0, HOURS_MAX, -1, &hours) ||
        !add_days(args, body)) {
        json_decref(body);
        return EXIT_USAGE;
    }
    if (hours >= 0)
        json_object_set_new(body, "overlap_s", json_integer(hours * 3600));
    return send_body(args, "POST", body, "/developer/keys", args->positional[0],
                     "/rotate");
}

// ---- tenants

// "yes" or "no" as a field. False after a message.
static bool
add_yes_no(const struct args *args, const char *option, json_t *body)
{
    const char *text = args_get(args, option);
    bool yes = text && strcmp(text, "yes") == 0;
    if (!text)
        return true;
    if (!yes && strcmp(text, "no") != 0) {
        args_fail(0, "--%s: say yes or no, not %s", option, text);
        return false;
    }
    json_object_set_new(body, option, json_boolean(yes));
    return true;
}

int
cmd_tenant_create(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          { "plan", "plan", GIVEN_TEXT },
                                          { "region", "region", GIVEN_TEXT },
                                          { "sensitivity", "sensitivity", GIVEN_TEXT },
                                          { "owner", "owner_email", GIVEN_TEXT },
                                          { 0 } };
    const char *slug = args->positional[0];
    json_t *body = json_pack("{s:s,s:s}", "slug", slug, "name", slug);
    if (add_given(args, given, body) && add_yes_no(args, "prepaid", body))
        return send_body(args, "POST", body, tenants_path, "", "");
    json_decref(body);
    return EXIT_USAGE;
}

int
cmd_tenant_set(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          { "plan", "plan", GIVEN_TEXT },
                                          { "state", "state", GIVEN_TEXT },
                                          { "region", "region", GIVEN_TEXT },
                                          { "sensitivity", "sensitivity", GIVEN_TEXT },
                                          { 0 } };
    json_t *body = json_object();
    bool good = add_given(args, given, body) && add_yes_no(args, "prepaid", body);
    if (good && json_object_size(body) == 0) {
        args_fail(0, "nothing to change: give --plan, --state, --name, --region, "
                     "--sensitivity or --prepaid");
        good = false;
    }
    if (good)
        return send_body(args, "PATCH", body, tenants_path, args->positional[0], "");
    json_decref(body);
    return EXIT_USAGE;
}

int
cmd_tenant_get(const struct args *args)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = args->count ? api_call(api, &reply, "GET", NULL, "%s/%s", tenants_path,
                                        api_escape(args->positional[0]))
                             : api_call(api, &reply, "GET", NULL, "/api/v1/tenants/me");
    return finish_object(args, &api, &reply, status);
}

int
cmd_tenant_clock(const struct args *args)
{
    const char *text = args->positional[0];
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (end == text || *end)
        return args_fail(EXIT_USAGE, "%s is no number of seconds; write 86400, or -3600",
                         text);
    json_t *body = json_pack("{s:I}", "clock_ms", (json_int_t)seconds * 1000);
    return send_body(args, "PATCH", body, "/api/v1/tenants/me", "", "");
}

// What can be set, each with what is set.
static void
print_settings(json_t *config)
{
    static const struct print_column columns[] = { { "name", "SETTING", 0 },
                                                   { "type", "TYPE", 0 },
                                                   { "value", "VALUE", 0 },
                                                   { "doc", "WHAT IT IS", 0 },
                                                   { 0 } };
    size_t index;
    json_t *setting, *known = json_object_get(config, "known");
    json_array_foreach (known, index, setting) {
        const char *name = json_string_value(json_object_get(setting, "name"));
        json_t *value = json_object_get(json_object_get(config, "settings"), name);
        char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
        json_object_set_new(setting, "value", json_string(text ? text : ""));
        free(text);
    }
    print_table(known, columns, "");
}

static int
show_config(const struct args *args)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "/api/v1/tenants/me/config");
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_settings(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

// "cache=false": JSON, or what is none as a string; without a value the default again.
static bool
add_setting(const char *text, json_t *config)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text) {
        args_fail(0, "%s: write NAME=VALUE, e.g. cache=false or default_model=ets", text);
        return false;
    }
    char *name = strndup(text, (size_t)(equals - text));
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
    if (!value)
        value = equals[1] ? json_string(equals + 1) : json_null();
    json_object_set_new(config, name, value);
    free(name);
    return true;
}

int
cmd_tenant_config(const struct args *args)
{
    if (args->count == 0)
        return show_config(args);
    json_t *config = json_object();
    for (int i = 0; i < args->count; i++)
        if (!add_setting(args->positional[i], config)) {
            json_decref(config);
            return EXIT_USAGE;
        }
    return send_body(args, "PATCH", json_pack("{s:o}", "config", config),
                     "/api/v1/tenants/me", "", "");
}

// ---- users and teams

int
cmd_user_create(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          { "roles", "roles", GIVEN_LIST },
                                          { "team", "team", GIVEN_TEXT },
                                          LIMITS_GIVEN,
                                          { 0 } };
    return send_new(args, "email", given, users_path);
}

int
cmd_user_set(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          { "state", "state", GIVEN_TEXT },
                                          { "team", "team", GIVEN_TEXT },
                                          LIMITS_GIVEN,
                                          { 0 } };
    return send_given(args, "PATCH", given, users_path);
}

int
cmd_user_delete(const struct args *args)
{
    return send_nothing(args, "POST", users_path, "/delete");
}

int
cmd_team_create(const struct args *args)
{
    static const struct given given[] = { LIMITS_GIVEN, { 0 } };
    return send_new(args, "name", given, teams_path);
}

int
cmd_team_set(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          LIMITS_GIVEN,
                                          { 0 } };
    return send_given(args, "PATCH", given, teams_path);
}

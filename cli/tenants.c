// Tenants, their users, roles, teams and keys.
#include <stdio.h>
#include <stdlib.h>

#include "api.h"
#include "clock.h"
#include "commands.h"
#include "print.h"

enum { DAYS_MAX = 36500, DAY_MS = 24 * 3600 * 1000 };

static const char users_path[] = "/api/v1/admin/users";
static const char roles_path[] = "/api/v1/admin/roles";
static const char bindings_path[] = "/api/v1/admin/bindings";
static const char teams_path[] = "/api/v1/admin/teams";
static const char tenants_path[] = "/api/v1/admin/tenants";

// ---- options to fields

// An option whose value is a text, a list with commas, or a number.
struct given {
    const char *option, *field;
    enum { GIVEN_TEXT, GIVEN_LIST, GIVEN_NUMBER } as;
};

#define LIMITS_GIVEN                                                                     \
    { "requests", "requests", GIVEN_NUMBER }, { "tokens", "tokens", GIVEN_NUMBER },      \
    {                                                                                    \
        "concurrent", "concurrent", GIVEN_NUMBER                                         \
    }

static json_t *
split_list(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t size = strcspn(text, ",");
        if (size)
            json_array_append_new(list, json_stringn(text, size));
        text += size + (text[size] == ',');
    }
    return list;
}

// Add what was given to the body. False after a message.
static bool
add_given(const struct args *args, const struct given *list, json_t *body)
{
    for (; list->option; list++) {
        const char *text = args_get(args, list->option);
        int64_t number;
        if (!text)
            continue;
        if (list->as == GIVEN_TEXT) {
            json_object_set_new(body, list->field, json_string(text));
        } else if (list->as == GIVEN_LIST) {
            json_object_set_new(body, list->field, split_list(text));
        } else {
            if (!args_get_int(args, list->option, 0, 1000000000000, 0, &number))
                return false;
            json_object_set_new(body, list->field, json_integer(number));
        }
    }
    return true;
}

// A number of days as the time they end. False after a message.
static bool
add_days(const struct args *args, json_t *body)
{
    int64_t days;
    if (!args_get_int(args, "days", 1, DAYS_MAX, 0, &days))
        return false;
    if (days)
        json_object_set_new(body, "expires_ms",
                            json_integer(om_clock_wall_ms() + days * DAY_MS));
    return true;
}

// Send `body`, which is taken; NULL after a message. `id` and `tail` follow the path.
static int
send_body(const struct args *args, const char *method, json_t *body, const char *path,
          const char *id, const char *tail)
{
    struct api_reply reply = { 0 };
    struct api *api = body ? api_open(args) : NULL;
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, method, body, "%s%s%s%s", path, *id ? "/" : "",
                          api_escape(id), tail);
    return finish_object(args, &api, &reply, status);
}

// The same for a body of options only: one must be given.
static int
send_given(const struct args *args, const char *method, const struct given *list,
           const char *path)
{
    json_t *body = json_object();
    bool good = add_given(args, list, body);
    if (good && json_object_size(body) == 0) {
        args_fail(0, "nothing to change: omni %s %s --help lists what can be",
                  args->command->name, args->command->verb);
        good = false;
    }
    if (good)
        return send_body(args, method, body, path, args->positional[0], "");
    json_decref(body);
    return EXIT_USAGE;
}

// The same to make something whose first word is `field`.
static int
make(const struct args *args, const char *field, const struct given *list,
     const char *path)
{
    json_t *body = json_pack("{s:s}", field, args->positional[0]);
    if (add_given(args, list, body) && add_days(args, body))
        return send_body(args, "POST", body, path, "", "");
    json_decref(body);
    return EXIT_USAGE;
}

static int
send_nothing(const struct args *args, const char *method, const char *path,
             const char *tail)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, method, NULL, "%s/%s%s", path,
                          api_escape(args->positional[0]), tail);
    return finish_object(args, &api, &reply, status);
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
    return make(args, "email", given, users_path);
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
    return make(args, "name", given, teams_path);
}

int
cmd_team_set(const struct args *args)
{
    static const struct given given[] = { { "name", "name", GIVEN_TEXT },
                                          LIMITS_GIVEN,
                                          { 0 } };
    return send_given(args, "PATCH", given, teams_path);
}

// ---- roles

static void
add_permissions(const struct args *args, const char *effect, json_t *permissions)
{
    const char *text = args_get(args, effect);
    size_t index;
    json_t *one, *list = split_list(text ? text : "");
    json_array_foreach (list, index, one)
        json_array_append_new(
            permissions, json_pack("{s:O,s:s}", "permission", one, "effect", effect));
    json_decref(list);
}

// The permissions, from --allow and --deny. NULL after a message.
static json_t *
read_permissions(const struct args *args)
{
    json_t *permissions = json_array();
    add_permissions(args, "allow", permissions);
    add_permissions(args, "deny", permissions);
    if (json_array_size(permissions) > 0)
        return permissions;
    json_decref(permissions);
    args_fail(0, "what is it to allow? --allow files:*,predict, and --deny, which wins");
    return NULL;
}

// A role as people read it: "allow files:*" instead of objects.
static int
finish_role(const struct args *args, struct api **api, struct api_reply *reply,
            int status)
{
    size_t index;
    json_t *one, *list = json_object_get(reply->body, "permissions");
    if (!args_get(args, "json") && json_is_array(list))
        json_array_foreach (list, index, one)
            json_array_set_new(
                list, index,
                json_sprintf("%s %s", json_string_value(json_object_get(one, "effect")),
                             json_string_value(json_object_get(one, "permission"))));
    return finish_object(args, api, reply, status);
}

// Send a role, which is taken, or with NULL ask for it.
static int
send_role(const struct args *args, const char *method, json_t *body, const char *id)
{
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, method, body, "%s%s%s", roles_path, *id ? "/" : "",
                          api_escape(id));
    return finish_role(args, &api, &reply, status);
}

int
cmd_role_get(const struct args *args)
{
    return send_role(args, "GET", NULL, args->positional[0]);
}

int
cmd_role_create(const struct args *args)
{
    json_t *permissions = read_permissions(args);
    if (!permissions)
        return EXIT_USAGE;
    json_t *body = json_pack("{s:s,s:o,s:s*}", "name", args->positional[0], "permissions",
                             permissions, "description", args_get(args, "description"));
    return send_role(args, "POST", body, "");
}

int
cmd_role_set(const struct args *args)
{
    json_t *permissions = read_permissions(args);
    if (!permissions)
        return EXIT_USAGE;
    json_t *body = json_pack("{s:o,s:s*}", "permissions", permissions, "description",
                             args_get(args, "description"));
    return send_role(args, "PUT", body, args->positional[0]);
}

int
cmd_role_give(const struct args *args)
{
    json_t *body =
        json_pack("{s:s,s:s}", "user", args->positional[0], "role", args->positional[1]);
    if (add_days(args, body))
        return send_body(args, "POST", body, bindings_path, "", "");
    json_decref(body);
    return EXIT_USAGE;
}

int
cmd_role_take(const struct args *args)
{
    return send_nothing(args, "DELETE", bindings_path, "");
}

int
cmd_role_who(const struct args *args)
{
    static const struct print_column columns[] = {
        { "id", "BINDING", 0 },
        { "user", "USER", 0 },
        { "role", "ROLE", 0 },
        { "created_ms", "SINCE", PRINT_MILLIS },
        { "expires_ms", "UNTIL", PRINT_MILLIS },
        { 0 },
    };
    const char *user = args_get(args, "user");
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "%s?limit=100%s%s", bindings_path,
                          user ? "&user=" : "", user ? api_escape(user) : "");
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_table(json_object_get(reply.body, "data"), columns, "");
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

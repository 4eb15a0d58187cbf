// Roles, and who has which.
#include "commands.h"
#include "send.h"

static const char roles_path[] = "/api/v1/admin/roles";
static const char bindings_path[] = "/api/v1/admin/bindings";

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

#include "send.h"
#include "clock.h"
#include "commands.h"

enum { DAYS_MAX = 36500, DAY_MS = 24 * 3600 * 1000 };

json_t *
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

bool
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

bool
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

int
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

int
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

int
send_new(const struct args *args, const char *field, const struct given *list,
         const char *path)
{
    json_t *body = json_pack("{s:s}", field, args->positional[0]);
    if (add_given(args, list, body) && add_days(args, body))
        return send_body(args, "POST", body, path, "", "");
    json_decref(body);
    return EXIT_USAGE;
}

int
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

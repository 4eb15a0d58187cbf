// How the platform does: asked of the edge, or read from the file that is there when the
// edge is not.
#include <stdio.h>
#include <string.h>

#include "api.h"
#include "commands.h"
#include "print.h"

static const struct print_column component_columns[] = {
    { "name", "COMPONENT", 0 },
    { "state", "STATE", 0 },
    { "uptime", "90 DAYS", PRINT_SHARE },
    { 0 },
};

static const struct print_column objective_columns[] = {
    { "name", "OBJECTIVE", 0 },
    { "target", "TARGET", PRINT_SHARE },
    { "1h", "1 H", PRINT_SHARE },
    { "24h", "24 H", PRINT_SHARE },
    { "30d", "30 D", PRINT_SHARE },
    { "budget_left", "BUDGET LEFT", PRINT_PERCENT },
    { 0 },
};

static const struct print_column incident_columns[] = {
    { "component", "NOT READY", 0 },
    { "began_at", "FROM", PRINT_SECONDS },
    { "ended_at", "UNTIL", PRINT_SECONDS },
    { 0 },
};

static void
show(json_t *status)
{
    size_t i, j;
    json_t *objective, *window, *objectives = json_object_get(status, "objectives");
    json_array_foreach (objectives, i, objective)
        json_array_foreach (json_object_get(objective, "windows"), j, window)
            json_object_set(objective,
                            json_string_value(json_object_get(window, "window")),
                            json_object_get(window, "good"));
    const char *state = json_string_value(json_object_get(status, "state"));
    print_text(state ? state : "unknown");
    print_text("");
    print_table(json_object_get(status, "components"), component_columns, "");
    print_text("");
    print_table(objectives, objective_columns, "");
    if (json_array_size(json_object_get(status, "incidents"))) {
        print_text("");
        print_table(json_object_get(status, "incidents"), incident_columns, "");
    }
}

static int
finish(const struct args *args, json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));
    int code = state && strcmp(state, "operational") == 0 ? EXIT_DONE : EXIT_REFUSED;
    if (args_get(args, "json"))
        print_json(status);
    else
        show(status);
    return code;
}

static int
show_file(const struct args *args, const char *path)
{
    json_error_t error;
    json_t *status = json_load_file(path, 0, &error);
    if (!json_is_object(status)) {
        json_decref(status);
        return args_fail(EXIT_USAGE, "%s: %s", path, error.text);
    }
    int code = finish(args, status);
    json_decref(status);
    return code;
}

int
cmd_status(const struct args *args)
{
    const char *path = args_get(args, "file");
    if (path)
        return show_file(args, path);
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "/status");
    if (status == EXIT_DONE)
        status = finish(args, reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

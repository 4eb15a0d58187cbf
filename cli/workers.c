// Watching a task, workers, and dead letters.
#include <stdio.h>

#include "api.h"
#include "commands.h"
#include "print.h"
#include "task.h"

enum { WAIT_S = 30 };

// ---- omni tasks watch

// A chunk as it came: text as a line, a JSON value as one, of other bytes the size.
static void
print_chunk(json_t *event)
{
    json_t *data = json_object_get(event, "data");
    const char *base64 = json_string_value(json_object_get(event, "data_base64"));
    const char *text = json_string_value(data);
    if (base64)
        printf("(%zu bytes in base64)\n", strlen(base64));
    else if (text)
        print_text(text);
    else
        json_dumpf(data, stdout, JSON_ENCODE_ANY | JSON_COMPACT), printf("\n");
}

// "running 40 % {"epoch": 3}", on standard error, when it is not what was printed last.
static void
print_state(json_t *task, json_t **last_p)
{
    json_t *now =
        json_pack("[O,O,O]", json_object_get(task, "status"),
                  json_object_get(task, "progress"), json_object_get(task, "detail"));
    if (now && !json_equal(now, *last_p)) {
        char *detail = json_dumps(json_array_get(now, 2), JSON_COMPACT);
        fprintf(stderr, "%s %.0f %%%s%s\n", json_string_value(json_array_get(now, 0)),
                100 * json_number_value(json_array_get(now, 1)),
                detail && strcmp(detail, "{}") != 0 ? " " : "",
                detail && strcmp(detail, "{}") != 0 ? detail : "");
        free(detail);
    }
    json_decref(*last_p);
    *last_p = now;
}

// Print a page of events; `ended` gets the task, a new reference, once it has ended.
static void
print_events(const struct args *args, json_t *page, json_t **last_p, json_t **ended)
{
    size_t index;
    json_t *event;
    json_array_foreach (json_object_get(page, "data"), index, event) {
        json_t *task = json_object_get(event, "task");
        if (args_get(args, "json"))
            json_dumpf(event, stdout, JSON_COMPACT), printf("\n");
        else if (task)
            print_state(task, last_p);
        else
            print_chunk(event);
        if (task && json_is_true(json_object_get(page, "ended"))) {
            json_decref(*ended);
            *ended = json_incref(task);
        }
    }
    fflush(stdout);
}

int
cmd_task_watch(const struct args *args)
{
    int64_t after;
    json_t *last = NULL;
    struct api_reply end = { 0 };
    if (!args_get_int(args, "after", 0, INT64_MAX, 0, &after))
        return EXIT_USAGE;
    struct api *api = api_open(args);
    int status = api ? EXIT_DONE : EXIT_USAGE;
    for (bool ended = false; status == EXIT_DONE && !ended;) {
        struct api_reply reply = { 0 };
        status = api_call(api, &reply, "GET", NULL,
                          "/api/v1/tasks/%s/events?after=%lld&wait=%d",
                          api_escape(args->positional[0]), (long long)after, WAIT_S);
        if (status == EXIT_DONE) {
            print_events(args, reply.body, &last, &end.body);
            after = json_integer_value(json_object_get(reply.body, "last_seq"));
            ended = json_is_true(json_object_get(reply.body, "ended"));
        }
        api_reply_finish(&reply);
    }
    if (status == EXIT_DONE && end.body && !task_complete(&end)) {
        task_report(&end);
        status = EXIT_REFUSED;
    }
    json_decref(last);
    api_reply_finish(&end);
    api_close(&api);
    return status;
}

// ---- omni workers

int
cmd_workers(const struct args *args)
{
    static const struct print_column columns[] = {
        { "node", "NODE", 0 },         { "role", "ROLE", 0 },
        { "connected", "HERE", 0 },    { "draining", "DRAINING", 0 },
        { "heard_ms", "HEARD MS", 0 }, { "held", "HOLDS", 0 },
        { "queues", "QUEUES", 0 },     { "tasks", "TASKS", 0 },
        { "tenant", "TENANT", 0 },     { 0 },
    };
    const char *path =
        args_get(args, "all") ? "/api/v1/admin/workers" : "/api/v1/workers";
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "GET", NULL, "%s", path);
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_table(json_object_get(reply.body, "data"), columns, "");
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

int
cmd_worker_drain(const struct args *args)
{
    const char *path =
        args_get(args, "all") ? "/api/v1/admin/workers" : "/api/v1/workers";
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    int status = api_call(api, &reply, "POST", NULL, "%s/%s/drain", path,
                          api_escape(args->positional[0]));
    if (status == EXIT_DONE && !args_get(args, "json"))
        printf("%s takes no new work and leaves when it has finished\n",
               args->positional[0]);
    else if (args_get(args, "json"))
        print_json(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

// ---- omni tasks retry

static int
retry_one(const struct args *args, struct api *api)
{
    struct api_reply reply = { 0 };
    int status = api_call(api, &reply, "POST", NULL, "/api/v1/tasks/%s/retry",
                          api_escape(args->positional[0]));
    return finish_object(args, &api, &reply, status);
}

// All failed tasks that match, page by page, or as many as --limit says.
static int
retry_many(const struct args *args, struct api *api, int64_t limit)
{
    json_int_t retried = 0;
    json_t *after = NULL;
    int status;
    bool more;
    do {
        struct api_reply reply = { 0 };
        json_t *body = json_pack("{s:s*,s:s*,s:s*,s:O*}", "queue",
                                 args_get(args, "queue"), "kind", args_get(args, "kind"),
                                 "code", args_get(args, "code"), "after", after);
        if (limit > 0)
            json_object_set_new(body, "limit", json_integer(limit));
        status = api_call(api, &reply, "POST", body, "/api/v1/tasks/retry");
        retried += json_integer_value(json_object_get(reply.body, "retried"));
        json_decref(after);
        after = json_incref(json_object_get(reply.body, "after"));
        more = status == EXIT_DONE && limit == 0 && json_is_string(after);
        api_reply_finish(&reply);
    } while (more);
    json_decref(after);
    if (args_get(args, "json"))
        printf("{\"retried\": %" JSON_INTEGER_FORMAT "}\n", retried);
    else
        printf("%" JSON_INTEGER_FORMAT " tasks are ready again\n", retried);
    api_close(&api);
    return status;
}

int
cmd_task_retry(const struct args *args)
{
    int64_t limit;
    bool filtered = args_get(args, "queue") || args_get(args, "kind") ||
                    args_get(args, "code") || args_get(args, "all");
    if (!args_get_int(args, "limit", 1, 10000, 0, &limit))
        return EXIT_USAGE;
    if ((args->count == 1) == filtered)
        return args_fail(EXIT_USAGE, "give the id of a task, or --queue, --kind, --code "
                                     "or --all to retry those that failed");
    struct api *api = api_open(args);
    if (!api)
        return EXIT_USAGE;
    return args->count ? retry_one(args, api) : retry_many(args, api, limit);
}

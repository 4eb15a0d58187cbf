// Jobs handed in: one, a file of them, or a workflow.
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "print.h"

enum { BATCH_JOBS_MAX = 1000, SECONDS_MAX = 3650 * 24 * 3600 };

// ---- one job

// "task_a,task_b" as a list.
static json_t *
split(const char *text)
{
    json_t *list = json_array();
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, ",");
        json_array_append_new(list, json_stringn(text, (size_t)(end - text)));
    }
    return list;
}

// Options that are numbers, and what they are in the job. False after a message.
static bool
add_numbers(const struct args *args, json_t *job)
{
    static const struct {
        const char *option, *field;
        int64_t min, max, unit;
    } rows[] = {
        { "delay", "delay_ms", 0, SECONDS_MAX, 1000 },
        { "due", "due_ms", 0, INT64_MAX, 1 },
        { "expires", "expires_ms", 0, INT64_MAX, 1 },
        { "priority", "priority", 0, 9, 1 },
        { "attempts", "max_attempts", 1, 100, 1 },
        { "soft", "soft_ms", 1, SECONDS_MAX, 1000 },
        { "hard", "hard_ms", 0, SECONDS_MAX, 1000 },
        { "retain", "retain_ms", 0, SECONDS_MAX, 1000 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        int64_t value;
        if (!args_get_int(args, rows[i].option, rows[i].min, rows[i].max, 0, &value))
            return false;
        if (args_get(args, rows[i].option))
            json_object_set_new(job, rows[i].field, json_integer(value * rows[i].unit));
    }
    return true;
}

// Options into the job. False after a message.
static bool
add_options(const struct args *args, json_t *job)
{
    int64_t unique_s;
    if (!args_get_int(args, "unique-for", 1, SECONDS_MAX, 0, &unique_s) ||
        !add_numbers(args, job))
        return false;
    if (args_get(args, "limit-key"))
        json_object_set_new(job, "limit_key", json_string(args_get(args, "limit-key")));
    if (args_get(args, "unique")) {
        json_t *unique = json_pack("{s:s}", "key", args_get(args, "unique"));
        if (unique_s)
            json_object_set_new(unique, "for_ms", json_integer(unique_s * 1000));
        json_object_set_new(job, "unique", unique);
    }
    if (args_get(args, "after"))
        json_object_set_new(job, "depends_on", split(args_get(args, "after")));
    if (args_get(args, "run-anyway"))
        json_object_set_new(job, "run_anyway", json_true());
    return true;
}

static int
submit_one(const struct args *args)
{
    struct api_reply reply = { 0 };
    if (args->count < 2)
        return args_fail(EXIT_USAGE, "give a queue and a kind of job, or --batch FILE");
    json_t *payload = args->count > 2 ? read_json(args->positional[2]) : NULL;
    if (args->count > 2 && !payload)
        return EXIT_USAGE;
    json_t *job = json_pack("{s:s,s:s,s:o*}", "queue", args->positional[0], "kind",
                            args->positional[1], "payload", payload);
    struct api *api = add_options(args, job) ? api_open(args) : NULL;
    if (!api) {
        json_decref(job);
        return EXIT_USAGE;
    }
    if (args_get(args, "idempotency-key"))
        api_set_field(api, "Idempotency-Key", args_get(args, "idempotency-key"));
    int status = api_call(api, &reply, "POST", job, "/api/v1/tasks");
    return finish_submit(args, &api, &reply, status, "task_id");
}

// ---- a file of jobs

// A job on each line that is not blank. NULL after a message.
static json_t *
read_lines(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    json_t *jobs = json_array();
    char *line = NULL;
    size_t room = 0, number = 0;
    if (!file)
        args_fail(0, "cannot read %s", path);
    while (file && jobs && getline(&line, &room, file) >= 0) {
        json_error_t error;
        number++;
        if (line[strspn(line, " \t\r\n")] == '\0')
            continue;
        json_t *job = json_loads(line, 0, &error);
        if (json_array_append_new(jobs, job) == 0)
            continue;
        args_fail(0, "%s: line %zu is not JSON: %s", path, number, error.text);
        json_decref(jobs);
        jobs = NULL;
    }
    if (jobs && (!file || json_array_size(jobs) == 0)) {
        if (file)
            args_fail(0, "%s has no jobs", path);
        json_decref(jobs);
        jobs = NULL;
    }
    free(line);
    if (file && file != stdin)
        fclose(file);
    return jobs;
}

// What became of each job: an id a line; refusals go to stderr. How many were refused.
static size_t
report(const struct api_reply *reply, size_t first)
{
    size_t place, refused = 0;
    json_t *item;
    json_array_foreach (json_object_get(reply->body, "data"), place, item) {
        const char *id = json_string_value(json_object_get(item, "task_id"));
        const char *why = NULL, *code = NULL;
        if (id) {
            printf("%s\n", id);
            continue;
        }
        json_unpack(item, "{s:{s?s,s?s}}", "error", "message", &why, "code", &code);
        args_fail(0, "job %zu was refused: %s (%s)", first + place + 1, why ? why : "",
                  code ? code : "");
        refused++;
    }
    return refused;
}

// Send jobs `first` and those behind it, as many as a request may have.
static int
submit_some(const struct args *args, struct api *api, const json_t *jobs, size_t first,
            size_t *refused)
{
    struct api_reply reply = { 0 };
    json_t *some = json_array();
    for (size_t i = first; i < json_array_size(jobs) && i < first + BATCH_JOBS_MAX; i++)
        json_array_append(some, json_array_get(jobs, i));
    json_t *body = json_pack("{s:o}", "jobs", some);
    if (args_get(args, "atomic"))
        json_object_set_new(body, "atomic", json_true());
    int status = api_call(api, &reply, "POST", body, "/api/v1/tasks/batch");
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        *refused += report(&reply, first);
    if (status == EXIT_DONE && args_get(args, "json"))
        *refused += (size_t)json_integer_value(json_object_get(reply.body, "refused"));
    api_reply_finish(&reply);
    return status;
}

static int
submit_batch(const struct args *args, const char *path)
{
    json_t *jobs = read_lines(path);
    size_t count = json_array_size(jobs), refused = 0;
    const char *key = args_get(args, "idempotency-key");
    if (count > BATCH_JOBS_MAX && (args_get(args, "atomic") || key)) {
        args_fail(0, "--atomic and --idempotency-key take at most %d jobs",
                  BATCH_JOBS_MAX);
        json_decref(jobs);
        return EXIT_USAGE;
    }
    struct api *api = jobs ? api_open(args) : NULL;
    int status = api ? EXIT_DONE : EXIT_USAGE;
    if (api && key)
        api_set_field(api, "Idempotency-Key", key);
    for (size_t first = 0; status == EXIT_DONE && first < count; first += BATCH_JOBS_MAX)
        status = submit_some(args, api, jobs, first, &refused);
    json_decref(jobs);
    api_close(&api);
    return status == EXIT_DONE && refused > 0 ? EXIT_REFUSED : status;
}

int
cmd_submit(const struct args *args)
{
    const char *path = args_get(args, "batch");
    if (path && args->count > 0)
        return args_fail(EXIT_USAGE, "the jobs of a batch name their queues themselves");
    return path ? submit_batch(args, path) : submit_one(args);
}

// ---- workflows

int
cmd_workflow(const struct args *args)
{
    static const struct print_column columns[] = { { "name", "NAME", PRINT_TEXT },
                                                   { "task_id", "TASK", PRINT_TEXT },
                                                   { 0 } };
    char path[4096];
    struct api_reply reply = { 0 };
    bool standard = strcmp(args->positional[0], "-") == 0;
    snprintf(path, sizeof(path), "%s%s", standard ? "" : "@", args->positional[0]);
    json_t *body = read_json(path);
    struct api *api = body ? api_open(args) : NULL;
    if (!api) {
        json_decref(body);
        return EXIT_USAGE;
    }
    if (args_get(args, "idempotency-key"))
        api_set_field(api, "Idempotency-Key", args_get(args, "idempotency-key"));
    int status = api_call(api, &reply, "POST", body, "/api/v1/workflows");
    if (status != EXIT_DONE || args_get(args, "json") || args_get(args, "wait"))
        return finish_submit(args, &api, &reply, status, "id");
    print_table(json_object_get(reply.body, "tasks"), columns, "");
    api_reply_finish(&reply);
    api_close(&api);
    return EXIT_DONE;
}

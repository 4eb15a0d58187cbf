#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api.h"
#include "commands.h"
#include "csv_table.h"
#include "print.h"
#include "task.h"

enum { DAY_S = 24 * 3600, PAYLOAD_MAX = 1 << 20, CHUNK = 64 * 1024 };

// ---- reading

json_t *
read_json(const char *text)
{
    json_error_t error;
    json_t *value;
    if (strcmp(text, "-") == 0)
        value = json_loadf(stdin, 0, &error);
    else if (text[0] == '@')
        value = json_load_file(text + 1, 0, &error);
    else
        value = json_loads(text, 0, &error);
    if (!value)
        args_fail(0, "%s is not JSON: %s (give JSON, @FILE or - for standard input)",
                  text, error.text);
    return value;
}

// One column of a CSV file.
static json_t *
read_column(const char *path, const char *column)
{
    static char bytes[CHUNK];
    double *values = NULL;
    size_t count = 0, size;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    struct om_csv *csv = om_csv_create(om_str(column));
    json_t *series = NULL;
    enum om_rc rc = OM_OK;
    if (!file || !csv) {
        args_fail(0, "cannot read %s", path);
        om_csv_destroy(&csv);
        return NULL;
    }
    while (rc == OM_OK && (size = fread(bytes, 1, sizeof(bytes), file)) > 0)
        rc = om_csv_feed(csv, (struct om_str){ bytes, size });
    if (rc == OM_OK)
        rc = om_csv_finish(csv, 1, &values, &count);
    if (rc == OM_OK) {
        series = json_array();
        for (size_t i = 0; i < count; i++)
            json_array_append_new(series, json_real(values[i]));
    } else {
        args_fail(0, "%s: %s", path, om_csv_why(csv));
    }
    free(values);
    om_csv_destroy(&csv);
    if (file != stdin)
        fclose(file);
    return series;
}

// "112,118,132"
static json_t *
read_series(const char *text)
{
    json_t *series = json_array();
    for (const char *at = text;; at++) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || (*end && *end != ',')) {
            args_fail(0, "--series: %s is no list of numbers such as 112,118,132", text);
            json_decref(series);
            return NULL;
        }
        json_array_append_new(series, json_real(value));
        at = end;
        if (!*at)
            return series;
    }
}

// ---- tasks

int
finish_task(const struct args *args, struct api **api, const char *id, int64_t timeout_s)
{
    struct api_reply reply = { 0 };
    bool json = args_get(args, "json");
    int status =
        task_follow(*api, id, json ? NULL : "progress", timeout_s * 1000, &reply);
    if (status == EXIT_DONE && !task_complete(&reply)) {
        task_report(&reply);
        status = EXIT_REFUSED;
    }
    if (json)
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_object(reply.body);
    api_reply_finish(&reply);
    api_close(api);
    return status;
}

int
finish_submit(const struct args *args, struct api **api, struct api_reply *reply,
              int status, const char *field)
{
    char id[64];
    int64_t timeout_s;
    if (status != EXIT_DONE || !args_get(args, "wait"))
        return finish_object(args, api, reply, status);
    snprintf(id, sizeof(id), "%s", task_text(reply, field));
    api_reply_finish(reply);
    if (!args_get(args, "json"))
        printf("%s\n", id);
    if (!args_get_int(args, "timeout", 1, 365 * DAY_S, 365 * DAY_S, &timeout_s)) {
        api_close(api);
        return EXIT_USAGE;
    }
    return finish_task(args, api, id, timeout_s);
}

int
cmd_task_wait(const struct args *args)
{
    int64_t timeout_s;
    if (!args_get_int(args, "timeout", 1, 365 * DAY_S, 365 * DAY_S, &timeout_s))
        return EXIT_USAGE;
    struct api *api = api_open(args);
    return api ? finish_task(args, &api, args->positional[0], timeout_s) : EXIT_USAGE;
}

// ---- models

// The id of an uploaded file as it is; else a file of this machine, which is uploaded.
static int
find_file(const struct args *args, struct api *api, const char *text, char id[64])
{
    struct api_reply reply = { 0 };
    if (strncmp(text, "file_", 5) == 0 && access(text, F_OK) != 0) {
        snprintf(id, 64, "%s", text);
        return EXIT_DONE;
    }
    int status = api_upload(api, &reply, "dataset", base_name(text), text);
    snprintf(id, 64, "%s", task_text(&reply, "id"));
    if (status == EXIT_DONE && !args_get(args, "json"))
        printf("uploaded %s as %s\n", text, id);
    api_reply_finish(&reply);
    return status;
}

// The numbers among the options that were given, into `body`.
static bool
add_numbers(const struct args *args, const char *const *names, json_t *body)
{
    for (; *names; names++) {
        int64_t value;
        if (!args_get_int(args, *names, 1, INT32_MAX, 0, &value))
            return false;
        if (value)
            json_object_set_new(body, *names, json_integer(value));
    }
    return true;
}

int
cmd_train(const struct args *args)
{
    static const char *const numbers[] = { "horizon", "period", NULL };
    static const char *const params[] = { "epochs", "hidden", "seed", NULL };
    const char *model = args_get(args, "model"), *target = args_get(args, "target");
    struct api_reply reply = { 0 };
    char file[64];
    if (!target)
        return args_fail(EXIT_USAGE, "--target is missing: the column to forecast");
    json_t *wanted = json_object();
    json_t *body =
        json_pack("{s:s,s:s,s:s*,s:o}", "model", model ? model : "revenue-lstm", "target",
                  target, "name", args_get(args, "name"), "params", wanted);
    struct api *api = NULL;
    int status = EXIT_USAGE;
    if (add_numbers(args, numbers, body) && add_numbers(args, params, wanted) &&
        (api = api_open(args)))
        status = find_file(args, api, args->positional[0], file);
    if (status != EXIT_DONE) {
        json_decref(body);
        api_close(&api);
        return status;
    }
    json_object_set_new(body, "training_file", json_string(file));
    status = api_call(api, &reply, "POST", body, "/api/v1/train/custom-model");
    return finish_submit(args, &api, &reply, status, "task_id");
}

static void
print_forecast(json_t *body)
{
    json_t *values = json_object_get(body, "predictions");
    json_t *lower = json_object_get(body, "lower"),
           *upper = json_object_get(body, "upper");
    double share = json_number_value(json_object_get(body, "confidence"));
    printf("%4s  %12s  %12s  %12s\n", "STEP", "FORECAST", "FROM", "TO");
    for (size_t i = 0; i < json_array_size(values); i++)
        printf("%4zu  %12.6g  %12.6g  %12.6g\n", i + 1,
               json_number_value(json_array_get(values, i)),
               json_number_value(json_array_get(lower, i)),
               json_number_value(json_array_get(upper, i)));
    const char *type = json_string_value(json_object_get(body, "model_type"));
    printf("by %s; from and to are meant to hold %.0f %% of what comes\n",
           type ? type : "?", 100 * share);
}

int
cmd_predict(const struct args *args)
{
    static const char *const numbers[] = { "period", NULL };
    const char *file = args_get(args, "file"), *column = args_get(args, "column");
    const char *values = args_get(args, "series");
    struct api_reply reply = { 0 };
    int64_t steps;
    if (!args_get_int(args, "steps", 1, 1000, 12, &steps))
        return EXIT_USAGE;
    if (!values == !file || (file && !column))
        return args_fail(EXIT_USAGE, "give --series, or --file and --column");
    json_t *series = file ? read_column(file, column) : read_series(values);
    if (!series)
        return EXIT_USAGE;
    json_t *body = json_pack("{s:o,s:I,s:s*}", "time_series", series, "forecast_steps",
                             (json_int_t)steps, "model_id", args_get(args, "model-id"));
    struct api *api = NULL;
    if (!add_numbers(args, numbers, body) || !(api = api_open(args))) {
        json_decref(body);
        return EXIT_USAGE;
    }
    int status = api_call(api, &reply, "POST", body, "/api/v1/predict/%s",
                          api_escape(args->positional[0]));
    if (args_get(args, "json"))
        print_json(reply.body);
    else if (status == EXIT_DONE)
        print_forecast(reply.body);
    api_reply_finish(&reply);
    api_close(&api);
    return status;
}

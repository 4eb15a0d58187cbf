#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "accuracy.h"
#include "beside.h"
#include "clock.h"
#include "commands.h"
#include "own_up.h"
#include "print.h"
#include "task.h"

// The data is monthly: 144 values, of which the last year is held out.
enum { MONTHS = 144, HELD_OUT = 12, KNOWN = MONTHS - HELD_OUT, YEAR = 12 };
enum { TEXT_MAX = 64 * 1024, TRAIN_MS = 10 * 60 * 1000, SETTLE_MS = 10 * 1000 };

#define SAMPLE "examples/airline-passengers.csv"

struct demo {
    struct api *api;
    char text[TEXT_MAX];
    size_t known_bytes; // of the text: header and the rows that are uploaded
    char months[MONTHS][16];
    double values[MONTHS];
    double lstm[HELD_OUT], naive[HELD_OUT];
    char file[64], model[64];
};

// ---- the sample data

static FILE *
open_sample(void)
{
    // In the current folder, in the source tree of the binary, or installed beside it.
    static const char *const places[] = { "../../../" SAMPLE, "../share/omni/" SAMPLE };
    char path[PATH_MAX];
    FILE *file = fopen(SAMPLE, "r");
    for (size_t i = 0; i < OM_COUNT(places) && !file; i++)
        if (beside_path(places[i], path))
            file = fopen(path, "r");
    return file;
}

static bool
read_sample(struct demo *demo)
{
    FILE *file = open_sample();
    if (!file) {
        args_fail(0, "%s is not here and not beside this program", SAMPLE);
        return false;
    }
    demo->text[fread(demo->text, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
    int row = -1; // the header
    const char *line = demo->text;
    for (; *line && row < MONTHS; row++) {
        if (row == KNOWN)
            demo->known_bytes = (size_t)(line - demo->text);
        if (row >= 0 &&
            sscanf(line, "%15[^,],%lf", demo->months[row], &demo->values[row]) != 2)
            break;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (row == MONTHS)
        return true;
    args_fail(0, "%s does not have %d months", SAMPLE, MONTHS);
    return false;
}

// ---- the steps; each returns EXIT_DONE or has said what is wrong

static int
upload(struct demo *demo)
{
    struct api_reply reply;
    int status = api_upload_bytes(demo->api, &reply, "dataset", "airline-passengers.csv",
                                  demo->text, demo->known_bytes);
    snprintf(demo->file, sizeof(demo->file), "%s", task_text(&reply, "id"));
    api_reply_finish(&reply);
    if (status == EXIT_DONE)
        printf("  %d of %d months of airline passengers (Box & Jenkins), %s to %s\n"
               "  are now %s\n",
               KNOWN, MONTHS, demo->months[0], demo->months[KNOWN - 1], demo->file);
    return status;
}

static void
print_metrics(json_t *metrics)
{
    double loss = 0, folds = 0, mase = 0, naive = 0;
    if (json_unpack(metrics, "{s:F,s:F,s:F,s:F}", "loss", &loss, "folds", &folds, "mase",
                    &mase, "seasonal_naive_mase", &naive) != 0)
        return;
    printf(
        "  loss %.4f; on its own backtest, %.0f folds within the %d months, MASE %.3f\n"
        "  where seasonal naive has %.3f\n",
        loss, folds, KNOWN, mase, naive);
}

static int
finish_training(struct demo *demo, const struct api_reply *task)
{
    json_t *result = json_object_get(task->body, "result");
    const char *model = json_string_value(json_object_get(result, "model_id"));
    if (!task_complete(task)) {
        task_report(task);
        return EXIT_REFUSED;
    }
    if (!model)
        return args_fail(EXIT_REFUSED, "the complete task names no model_id");
    snprintf(demo->model, sizeof(demo->model), "%s", model);
    printf("  complete: %s\n", demo->model);
    print_metrics(json_object_get(result, "metrics"));
    return EXIT_DONE;
}

static int
train(struct demo *demo)
{
    struct api_reply reply, task;
    char id[64];
    json_t *body = json_pack("{s:s,s:s,s:s,s:i,s:i}", "model", "revenue-lstm",
                             "training_file", demo->file, "target", "passengers",
                             "horizon", HELD_OUT, "period", YEAR);
    int status = api_call(demo->api, &reply, "POST", body, "/api/v1/train/custom-model");
    snprintf(id, sizeof(id), "%s", task_text(&reply, "task_id"));
    api_reply_finish(&reply);
    if (status != EXIT_DONE)
        return status;
    printf("  submitted: %s\n", id);
    status = task_follow(demo->api, id, "  training", TRAIN_MS, &task);
    if (status == EXIT_DONE)
        status = finish_training(demo, &task);
    api_reply_finish(&task);
    return status;
}

static int
predict(struct demo *demo, const char *model, const char *model_id, double out[HELD_OUT])
{
    struct api_reply reply;
    json_t *series = json_array();
    for (int i = 0; i < KNOWN; i++)
        json_array_append_new(series, json_real(demo->values[i]));
    json_t *body =
        json_pack("{s:o,s:i,s:i,s:s*}", "time_series", series, "forecast_steps", HELD_OUT,
                  "period", YEAR, "model_id", model_id);
    int status = api_call(demo->api, &reply, "POST", body, "/api/v1/predict/%s", model);
    json_t *values = json_object_get(reply.body, "predictions");
    if (status == EXIT_DONE && json_array_size(values) != HELD_OUT)
        status = args_fail(EXIT_REFUSED, "%s answered %zu values, not %d", model,
                           json_array_size(values), HELD_OUT);
    for (size_t i = 0; status == EXIT_DONE && i < HELD_OUT; i++)
        out[i] = json_number_value(json_array_get(values, i));
    api_reply_finish(&reply);
    return status;
}

static int
forecast(struct demo *demo)
{
    const double *actual = demo->values + KNOWN;
    int status = predict(demo, "revenue-lstm", demo->model, demo->lstm);
    if (status == EXIT_DONE)
        status = predict(demo, "seasonal-naive", NULL, demo->naive);
    if (status != EXIT_DONE)
        return status;
    printf("  %-8s  %10s  %12s  %14s\n", "month", "actual", "revenue-lstm",
           "seasonal naive");
    for (int i = 0; i < HELD_OUT; i++)
        printf("  %-8s  %10.0f  %12.1f  %14.1f\n", demo->months[KNOWN + i], actual[i],
               demo->lstm[i], demo->naive[i]);
    double lstm = accuracy_mase(demo->values, KNOWN, YEAR, actual, demo->lstm, HELD_OUT);
    double naive =
        accuracy_mase(demo->values, KNOWN, YEAR, actual, demo->naive, HELD_OUT);
    printf("  %-8s  %10s  %12.3f  %14.3f\n", "MASE", "", lstm, naive);
    printf("  %-8s  %10s  %10.2f %%  %12.2f %%\n", "sMAPE", "",
           accuracy_smape(actual, demo->lstm, HELD_OUT),
           accuracy_smape(actual, demo->naive, HELD_OUT));
    if (!(lstm < naive))
        return args_fail(EXIT_REFUSED, "revenue-lstm does not beat seasonal naive");
    return EXIT_DONE;
}

static long long
quantity(json_t *meters, const char *name)
{
    size_t index;
    json_t *meter;
    json_array_foreach (meters, index, meter) {
        const char *text = json_string_value(json_object_get(meter, "meter"));
        if (text && strcmp(text, name) == 0) {
            const char *amount = json_string_value(json_object_get(meter, "quantity"));
            return amount ? atoll(amount) : 0;
        }
    }
    return 0;
}

// Usage and audit are applied within moments of what caused them. Ask until it is all
// there, or for so long; false when there is no more time.
static bool
wait_more(int64_t deadline_ms)
{
    struct timespec pause = { 0, 50 * 1000 * 1000 };
    return om_clock_mono_ms() < deadline_ms && nanosleep(&pause, NULL) == 0;
}

static int
usage(struct demo *demo)
{
    static const struct print_column columns[] = { { "meter", "METER", 0 },
                                                   { "quantity", "QUANTITY", 0 },
                                                   { "unit", "UNIT", 0 },
                                                   { 0 } };
    int64_t deadline_ms = om_clock_mono_ms() + SETTLE_MS;
    for (;;) {
        struct api_reply reply;
        int status =
            api_call(demo->api, &reply, "GET", NULL, "/api/v1/usage?group_by=meter");
        json_t *meters = json_object_get(reply.body, "data");
        long long trained = quantity(meters, "custom_model");
        long long predicted = quantity(meters, "ml_inference");
        bool settled = trained >= 1 && predicted >= 2 && quantity(meters, "api_call") > 0;
        if (status == EXIT_DONE && settled)
            print_table(meters, columns, "  ");
        api_reply_finish(&reply);
        if (status != EXIT_DONE || settled)
            return status;
        if (!wait_more(deadline_ms))
            return args_fail(EXIT_REFUSED,
                             "%lld trainings and %lld predictions were metered, not 1 "
                             "and 2",
                             trained, predicted);
    }
}

static int
audit(struct demo *demo)
{
    int64_t deadline_ms = om_clock_mono_ms() + SETTLE_MS;
    for (;;) {
        struct api_reply reply;
        int valid = 0;
        json_int_t entries = 0;
        const char *head = "";
        int status =
            api_call(demo->api, &reply, "POST", NULL, "/api/v1/compliance/audit/verify");
        json_unpack(reply.body, "{s:b,s:I,s:s}", "valid", &valid, "entries", &entries,
                    "head", &head);
        bool settled = entries > 0;
        if (status == EXIT_DONE && !valid)
            status = args_fail(EXIT_REFUSED, "the audit chain is broken");
        if (status == EXIT_DONE && settled)
            printf("  every hash of the chain's %lld entries holds; head %.16s…\n",
                   (long long)entries, head);
        api_reply_finish(&reply);
        if (status != EXIT_DONE || settled)
            return status;
        if (!wait_more(deadline_ms))
            return args_fail(EXIT_REFUSED, "nothing was audited");
    }
}

static const struct {
    const char *title;
    int (*run)(struct demo *demo);
} steps[] = {
    { "Upload the sample data", upload },
    { "Train an LSTM on it", train },
    { "Forecast the 12 months it never saw", forecast },
    { "What was metered", usage },
    { "Verify the audit log", audit },
};

// ---- all of it

static int
run_steps(struct demo *demo)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < OM_COUNT(steps) && status == EXIT_DONE; i++) {
        printf("\n%zu. %s\n", i + 1, steps[i].title);
        fflush(stdout);
        status = own_up_interrupted() ? EXIT_REFUSED : steps[i].run(demo);
    }
    return status;
}

static void
print_next(const char *program)
{
    printf("\nTry next:\n"
           "  %1$s up                        run Omni on ./data, port 8080\n"
           "and in another terminal:\n"
           "  %1$s train " SAMPLE " --target passengers --wait\n"
           "  %1$s predict seasonal-naive --file " SAMPLE " --column passengers\n"
           "  %1$s tasks list\n"
           "  %1$s usage\n"
           "  %1$s help\n",
           program);
}

int
cmd_demo(const struct args *args)
{
    struct own_up up;
    struct demo *demo = calloc(1, sizeof(*demo));
    if (!demo || !read_sample(demo) || !own_up_start(&up, args_get(args, "data"))) {
        free(demo);
        return EXIT_UNREACHABLE;
    }
    printf("Omni is running at %s, ready after %lld ms\n", up.url,
           (long long)up.start_ms);
    demo->api = api_open_at(up.url, up.key);
    int status = demo->api ? run_steps(demo) : EXIT_UNREACHABLE;
    api_close(&demo->api);
    free(demo);

    int64_t stop_ms = own_up_stop(&up, status != EXIT_DONE && !own_up_interrupted());
    if (own_up_interrupted())
        return args_fail(EXIT_REFUSED, "interrupted");
    if (stop_ms < 0)
        status = args_fail(EXIT_REFUSED, "Omni did not stop as it should");
    if (status != EXIT_DONE)
        return args_fail(status, "the demo failed; the log is %s/omni.log", up.dir);
    printf("\nStopped after %lld ms; nothing is left running.\n", (long long)stop_ms);
    print_next("build/release/bin/omni");
    return EXIT_DONE;
}

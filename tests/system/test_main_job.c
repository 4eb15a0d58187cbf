// Train, forecast, meter, audit: with everything well, and with each process killed.
#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "accuracy.h"
#include "clock.h"
#include "omni.h"

// A few seconds of training, and as many as there can be.
enum { EPOCHS_SOME = 2000, EPOCHS_MAX = 5000, TRAIN_MS = 120 * 1000 };
enum { LEASE_MS = 30 * 1000 }; // of a training

static struct omni omni;

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(main_job, .init = begin, .fini = end, .timeout = 300);

// The last twelve values of the sample data, and all before them.
static const double held_out[] = { 417, 391, 419, 461, 472, 535,
                                   622, 606, 508, 461, 390, 432 };

static size_t
read_known(double values[132])
{
    size_t count = 0;
    char line[64];
    FILE *file = fopen(OMNI_SOURCE_DIR "/examples/airline-passengers.csv", "r");
    cr_assert(file && fgets(line, sizeof(line), file));
    while (count < 132 && fscanf(file, " %*[^,],%lf", &values[count]) == 1)
        count++;
    fclose(file);
    return count;
}

static void
predict(const char *model, const char *model_id, double out[12])
{
    double values[132];
    json_t *series = json_array();
    cr_assert_eq(read_known(values), 132);
    for (int i = 0; i < 132; i++)
        json_array_append_new(series, json_real(values[i]));
    json_t *body = json_pack("{s:o,s:i,s:i,s:s*}", "time_series", series,
                             "forecast_steps", 12, "period", 12, "model_id", model_id);
    cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/predict/%s", model), 200);
    json_t *predictions = json_object_get(omni_answer(), "predictions");
    cr_assert_eq(json_array_size(predictions), 12);
    for (size_t i = 0; i < 12; i++)
        out[i] = json_number_value(json_array_get(predictions, i));
}

Test(main_job, a_trained_model_beats_seasonal_naive_and_all_of_it_is_metered_and_audited)
{
    char file[64], task[64], model[64];
    double known[132], lstm[12], naive[12];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, 150, task);
    omni_await(&omni, task, "complete failed", TRAIN_MS);
    cr_assert_str_eq(omni_text("status"), "complete", "%s", omni_text("error.message"));
    snprintf(model, sizeof(model), "%s", omni_text("result.model_id"));
    cr_assert_eq(strncmp(model, "model_", 6), 0);

    predict("revenue-lstm", model, lstm);
    predict("seasonal-naive", NULL, naive);
    read_known(known);
    double of_lstm = accuracy_mase(known, 132, 12, held_out, lstm, 12);
    double of_naive = accuracy_mase(known, 132, 12, held_out, naive, 12);
    cr_assert_lt(of_lstm, of_naive, "MASE %g, seasonal naive %g", of_lstm, of_naive);

    omni_await_metered(&omni, "custom_model", 1);
    omni_await_metered(&omni, "ml_inference", 2);
    cr_assert_gt(omni_metered(&omni, "compute_ms"), 0);
    omni_await_audited(&omni);
    omni_stop(&omni);
}

// What must be true of a job after everything that happened to it.
static void
check_once(const char *task)
{
    omni_await(&omni, task, "complete failed", TRAIN_MS);
    cr_assert_str_eq(omni_text("status"), "complete", "%s", omni_text("error.message"));
    omni_await_metered(&omni, "custom_model", 1);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/models"), 200);
    cr_assert_eq(json_array_size(json_object_get(omni_answer(), "data")), 1,
                 "one version of the model");
    omni_verify_audit(&omni);
}

static void
kill_during_training(const char *victim)
{
    char file[64], task[64];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, EPOCHS_SOME, task);
    omni_await(&omni, task, "running", TRAIN_MS);
    pid_t pid = omni_child(&omni, victim);
    kill(pid, SIGKILL);
    omni_child_after(&omni, victim, pid);
    omni_await_back(&omni);
    check_once(task);
    omni_stop(&omni);
}

#define KILL_TEST(victim)                                                                \
    Test(main_job, survives_the_death_of_##victim)                                       \
    {                                                                                    \
        kill_during_training(#victim);                                                   \
    }
KILL_TEST(broker)
KILL_TEST(ingest)
KILL_TEST(identity)
KILL_TEST(registry)
KILL_TEST(training)
KILL_TEST(inference)
KILL_TEST(billing)
KILL_TEST(compliance)
KILL_TEST(scheduler)

Test(main_job, survives_the_death_of_everything)
{
    char file[64], task[64];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, EPOCHS_SOME, task);
    omni_await(&omni, task, "running", TRAIN_MS);
    omni_kill(&omni);
    omni_start(&omni);
    check_once(task);
    omni_stop(&omni);
}

Test(main_job, a_training_whose_process_dies_begins_again_before_its_lease_is_over)
{
    char file[64], task[64];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, EPOCHS_MAX, task);
    omni_await(&omni, task, "running", TRAIN_MS);
    int64_t deadline_ms = om_clock_mono_ms() + LEASE_MS / 2;
    kill(omni_child(&omni, "training"), SIGKILL);
    do {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms);
        omni_pause();
        omni_ask(&omni, "GET", NULL, "/api/v1/tasks/%s", task);
    } while (omni_answer() == NULL || omni_number("attempts") < 2);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", task), 202);
    omni_await(&omni, task, "cancelled", 10000);
    omni_stop(&omni);
}

Test(main_job, a_training_that_is_cancelled_stops_and_meters_no_model)
{
    char file[64], task[64];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, EPOCHS_MAX, task);
    omni_await(&omni, task, "running", TRAIN_MS);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", task), 202);
    omni_await(&omni, task, "cancelled", 10000);
    cr_assert_eq(omni_metered(&omni, "custom_model"), 0);
    omni_stop(&omni);
}

Test(main_job, a_training_that_runs_does_not_hold_up_the_stop)
{
    char file[64], task[64];
    omni_upload(&omni, 132, file);
    omni_train(&omni, file, EPOCHS_MAX, task);
    omni_await(&omni, task, "running", TRAIN_MS);
    omni_stop(&omni);
}

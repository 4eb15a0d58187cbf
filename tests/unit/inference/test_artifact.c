#include <math.h>
#include <stdlib.h>

#include "airline.h"
#include "artifact.h"
#include "record.h"
#include "rng.h"

static double airline[AIRLINE_COUNT];
static struct forecast forecast;
static char why[SERIES_WHY_MAX];

static void
setup(void)
{
    airline_read(airline);
}

TestSuite(artifact, .init = setup);

static struct model_job
job_of(const struct model_plugin *plugin, const double *values, size_t count,
       size_t period, size_t horizon)
{
    struct model_job job = { .series = { values, count, period }, .horizon = horizon };
    cr_assert_eq(model_params_read(plugin, (struct om_str){ 0 }, job.params, why), OM_OK);
    job.work_max = 2e9;
    return job;
}

static struct artifact *
airline_artifact(const struct model_plugin *plugin)
{
    struct artifact *self = NULL;
    struct model_job job = job_of(plugin, airline, AIRLINE_KNOWN, 12, 12);
    cr_assert_eq(artifact_train(plugin, &job, NULL, &self), OM_OK);
    return self;
}

static double
metric(const struct artifact *self, const char *name)
{
    struct om_buf buf = { 0 };
    artifact_metrics(self, &buf);
    struct rec_iter iter = rec_iter(om_buf_str(&buf));
    iter.left *= 2;
    double found = NAN, value;
    struct om_str key;
    while (rec_next_str(&iter, &key) && rec_next_f64(&iter, &value))
        if (om_str_eq(key, om_str(name)))
            found = value;
    om_buf_finish(&buf);
    return found;
}

Test(artifact, measures_itself_and_seasonal_naive_on_the_same_folds)
{
    struct artifact *lstm = airline_artifact(&revenue_lstm_plugin);
    struct artifact *naive = airline_artifact(&seasonal_naive_plugin);
    cr_expect_eq(metric(lstm, "folds"), 3);
    cr_expect_lt(metric(lstm, "mase"), metric(lstm, "seasonal_naive_mase"));
    cr_expect_float_eq(metric(lstm, "seasonal_naive_mase"), metric(naive, "mase"), 1e-12);
    cr_expect_float_eq(metric(naive, "mae"), metric(naive, "seasonal_naive_mae"), 1e-12);
    // Seasonal naive by hand: the changes over a year in months 97 to 132.
    double sum = 0;
    for (int i = 96; i < 132; i++)
        sum += fabs(airline[i] - airline[i - 12]) / 36;
    cr_expect_float_eq(metric(naive, "mae"), sum, 1e-9);
    cr_expect_gt(metric(lstm, "loss"), 0);
    artifact_destroy(&lstm);
    artifact_destroy(&naive);
}

Test(artifact, forecasts_the_same_after_a_round_trip_through_bytes)
{
    for (size_t p = 0; p < model_plugin_count; p++) {
        struct artifact *before = airline_artifact(model_plugins[p]), *after = NULL;
        struct om_buf bytes = { 0 };
        artifact_save(before, &bytes);
        cr_assert_not(bytes.failed);
        cr_assert_eq(artifact_load(om_buf_str(&bytes), &after), OM_OK);
        static struct forecast first;
        struct series series = { airline, AIRLINE_KNOWN, 1 };
        cr_expect_eq(artifact_forecast(before, &series, 30, 0.9, &first, why), OM_OK);
        cr_expect_eq(artifact_forecast(after, &series, 30, 0.9, &forecast, why), OM_OK);
        cr_expect_arr_eq(first.values, forecast.values, 30 * sizeof(double));
        cr_expect_arr_eq(first.lower, forecast.lower, 30 * sizeof(double));
        cr_expect_arr_eq(first.upper, forecast.upper, 30 * sizeof(double));
        cr_expect_eq(artifact_plugin(after), model_plugins[p]);
        cr_expect_eq(artifact_period(after), 12);
        cr_expect_eq(metric(after, "mase"), metric(before, "mase"));
        om_buf_finish(&bytes);
        artifact_destroy(&before);
        artifact_destroy(&after);
    }
}

Test(artifact, interval_holds_the_forecast_and_grows_with_confidence_and_distance)
{
    struct artifact *self = airline_artifact(&revenue_lstm_plugin);
    struct series series = { airline, AIRLINE_KNOWN, 12 };
    double before = 0;
    for (double confidence = 0.5; confidence < 1; confidence += 0.1) {
        cr_assert_eq(artifact_forecast(self, &series, 48, confidence, &forecast, why),
                     OM_OK);
        for (int i = 0; i < 48; i++)
            cr_expect(forecast.lower[i] <= forecast.values[i] &&
                      forecast.values[i] <= forecast.upper[i] && forecast.lower[i] >= 0);
        double width = forecast.upper[0] - forecast.lower[0];
        cr_expect_gt(width, before);
        cr_expect_gt(forecast.upper[47] - forecast.values[47], width / 2);
        before = width;
    }
    artifact_destroy(&self);
}

// Of a hundred walks each has its forecast's interval; the share of values inside must be
// near what was promised.
Test(artifact, intervals_hold_about_the_promised_share)
{
    struct rng rng = { 4 };
    double values[120];
    int inside = 0, all = 0;
    for (int k = 0; k < 100; k++) {
        for (int i = 0; i < 120; i++)
            values[i] = 50 + 10 * sin(i * M_PI / 6) + rng_uniform(&rng, -3, 3);
        struct model_job job = job_of(&seasonal_naive_plugin, values, 108, 12, 12);
        const struct model_plugin *used;
        cr_assert_eq(artifact_fit_forecast(&seasonal_naive_plugin, &job, 0.8, &forecast,
                                           &used, why),
                     OM_OK);
        for (int i = 0; i < 12; i++, all++)
            inside += values[108 + i] >= forecast.lower[i] &&
                      values[108 + i] <= forecast.upper[i];
    }
    double share = (double)inside / all;
    cr_expect(share > 0.75 && share < 0.87, "%g", share);
}

Test(artifact, fit_in_the_call_uses_the_lstm_where_it_wins)
{
    const struct model_plugin *used = NULL;
    struct model_job job = job_of(&revenue_lstm_plugin, airline, AIRLINE_KNOWN, 12, 12);
    cr_assert_eq(
        artifact_fit_forecast(&revenue_lstm_plugin, &job, 0.9, &forecast, &used, why),
        OM_OK);
    cr_expect_eq(used, &revenue_lstm_plugin);
}

Test(artifact, fit_in_the_call_falls_back_to_seasonal_naive_where_that_wins)
{
    // Each season repeats the one before until a change that no model can foresee; a
    // season later seasonal naive is exact again, and a model that learned is not.
    static double repeated[240];
    for (int i = 0; i < 240; i++)
        repeated[i] = 10 + i * 7 % 12 * (i < 180 ? 1 : 3);
    const double few[] = { 1, 2, 3, 4 };
    const double same[] = { 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5 };
    const struct {
        const double *values;
        size_t count, period;
        double next;
    } cases[] = {
        { repeated, 240, 12, repeated[228] },
        { few, 4, 1, 4 },
        { few, 4, 2, 3 },
        { same, 20, 1, 5 },
        { airline, 30, 12, airline[18] }, // too short for an LSTM of this period
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        const struct model_plugin *used = NULL;
        struct model_job job = job_of(&revenue_lstm_plugin, cases[i].values,
                                      cases[i].count, cases[i].period, 3);
        cr_assert_eq(
            artifact_fit_forecast(&revenue_lstm_plugin, &job, 0.9, &forecast, &used, why),
            OM_OK, "case %zu: %s", i, why);
        cr_expect_str_eq(used->name, "seasonal-naive", "case %zu", i);
        cr_expect_eq(forecast.values[0], cases[i].next, "case %zu", i);
    }
}

static bool
always(void *ctx)
{
    (void)ctx;
    return true;
}

Test(artifact, fit_in_the_call_answers_with_seasonal_naive_when_its_time_is_over)
{
    const struct model_plugin *used = NULL;
    struct model_job job = job_of(&revenue_lstm_plugin, airline, AIRLINE_KNOWN, 12, 12);
    job.watch.stop = always;
    cr_assert_eq(
        artifact_fit_forecast(&revenue_lstm_plugin, &job, 0.9, &forecast, &used, why),
        OM_OK);
    cr_expect_eq(used, &seasonal_naive_plugin);
}

Test(artifact, fit_in_the_call_refuses_what_is_too_short_for_a_season)
{
    const struct model_plugin *used = NULL;
    struct model_job job = job_of(&revenue_lstm_plugin, airline, 13, 12, 3);
    cr_expect_eq(
        artifact_fit_forecast(&revenue_lstm_plugin, &job, 0.9, &forecast, &used, why),
        OM_EINVAL);
    cr_expect(strstr(why, "has 13 values but at least 14"), "%s", why);
}

static void
on_share(void *ctx, const struct artifact_progress *progress)
{
    double *share = ctx;
    cr_expect_gt(progress->share, *share);
    cr_expect_leq(progress->share, 1);
    *share = progress->share;
}

Test(artifact, training_progress_rises_to_one)
{
    double share = 0;
    struct artifact_watch watch = { .report = on_share, .ctx = &share };
    struct artifact *self = NULL;
    struct model_job job = job_of(&revenue_lstm_plugin, airline, AIRLINE_KNOWN, 12, 12);
    cr_assert_eq(artifact_train(&revenue_lstm_plugin, &job, &watch, &self), OM_OK);
    cr_expect_float_eq(share, 1, 1e-12);
    artifact_destroy(&self);
}

Test(artifact, training_gives_nothing_when_stopped)
{
    struct artifact_watch watch = { .stop = always };
    struct artifact *self = NULL;
    struct model_job job = job_of(&revenue_lstm_plugin, airline, AIRLINE_KNOWN, 12, 12);
    cr_expect_eq(artifact_train(&revenue_lstm_plugin, &job, &watch, &self),
                 OM_ECANCELLED);
    cr_expect_null(self);
}

Test(artifact, loader_refuses_every_truncation_and_every_changed_byte)
{
    struct artifact *self = airline_artifact(&seasonal_naive_plugin), *loaded = NULL;
    struct om_buf bytes = { 0 };
    artifact_save(self, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        cr_assert_eq(artifact_load((struct om_str){ bytes.data, size }, &loaded),
                     OM_EPROTO);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 0x41;
        cr_assert_eq(artifact_load(om_buf_str(&bytes), &loaded), OM_EPROTO, "byte %zu",
                     i);
        bytes.data[i] ^= 0x41;
    }
    om_buf_finish(&bytes);
    artifact_destroy(&self);
}

// Bytes with an own, right checksum: what the states' loaders must see through.
Test(artifact, states_refuse_what_training_cannot_have_made)
{
    struct model_job job = job_of(&revenue_lstm_plugin, airline, AIRLINE_KNOWN, 12, 12);
    job.work_max = 1e6;
    void *state = NULL;
    double loss;
    cr_assert_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_OK);
    struct om_buf good = { 0 };
    revenue_lstm_plugin.save(state, &good);
    revenue_lstm_plugin.destroy(state);

    // One changed byte anywhere in the fields before the weights: refused, or a state
    // that still forecasts without a fault.
    struct series series = { airline, AIRLINE_KNOWN, 12 };
    for (size_t i = 0; i < 120 && i < good.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            good.data[i] ^= (char)(1 << bit);
            state = NULL;
            if (revenue_lstm_plugin.load(om_buf_str(&good), &state) == OM_OK) {
                (void)revenue_lstm_plugin.predict(state, &series, 12, forecast.values,
                                                  why);
                revenue_lstm_plugin.destroy(state);
            }
            good.data[i] ^= (char)(1 << bit);
        }
    // A weight that is not finite.
    double infinite = INFINITY;
    memcpy(good.data + good.size - sizeof(double), &infinite, sizeof(double));
    state = NULL;
    cr_expect_eq(revenue_lstm_plugin.load(om_buf_str(&good), &state), OM_EPROTO);
    cr_expect_null(state);
    om_buf_finish(&good);
}

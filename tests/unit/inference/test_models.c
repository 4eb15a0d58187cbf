// The plug-ins, each through its table row.
#include <math.h>
#include <stdlib.h>

#include "airline.h"
#include "metrics.h"
#include "model.h"
#include "record.h"

static struct model_job
job_of(const struct model_plugin *plugin, const double *values, size_t count,
       size_t period)
{
    struct model_job job = { .series = { values, count, period }, .horizon = 12 };
    char why[SERIES_WHY_MAX];
    cr_assert_eq(model_params_read(plugin, (struct om_str){ 0 }, job.params, why), OM_OK);
    return job;
}

static void
set_param(struct model_job *job, const struct model_plugin *plugin, const char *name,
          double value)
{
    for (size_t i = 0; i < plugin->param_count; i++)
        if (strcmp(plugin->params[i].name, name) == 0)
            job->params[i] = value;
}

static double
airline_mase(const struct model_plugin *plugin, double seed)
{
    double values[AIRLINE_COUNT], forecast[12], loss;
    char why[SERIES_WHY_MAX];
    airline_read(values);
    struct model_job job = job_of(plugin, values, AIRLINE_KNOWN, 12);
    set_param(&job, plugin, "seed", seed);
    void *state = NULL;
    cr_assert_eq(plugin->train(&job, &state, &loss), OM_OK);
    cr_assert_eq(plugin->predict(state, &job.series, 12, forecast, why), OM_OK);
    plugin->destroy(state);
    return metrics_mase(values + AIRLINE_KNOWN, forecast, 12, series_scale(&job.series));
}

Test(models, seasonal_naive_repeats_the_last_season)
{
    const struct model_plugin *plugin = model_find(OM_LIT("seasonal-naive"));
    double values[] = { 1, 2, 3, 4, 5, 6 }, forecast[5], loss;
    char why[SERIES_WHY_MAX];
    struct model_job job = job_of(plugin, values, 6, 3);
    void *state = NULL;
    cr_assert_eq(plugin->train(&job, &state, &loss), OM_OK);
    cr_assert_eq(plugin->predict(state, &job.series, 5, forecast, why), OM_OK);
    const double expected[] = { 4, 5, 6, 4, 5 };
    cr_expect_arr_eq(forecast, expected, sizeof(expected));
    plugin->destroy(state);
}

// The published airline values; seasonal naive's error was worked out apart from this
// code.
Test(models, lstm_beats_seasonal_naive_on_the_held_out_year_for_twenty_seeds,
     .timeout = 60)
{
    double naive = airline_mase(&seasonal_naive_plugin, 0);
    cr_expect_float_eq(naive, 1.571, 0.001, "%g", naive);
    for (int seed = 1; seed <= 20; seed++) {
        double mase = airline_mase(&revenue_lstm_plugin, seed);
        cr_expect_lt(mase, 0.8 * naive, "seed %d: MASE %g", seed, mase);
    }
}

// The mean growth is none here, so only what the network learned can beat seasonal naive.
Test(models, lstm_learns_a_cycle_that_seasonal_naive_lags_behind)
{
    double values[312], forecast[12], naive[12], loss;
    char why[SERIES_WHY_MAX];
    for (int i = 0; i < 312; i++)
        values[i] = 200 + 30 * sin(2 * M_PI * i / 12) + 50 * sin(2 * M_PI * i / 75);
    struct model_job job = job_of(&revenue_lstm_plugin, values, 300, 12);
    void *state = NULL;
    cr_assert_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_OK);
    cr_assert_eq(revenue_lstm_plugin.predict(state, &job.series, 12, forecast, why),
                 OM_OK);
    for (int i = 0; i < 12; i++)
        naive[i] = values[288 + i];
    double error = metrics_mae(values + 300, forecast, 12);
    double naive_error = metrics_mae(values + 300, naive, 12);
    cr_expect_lt(error, 0.2 * naive_error, "%g against %g", error, naive_error);
    revenue_lstm_plugin.destroy(state);
}

Test(models, same_seed_gives_the_same_bytes_and_another_seed_others)
{
    const struct model_plugin *plugin = &revenue_lstm_plugin;
    double values[AIRLINE_COUNT], loss;
    airline_read(values);
    struct om_buf bytes[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        struct model_job job = job_of(plugin, values, AIRLINE_KNOWN, 12);
        set_param(&job, plugin, "epochs", 3);
        set_param(&job, plugin, "seed", i < 2 ? 5 : 6);
        void *state = NULL;
        cr_assert_eq(plugin->train(&job, &state, &loss), OM_OK);
        plugin->save(state, &bytes[i]);
        plugin->destroy(state);
    }
    cr_expect(om_str_eq(om_buf_str(&bytes[0]), om_buf_str(&bytes[1])));
    cr_expect_not(om_str_eq(om_buf_str(&bytes[0]), om_buf_str(&bytes[2])));
    for (int i = 0; i < 3; i++)
        om_buf_finish(&bytes[i]);
}

// The smallest of what each plug-in says it needs, at periods where the windows take
// different forms, and forecasts far longer than a block.
Test(models, train_on_the_least_they_ask_for_at_any_period, .timeout = 60)
{
    const size_t periods[] = { 1, 2, 7, 12, 24, 168, 200, 1000 };
    static double values[4000], forecast[1000];
    for (size_t i = 0; i < OM_COUNT(values); i++)
        values[i] = 100 + (double)(i * 7919 % 101);
    for (size_t p = 0; p < model_plugin_count; p++)
        for (size_t i = 0; i < OM_COUNT(periods); i++) {
            const struct model_plugin *plugin = model_plugins[p];
            size_t least = plugin->least_values(periods[i]);
            struct model_job job = job_of(plugin, values, least, periods[i]);
            set_param(&job, plugin, "epochs", 2);
            set_param(&job, plugin, "hidden", 4);
            job.horizon = 1000;
            void *state = NULL;
            double loss;
            char why[SERIES_WHY_MAX];
            cr_assert_eq(plugin->train(&job, &state, &loss), OM_OK, "%s, period %zu",
                         plugin->name, periods[i]);
            cr_expect(isfinite(loss));
            cr_assert_eq(plugin->predict(state, &job.series, 1000, forecast, why), OM_OK);
            for (int k = 0; k < 1000; k++)
                cr_assert(isfinite(forecast[k]));
            plugin->destroy(state);
        }
}

Test(models, lstm_refuses_a_series_that_is_too_short)
{
    double values[AIRLINE_COUNT], loss;
    airline_read(values);
    struct model_job job = job_of(&revenue_lstm_plugin, values,
                                  revenue_lstm_plugin.least_values(12) - 1, 12);
    void *state = NULL;
    cr_expect_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_EINVAL);
    cr_expect_null(state);
}

Test(models, lstm_says_why_a_series_does_not_fit_a_trained_model)
{
    const struct model_plugin *plugin = &revenue_lstm_plugin;
    double values[AIRLINE_COUNT], forecast[12], loss;
    char why[SERIES_WHY_MAX];
    airline_read(values);
    struct model_job job = job_of(plugin, values, AIRLINE_KNOWN, 12);
    set_param(&job, plugin, "epochs", 1);
    void *state = NULL;
    cr_assert_eq(plugin->train(&job, &state, &loss), OM_OK);

    struct series few = { values, 20, 12 };
    cr_expect_eq(plugin->predict(state, &few, 12, forecast, why), OM_EINVAL);
    cr_expect(strstr(why, "needs the last 36"), "%s", why);
    values[130] = 0;
    struct series zero = { values, AIRLINE_KNOWN, 12 };
    cr_expect_eq(plugin->predict(state, &zero, 12, forecast, why), OM_EINVAL);
    cr_expect(strstr(why, "has 0 as value 131"), "%s", why);
    plugin->destroy(state);
}

Test(models, lstm_takes_series_with_zeros_negatives_and_without_noise)
{
    static double values[120];
    double forecast[24], loss;
    char why[SERIES_WHY_MAX];
    for (int i = 0; i < 120; i++)
        values[i] = i % 12 - 6; // each season repeats: nothing is left to learn
    struct model_job job = job_of(&revenue_lstm_plugin, values, 120, 12);
    void *state = NULL;
    cr_assert_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_OK);
    cr_assert_eq(revenue_lstm_plugin.predict(state, &job.series, 24, forecast, why),
                 OM_OK);
    for (int i = 0; i < 24; i++)
        cr_expect_float_eq(forecast[i], i % 12 - 6, 0.5);
    revenue_lstm_plugin.destroy(state);
}

struct counts {
    int reports, stops, stop_after;
    int64_t last_epoch, epochs;
    double first_loss, last_loss;
};

static void
on_report(void *ctx, const struct model_progress *progress)
{
    struct counts *counts = ctx;
    counts->first_loss = counts->reports++ == 0 ? progress->loss : counts->first_loss;
    cr_expect_eq(progress->epoch, counts->last_epoch + 1);
    counts->last_epoch = progress->epoch;
    counts->epochs = progress->epochs;
    counts->last_loss = progress->loss;
}

static bool
on_stop(void *ctx)
{
    struct counts *counts = ctx;
    return counts->stops++ >= counts->stop_after;
}

Test(models, training_reports_each_epoch_with_a_falling_loss)
{
    double values[AIRLINE_COUNT], loss;
    airline_read(values);
    struct counts counts = { .stop_after = 1 << 30 };
    struct model_job job = job_of(&revenue_lstm_plugin, values, AIRLINE_KNOWN, 12);
    job.watch = (struct model_watch){ on_report, on_stop, &counts };
    set_param(&job, &revenue_lstm_plugin, "epochs", 40);
    void *state = NULL;
    cr_assert_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_OK);
    cr_expect_eq(counts.reports, 40);
    cr_expect_eq(counts.epochs, 40);
    cr_expect_lt(counts.last_loss, 0.7 * counts.first_loss);
    cr_expect_eq(counts.last_loss, loss);
    revenue_lstm_plugin.destroy(state);
}

Test(models, training_stops_at_once_when_told_and_keeps_nothing)
{
    double values[AIRLINE_COUNT], loss;
    airline_read(values);
    struct counts counts = { .stop_after = 10 };
    struct model_job job = job_of(&revenue_lstm_plugin, values, AIRLINE_KNOWN, 12);
    job.watch = (struct model_watch){ on_report, on_stop, &counts };
    set_param(&job, &revenue_lstm_plugin, "epochs", 5000);
    void *state = NULL;
    cr_expect_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_ECANCELLED);
    cr_expect_null(state);
    cr_expect_eq(counts.stops, 11, "it went on after it was told");
}

Test(models, a_limit_of_work_shortens_the_training)
{
    double values[AIRLINE_COUNT], loss;
    airline_read(values);
    struct counts counts = { .stop_after = 1 << 30 };
    struct model_job job = job_of(&revenue_lstm_plugin, values, AIRLINE_KNOWN, 12);
    job.watch = (struct model_watch){ on_report, on_stop, &counts };
    set_param(&job, &revenue_lstm_plugin, "epochs", 5000);
    job.work_max = 1e8;
    void *state = NULL;
    cr_assert_eq(revenue_lstm_plugin.train(&job, &state, &loss), OM_OK);
    cr_expect_lt(counts.epochs, 100);
    cr_expect_eq(counts.reports, counts.epochs);
    revenue_lstm_plugin.destroy(state);
}

static struct om_str
one_pair(struct om_buf *buf, const char *name, const double *number, const char *text)
{
    om_buf_reset(buf);
    om_pack_map(buf, 1);
    om_pack_str(buf, om_str(name));
    if (text)
        om_pack_str(buf, om_str(text));
    else
        om_pack_f64(buf, *number);
    return om_buf_str(buf);
}

Test(models, parameters_are_checked_against_the_table)
{
    const struct {
        const char *name, *text, *why;
        double number;
    } bad[] = {
        { "epoch", NULL, "epoch is no parameter of revenue-lstm; it takes epochs,", 5 },
        { "epochs", NULL, "epochs must be a whole number from 1 to 100000", 0 },
        { "epochs", NULL, "epochs must be a whole number", 2.5 },
        { "epochs", "many", "epochs must be a whole number", 0 },
        { "hidden", NULL, "hidden must be a whole number from 2 to 128", 1e9 },
        { "learning_rate", NULL, "learning_rate must be a number from 1e-05 to 0.1",
          NAN },
        { "members", NULL, "members must be", -1 },
    };
    struct om_buf buf = { 0 };
    double params[MODEL_PARAMS_MAX];
    char why[SERIES_WHY_MAX];
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct om_str map = one_pair(&buf, bad[i].name, &bad[i].number, bad[i].text);
        cr_expect_eq(model_params_read(&revenue_lstm_plugin, map, params, why),
                     OM_EINVAL);
        cr_expect(strstr(why, bad[i].why), "case %zu says: %s", i, why);
    }
    double seven = 7;
    struct om_str map = one_pair(&buf, "epochs", &seven, NULL);
    cr_expect_eq(model_params_read(&revenue_lstm_plugin, map, params, why), OM_OK);
    cr_expect_eq(params[0], 7);
    cr_expect_eq(params[1], revenue_lstm_plugin.params[1].standard);
    cr_expect_eq(model_params_read(&seasonal_naive_plugin, map, params, why), OM_EINVAL);
    cr_expect(strstr(why, "takes none"), "%s", why);
    om_buf_finish(&buf);
}

Test(models, every_plugin_is_complete_and_found_by_its_name)
{
    for (size_t i = 0; i < model_plugin_count; i++) {
        const struct model_plugin *plugin = model_plugins[i];
        cr_expect_eq(model_find(om_str(plugin->name)), plugin);
        cr_expect(plugin->doc && plugin->train && plugin->predict && plugin->save &&
                  plugin->load && plugin->destroy && plugin->least_values);
        for (size_t k = 0; k < plugin->param_count; k++) {
            const struct model_param *param = &plugin->params[k];
            cr_expect(param->standard >= param->min && param->standard <= param->max);
        }
    }
    cr_expect_null(model_find(OM_LIT("revenue")));
    cr_expect_null(model_find((struct om_str){ 0 }));
}

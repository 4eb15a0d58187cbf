#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "revenue_lstm.h"

static const double change_max = 6; // standard deviations: keeps a fed-back forecast sane

static double
level(const struct revenue_lstm *self, double value)
{
    return self->logs ? log(value) : value;
}

void
revenue_lstm_changes(const struct revenue_lstm *self, const double *values, size_t count,
                     double *changes)
{
    for (size_t i = self->period; i < count; i++)
        changes[i - self->period] = (level(self, values[i]) -
                                     level(self, values[i - self->period]) - self->mean) /
                                    self->sd;
}

void
revenue_lstm_window(const struct revenue_lstm *self, const double *changes,
                    struct lstm_work *work, size_t w)
{
    for (size_t s = 0; s < self->steps; s++)
        memcpy(lstm_input(work, s, w), changes + s * self->chunk,
               self->chunk * sizeof(double));
}

static enum om_rc
check_series(const struct revenue_lstm *self, const struct series *series, char *why)
{
    size_t needed = self->period + self->chunk * self->steps;
    if (series->count < needed) {
        snprintf(why, SERIES_WHY_MAX,
                 "has %zu values but this model needs the last %zu before the forecast",
                 series->count, needed);
        return OM_EINVAL;
    }
    for (size_t i = series->count - needed; self->logs && i < series->count; i++)
        if (series->values[i] <= 0) {
            snprintf(
                why, SERIES_WHY_MAX,
                "has %g as value %zu, but this model was trained on positive values only",
                series->values[i], i + 1);
            return OM_EINVAL;
        }
    return OM_OK;
}

// Forecast the changes after the `window` changes at the start of `changes` with one
// member, and add its share to `sum`.
static void
roll_forward(const struct revenue_lstm *self, struct lstm_work *work,
             const double *weights, double *changes, size_t window, size_t steps,
             double *sum)
{
    for (size_t done = 0; done < steps; done += self->block) {
        revenue_lstm_window(self, changes + done, work, 0);
        const double *output = lstm_forward(work, weights, 1);
        for (size_t i = 0; i < self->block && done + i < steps; i++) {
            double change = fmax(-change_max, fmin(change_max, output[i]));
            changes[window + done + i] = change;
            sum[done + i] += change / (double)self->members;
        }
    }
}

static enum om_rc
to_values(const struct revenue_lstm *self, const struct series *series,
          const double *changes, size_t steps, double *forecast)
{
    const double *last = series->values + series->count - self->period;
    for (size_t i = 0; i < steps; i++) {
        double before = i < self->period ? last[i] : forecast[i - self->period];
        double change = changes[i] * self->sd + self->mean;
        forecast[i] = self->logs ? before * exp(change) : before + change;
        if (!isfinite(forecast[i]))
            return OM_EINTERNAL;
    }
    return OM_OK;
}

static enum om_rc
predict(const void *state, const struct series *series, size_t steps, double *forecast,
        char *why)
{
    const struct revenue_lstm *self = state;
    enum om_rc rc = check_series(self, series, why);
    if (rc != OM_OK)
        return rc;
    struct lstm_shape shape = revenue_lstm_shape(self);
    size_t window = self->chunk * self->steps, each = lstm_param_count(&shape);
    struct lstm_work *work = lstm_work_create(&shape, self->steps, 1);
    double *changes = calloc(window + 2 * steps, sizeof(double));
    rc = OM_EUNAVAILABLE;
    if (work && changes) {
        double *sum = changes + window + steps;
        revenue_lstm_changes(self, series->values + series->count - window - self->period,
                             window + self->period, changes);
        for (size_t m = 0; m < self->members; m++)
            roll_forward(self, work, self->weights + m * each, changes, window, steps,
                         sum);
        rc = to_values(self, series, sum, steps, forecast);
    }
    free(changes);
    lstm_work_destroy(&work);
    return rc;
}

// The defaults were chosen by rolling-origin backtests inside the first 132 months of the
// airline series and on a fourteenth of M4's hourly series.
static const struct model_param params[] = {
    [LSTM_EPOCHS] = { "epochs", true, 1, 100000, 60, "passes over the training windows" },
    [LSTM_HIDDEN] = { "hidden", true, 2, LSTM_HIDDEN_MAX, 32, "units of the LSTM layer" },
    [LSTM_RATE] = { "learning_rate", false, 1e-5, 0.1, 0.005, "of Adam; falls to zero" },
    [LSTM_MEMBERS] = { "members", true, 1, LSTM_MEMBERS_MAX, 3, "networks averaged" },
    [LSTM_SEED] = { "seed", true, 0, 9007199254740991, 1, "of the start weights" },
};

const struct model_plugin revenue_lstm_plugin = {
    .name = "revenue-lstm",
    .doc = "An LSTM on the changes over one season, for sales and other seasonal series.",
    .params = params,
    .param_count = OM_COUNT(params),
    .least_values = revenue_lstm_least,
    .train = revenue_lstm_train,
    .predict = predict,
    .save = revenue_lstm_save,
    .load = revenue_lstm_load,
    .destroy = revenue_lstm_destroy,
};
_Static_assert(OM_COUNT(params) <= MODEL_PARAMS_MAX, "model_job holds them all");

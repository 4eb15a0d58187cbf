#include <math.h>
#include <stdlib.h>

#include "artifact_inside.h"
#include "metrics.h"

enum { FIT_FOLDS = 2, NAIVE_FOLDS = 10 };

void
artifact_destroy(struct artifact **self_p)
{
    struct artifact *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->state)
        self->plugin->destroy(self->state);
    om_buf_finish(&self->metrics);
    free(self);
}

const struct model_plugin *
artifact_plugin(const struct artifact *self)
{
    return self->plugin;
}

size_t
artifact_period(const struct artifact *self)
{
    return self->period;
}

void
artifact_metrics(const struct artifact *self, struct om_buf *out)
{
    om_buf_put(out, self->metrics.data, self->metrics.size);
}

// Progress of a training and its backtest as one.
struct relay {
    const struct artifact_watch *watch;
    struct artifact_progress progress;
};

static void
on_epoch(void *ctx, const struct model_progress *model)
{
    struct relay *relay = ctx;
    struct artifact_progress *p = &relay->progress;
    p->model = *model;
    double part = (double)model->epoch / (double)model->epochs;
    p->share = ((double)p->fold + part) / (double)(1 + p->folds);
    if (relay->watch && relay->watch->report)
        relay->watch->report(relay->watch->ctx, p);
}

static bool
on_stop(void *ctx)
{
    const struct artifact_watch *watch = ((struct relay *)ctx)->watch;
    return watch && watch->stop && watch->stop(watch->ctx);
}

static void
on_fold(void *ctx, size_t fold, size_t folds)
{
    struct artifact_progress *p = &((struct relay *)ctx)->progress;
    p->fold = fold + 1;
    p->folds = folds;
}

static void
put_metric(struct om_buf *buf, size_t *count, const char *name, double value)
{
    if (!isfinite(value))
        return;
    om_pack_str(buf, om_str(name));
    om_pack_f64(buf, value);
    (*count)++;
}

static void
pack_metrics(struct artifact *self, const struct backtest *test, double loss)
{
    struct om_buf pairs = { 0 };
    size_t count = 0;
    put_metric(&pairs, &count, "loss", loss);
    put_metric(&pairs, &count, "folds", (double)test->folds);
#define PUT_METRIC(name, doc) put_metric(&pairs, &count, #name, test->name);
    if (test->folds > 0) {
        BACKTEST_METRICS(PUT_METRIC)
    }
#undef PUT_METRIC
    om_pack_map(&self->metrics, count);
    om_buf_put(&self->metrics, pairs.data, pairs.size);
    if (pairs.failed)
        self->metrics.failed = true;
    om_buf_finish(&pairs);
}

static int
compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Without a backtest the width of intervals rests on seasonal naive's errors in the
// series.
static void
keep_changes(struct artifact *self, const struct series *series)
{
    size_t period = series->period,
           count = series->count > period ? series->count - period : 0;
    if (count > BACKTEST_RESIDUALS_MAX)
        count = BACKTEST_RESIDUALS_MAX;
    const double *last = series->values + series->count - 1;
    for (size_t i = 0; i < count && self->scale > 0; i++, last--)
        self->residuals[self->residual_count++] =
            fabs(*last - *(last - period)) / self->scale;
    qsort(self->residuals, self->residual_count, sizeof(double), compare);
    self->horizon = period;
}

static void
keep_backtest(struct artifact *self, const struct series *series,
              const struct backtest *test)
{
    self->period = series->period;
    self->scale = series_scale(series);
    self->horizon = test->horizon;
    self->residual_count = test->residual_count;
    memcpy(self->residuals, test->residuals, test->residual_count * sizeof(double));
    if (test->residual_count == 0)
        keep_changes(self, series);
}

enum om_rc
artifact_train(const struct model_plugin *plugin, const struct model_job *job,
               const struct artifact_watch *watch, struct artifact **out)
{
    OM_AUTO(artifact_destroy) struct artifact *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    struct relay relay = { watch, { .folds = ARTIFACT_FOLDS } };
    struct model_job part = *job;
    part.watch = (struct model_watch){ on_epoch, on_stop, &relay };
    part.work_max /= 2;
    self->plugin = plugin;
    double loss = 0;
    enum om_rc rc = plugin->train(&part, &self->state, &loss);
    if (rc != OM_OK)
        return rc;
    struct backtest test;
    rc = backtest_run(plugin, &part, ARTIFACT_FOLDS, on_fold, &test);
    if (rc != OM_OK)
        return rc;
    keep_backtest(self, &job->series, &test);
    pack_metrics(self, &test, loss);
    if (self->metrics.failed)
        return OM_EUNAVAILABLE;
    *out = self;
    self = NULL;
    return OM_OK;
}

// An interval of a finite number of errors holds the next one a little less often than
// its level says (Lei et al. 2018): hence (count + 1) / count.
static double
interval_width(const struct artifact *self, const struct series *series,
               double confidence)
{
    double count = (double)self->residual_count;
    if (self->residual_count == 0)
        return 0;
    double level = fmin(1, confidence * (count + 1) / count);
    double scale = series_scale(series);
    return metrics_quantile(self->residuals, self->residual_count, level) *
           (scale > 0 ? scale : self->scale);
}

static bool
never_negative(const struct series *series)
{
    for (size_t i = 0; i < series->count; i++)
        if (series->values[i] < 0)
            return false;
    return true;
}

enum om_rc
artifact_forecast(const struct artifact *self, const struct series *series, size_t steps,
                  double confidence, struct forecast *out, char *why)
{
    struct series own = *series;
    own.period = self->period;
    enum om_rc rc = self->plugin->predict(self->state, &own, steps, out->values, why);
    if (rc != OM_OK)
        return rc;
    double width = interval_width(self, &own, confidence);
    bool floor_at_zero = never_negative(series);
    for (size_t i = 0; i < steps; i++) {
        double far = sqrt((double)(i + 1) / (double)self->horizon);
        double reach = width * fmax(1, far), value = out->values[i];
        out->lower[i] = value - reach;
        out->upper[i] = value + reach;
        if (floor_at_zero && value >= 0)
            out->lower[i] = fmax(0, out->lower[i]);
    }
    return OM_OK;
}

// Backtest first: a model that loses is never trained on the whole series.
static enum om_rc
fit(const struct model_plugin *plugin, const struct model_job *job, size_t folds,
    struct artifact *self)
{
    struct model_job part = *job;
    part.work_max = job->work_max / 2;
    self->plugin = plugin;
    struct backtest test;
    enum om_rc rc = backtest_run(plugin, &part, folds, NULL, &test);
    if (rc != OM_OK)
        return rc;
    if (plugin != &seasonal_naive_plugin && !backtest_passed(&test))
        return OM_ENOTFOUND;
    keep_backtest(self, &job->series, &test);
    double loss;
    return plugin->train(&part, &self->state, &loss);
}

static enum om_rc
fit_forecast(const struct model_plugin *plugin, const struct model_job *job, size_t folds,
             double confidence, struct forecast *out, char *why)
{
    OM_AUTO(artifact_destroy) struct artifact *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    enum om_rc rc = fit(plugin, job, folds, self);
    if (rc == OM_OK)
        rc = artifact_forecast(self, &job->series, job->horizon, confidence, out, why);
    return rc;
}

enum om_rc
artifact_fit_forecast(const struct model_plugin *plugin, const struct model_job *job,
                      double confidence, struct forecast *out,
                      const struct model_plugin **used, char *why)
{
    *used = plugin;
    if (plugin != &seasonal_naive_plugin &&
        fit_forecast(plugin, job, FIT_FOLDS, confidence, out, why) == OM_OK)
        return OM_OK;
    *used = &seasonal_naive_plugin;
    enum om_rc rc =
        series_check(job->series.values, job->series.count,
                     seasonal_naive_plugin.least_values(job->series.period), why);
    if (rc != OM_OK)
        return rc;
    struct model_job rest = *job;
    rest.watch = (struct model_watch){ 0 };
    return fit_forecast(*used, &rest, NAIVE_FOLDS, confidence, out, why);
}

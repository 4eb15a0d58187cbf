#include <math.h>
#include <stdlib.h>

#include "backtest.h"
#include "metrics.h"

// The forecasts of all folds, one behind the other.
struct pool {
    size_t folds, horizon;
    double *actual, *forecast, *naive, *scale; // `scale` has a value a fold
};

static bool
pool_init(struct pool *self)
{
    size_t count = self->folds * self->horizon;
    self->actual = calloc(3 * count + self->folds, sizeof(double));
    if (!self->actual)
        return false;
    self->forecast = self->actual + count;
    self->naive = self->forecast + count;
    self->scale = self->naive + count;
    return true;
}

static enum om_rc
run_fold(const struct model_plugin *plugin, const struct model_job *job, size_t fold,
         const struct pool *pool)
{
    struct model_job part = *job;
    part.horizon = pool->horizon;
    part.series.count -= (pool->folds - fold) * pool->horizon;
    part.work_max /= (double)pool->folds;
    size_t at = fold * pool->horizon, period = part.series.period;
    const double *end = part.series.values + part.series.count;
    pool->scale[fold] = series_scale(&part.series);
    for (size_t i = 0; i < pool->horizon; i++) {
        pool->actual[at + i] = end[i];
        pool->naive[at + i] = *(end - period + i % period);
    }
    void *state = NULL;
    double loss;
    char why[SERIES_WHY_MAX];
    enum om_rc rc = plugin->train(&part, &state, &loss);
    if (rc == OM_OK)
        rc =
            plugin->predict(state, &part.series, pool->horizon, pool->forecast + at, why);
    if (state)
        plugin->destroy(state);
    return rc;
}

static int
compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

// Of more errors than are kept, every so many-th in time is.
static void
keep_residuals(const struct pool *pool, struct backtest *out)
{
    size_t count = pool->folds * pool->horizon;
    size_t stride = (count + BACKTEST_RESIDUALS_MAX - 1) / BACKTEST_RESIDUALS_MAX;
    for (size_t i = 0; i < count; i += stride) {
        double scale = pool->scale[i / pool->horizon];
        if (scale > 0)
            out->residuals[out->residual_count++] =
                fabs(pool->actual[i] - pool->forecast[i]) / scale;
    }
    qsort(out->residuals, out->residual_count, sizeof(double), compare);
}

static void
evaluate(const struct pool *pool, struct backtest *out)
{
    size_t count = pool->folds * pool->horizon;
    double scale = 0;
    for (size_t i = 0; i < pool->folds; i++)
        scale += pool->scale[i] / (double)pool->folds;
    out->folds = pool->folds;
    out->horizon = pool->horizon;
    out->mae = metrics_mae(pool->actual, pool->forecast, count);
    out->rmse = metrics_rmse(pool->actual, pool->forecast, count);
    out->smape = metrics_smape(pool->actual, pool->forecast, count);
    out->mase = metrics_mase(pool->actual, pool->forecast, count, scale);
    out->seasonal_naive_mae = metrics_mae(pool->actual, pool->naive, count);
    out->seasonal_naive_mase = metrics_mase(pool->actual, pool->naive, count, scale);
    keep_residuals(pool, out);
}

enum om_rc
backtest_run(const struct model_plugin *plugin, const struct model_job *job,
             size_t folds_max, backtest_fold_fn *on_fold, struct backtest *out)
{
    memset(out, 0, sizeof(*out));
    size_t least = plugin->least_values(job->series.period), count = job->series.count;
    // A scale needs one value more than a season.
    least = least > job->series.period ? least : job->series.period + 1;
    if (count <= least || folds_max == 0)
        return OM_OK;
    size_t room = count - least;
    struct pool pool = { .horizon = job->horizon < room ? job->horizon : room };
    pool.folds = room / pool.horizon < folds_max ? room / pool.horizon : folds_max;
    if (!pool_init(&pool))
        return OM_EUNAVAILABLE;
    enum om_rc rc = OM_OK;
    for (size_t fold = 0; fold < pool.folds && rc == OM_OK; fold++) {
        if (on_fold)
            on_fold(job->watch.ctx, fold, pool.folds);
        rc = run_fold(plugin, job, fold, &pool);
    }
    if (rc == OM_OK)
        evaluate(&pool, out);
    free(pool.actual);
    return rc;
}

bool
backtest_passed(const struct backtest *self)
{
    return self->folds > 0 && self->mae < self->seasonal_naive_mae;
}

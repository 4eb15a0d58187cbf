// Seasonal naive: each value is the one a season before. It has nothing to learn, and is
// what every other model must beat.
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "record.h"

#define NAIVE_STATE(F, M)                                                                \
    F(M, I64, period, REQUIRED, 1, SERIES_PERIOD_MAX, NULL, "steps in a season")
REC_DECLARE(naive_state, NAIVE_STATE);
REC_DEFINE(naive_state, NAIVE_STATE);

static size_t
least_values(size_t period)
{
    return period + 2; // two changes over a season, to tell how far off it is
}

static enum om_rc
train(const struct model_job *job, void **state, double *loss)
{
    struct naive_state *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    REC_SET(self, naive_state, period, (int64_t)job->series.period);
    *loss = series_scale(&job->series);
    if (job->watch.report)
        job->watch.report(job->watch.ctx, &(struct model_progress){ 1, 1, *loss });
    *state = self;
    return OM_OK;
}

static enum om_rc
predict(const void *state, const struct series *series, size_t steps, double *forecast,
        char *why)
{
    size_t period = (size_t)((const struct naive_state *)state)->period;
    if (series->count < period) {
        snprintf(
            why, SERIES_WHY_MAX,
            "has %zu values but seasonal-naive with a period of %zu needs at least %zu",
            series->count, period, period);
        return OM_EINVAL;
    }
    for (size_t i = 0; i < steps; i++)
        forecast[i] = series->values[series->count - period + i % period];
    return OM_OK;
}

static void
save(const void *state, struct om_buf *out)
{
    rec_encode(&naive_state_rec, state, out);
}

static enum om_rc
load(struct om_str bytes, void **state)
{
    struct naive_state *self = malloc(sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    if (rec_decode(&naive_state_rec, bytes, self, NULL) != OM_OK) {
        free(self);
        return OM_EPROTO;
    }
    *state = self;
    return OM_OK;
}

const struct model_plugin seasonal_naive_plugin = {
    .name = "seasonal-naive",
    .doc = "Repeats the last season.",
    .least_values = least_values,
    .train = train,
    .predict = predict,
    .save = save,
    .load = load,
    .destroy = free,
};

#include <math.h>
#include <stdlib.h>

#include "adam.h"
#include "revenue_lstm.h"

enum {
    BATCH = 32,           // windows a step of Adam
    WINDOWS_MIN = 8,      // to learn from
    WINDOWS_MAX = 4096,   // seen an epoch; of more, each epoch sees others
    SEASONS_PER_STEP = 5, // seasons of data for every season a window reads
    SEASONS_READ_MAX = 7,
    VALUES_READ_MAX = 24, // where seasons are short: windows may be this long
};

struct member {
    struct rng rng;
    struct adam adam;
    double *weights; // borrowed from the model
};

struct training {
    const struct model_job *job;
    struct revenue_lstm *model;
    double *changes;
    size_t windows, windows_an_epoch;
    int64_t epochs;
    struct member members[LSTM_MEMBERS_MAX];
    struct lstm_work *work;
    double *targets, *grad;
    size_t *order;
};

size_t
revenue_lstm_least(size_t period)
{
    size_t chunk = period < LSTM_CHUNK_MAX ? period : LSTM_CHUNK_MAX;
    return period + chunk + WINDOWS_MIN;
}

static size_t
clamp(size_t value, size_t low, size_t high)
{
    return value < low ? low : value > high ? high : value;
}

// Choose the windows' form for the series. False if it is too short.
static bool
choose_frame(struct revenue_lstm *self, const struct model_job *job)
{
    const struct series *series = &job->series;
    if (series->count < revenue_lstm_least(series->period))
        return false;
    size_t changes = series->count - series->period;
    self->period = series->period;
    self->chunk = clamp(self->period, 1, LSTM_CHUNK_MAX);
    self->steps =
        clamp(changes / self->chunk / SEASONS_PER_STEP, 1,
              clamp(VALUES_READ_MAX / self->chunk, SEASONS_READ_MAX, LSTM_STEPS_MAX));
    size_t room = changes - self->chunk * self->steps - WINDOWS_MIN + 1;
    self->block = clamp(job->horizon, 1, clamp(2 * self->period, 12, LSTM_BLOCK_MAX));
    self->block = clamp(self->block, 1, clamp(room / 2, 1, room));
    self->hidden = (size_t)job->params[LSTM_HIDDEN];
    self->members = (size_t)job->params[LSTM_MEMBERS];
    self->logs = true;
    for (size_t i = 0; i < series->count; i++)
        if (series->values[i] <= 0)
            self->logs = false;
    return true;
}

static void
standardise(struct training *t)
{
    struct revenue_lstm *model = t->model;
    const struct series *series = &t->job->series;
    size_t count = series->count - model->period;
    model->mean = 0;
    model->sd = 1;
    revenue_lstm_changes(model, series->values, series->count, t->changes);
    double mean = 0, square = 0;
    for (size_t i = 0; i < count; i++)
        mean += t->changes[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        square += (t->changes[i] - mean) * (t->changes[i] - mean) / (double)count;
    model->mean = mean;
    double sd = sqrt(square);
    if (sd > 1e-9 * (1 + fabs(mean))) // else every season repeats the one before
        model->sd = sd;
    revenue_lstm_changes(model, series->values, series->count, t->changes);
}

// Fit epochs and windows into job->work_max.
static void
choose_effort(struct training *t)
{
    const struct revenue_lstm *m = t->model;
    t->epochs = (int64_t)t->job->params[LSTM_EPOCHS];
    t->windows_an_epoch = clamp(t->windows, 1, WINDOWS_MAX);
    if (t->job->work_max <= 0)
        return;
    // Forward and backward are three products of two operations an element.
    double window = 6.0 * (double)m->members *
                    ((double)(m->steps * (m->chunk + m->hidden) * 4 * m->hidden) +
                     (double)(m->hidden * m->block));
    double passes = t->job->work_max / (window * (double)t->windows_an_epoch);
    if (passes >= (double)t->epochs)
        return;
    const double epochs_min = 10;
    if (passes < epochs_min)
        t->windows_an_epoch =
            clamp((size_t)((double)t->windows_an_epoch * passes / epochs_min), BATCH,
                  t->windows);
    t->epochs = (int64_t)fmin((double)t->epochs, fmax(passes, epochs_min));
}

static void
finish(struct training *t)
{
    for (size_t m = 0; m < LSTM_MEMBERS_MAX; m++)
        adam_finish(&t->members[m].adam);
    lstm_work_destroy(&t->work);
    free(t->changes);
    free(t->targets);
    free(t->grad);
    free(t->order);
}

static bool
prepare(struct training *t)
{
    struct revenue_lstm *model = t->model;
    struct lstm_shape shape = revenue_lstm_shape(model);
    size_t each = lstm_param_count(&shape);
    size_t changes = t->job->series.count - model->period;
    t->windows = changes - model->chunk * model->steps - model->block + 1;
    model->weights = calloc(model->members * each, sizeof(double));
    t->changes = calloc(changes, sizeof(double));
    t->targets = calloc(BATCH * model->block, sizeof(double));
    t->grad = calloc(each, sizeof(double));
    t->order = calloc(t->windows, sizeof(*t->order));
    t->work = lstm_work_create(&shape, model->steps, BATCH);
    if (!model->weights || !t->changes || !t->targets || !t->grad || !t->order ||
        !t->work)
        return false;
    struct rng seeds = { (uint64_t)t->job->params[LSTM_SEED] };
    for (size_t m = 0; m < model->members; m++) {
        struct member *member = &t->members[m];
        member->rng.state = rng_next(&seeds);
        member->weights = model->weights + m * each;
        lstm_start(&shape, &member->rng, member->weights);
        if (!adam_init(&member->adam, each, 0))
            return false;
    }
    for (size_t i = 0; i < t->windows; i++)
        t->order[i] = i;
    standardise(t);
    choose_effort(t);
    return true;
}

// One step of Adam on `count` windows. Returns the loss before it.
static double
learn_batch(struct training *t, struct member *member, const size_t *windows,
            size_t count, double rate)
{
    const struct revenue_lstm *model = t->model;
    for (size_t w = 0; w < count; w++) {
        const double *start = t->changes + windows[w];
        revenue_lstm_window(model, start, t->work, w);
        memcpy(t->targets + w * model->block, start + model->chunk * model->steps,
               model->block * sizeof(double));
    }
    lstm_forward(t->work, member->weights, count);
    double loss = lstm_backward(t->work, member->weights, count, t->targets, t->grad);
    adam_step(&member->adam, rate, member->weights, t->grad);
    return loss;
}

static enum om_rc
learn_epoch(struct training *t, struct member *member, double rate, double *loss)
{
    const struct model_watch *watch = &t->job->watch;
    // The first windows_an_epoch of a Fisher-Yates shuffle.
    for (size_t i = 0; i < t->windows_an_epoch; i++) {
        size_t j = i + rng_below(&member->rng, t->windows - i), kept = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = kept;
    }
    double sum = 0;
    for (size_t i = 0; i < t->windows_an_epoch; i += BATCH) {
        if (watch->stop && watch->stop(watch->ctx))
            return OM_ECANCELLED;
        size_t left = t->windows_an_epoch - i, count = left < BATCH ? left : BATCH;
        sum += learn_batch(t, member, t->order + i, count, rate) * (double)count;
    }
    *loss += sum / (double)t->windows_an_epoch / (double)t->model->members;
    return OM_OK;
}

// All members learn an epoch in turn, so that progress is steady and a loss is of them
// all.
static enum om_rc
learn(struct training *t, double *loss)
{
    const struct model_watch *watch = &t->job->watch;
    for (int64_t epoch = 0; epoch < t->epochs; epoch++) {
        double done = (double)epoch / (double)t->epochs;
        double rate = t->job->params[LSTM_RATE] * 0.5 * (1 + cos(M_PI * done));
        *loss = 0;
        for (size_t m = 0; m < t->model->members; m++) {
            enum om_rc rc = learn_epoch(t, &t->members[m], rate, loss);
            if (rc != OM_OK)
                return rc;
        }
        if (watch->report)
            watch->report(watch->ctx,
                          &(struct model_progress){ epoch + 1, t->epochs, *loss });
    }
    return OM_OK;
}

enum om_rc
revenue_lstm_train(const struct model_job *job, void **state, double *loss)
{
    struct revenue_lstm *model = calloc(1, sizeof(*model));
    if (!model)
        return OM_EUNAVAILABLE;
    struct training t = { .job = job, .model = model };
    enum om_rc rc = OM_EINVAL;
    if (choose_frame(model, job))
        rc = prepare(&t) ? learn(&t, loss) : OM_EUNAVAILABLE;
    finish(&t);
    if (rc != OM_OK) {
        revenue_lstm_destroy(model);
        return rc;
    }
    *state = model;
    return OM_OK;
}

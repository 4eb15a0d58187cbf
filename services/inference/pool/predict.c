// Answers predictions: with a trained model, or with one fitted in the call.
#include "clock.h"
#include "stats.h"

// Some 0.8 s of CPU on a machine of 2020; POOL_FIT_CPU_MS ends it on slower ones.
static const double fit_work = 2e10;

enum {
    ANSWER_MS = 200,   // kept back of a call's time for the way of the answer
    NOW_US = 200,      // what a trained model may take of the thread that takes the calls
    NOW_WORK = 100000, // operations of a fit there: some 0.1 ms
    NOW_FIT = 40,      // of them for each value, when seasonal naive is fitted
    PART_STEPS = 50,   // of an answer in parts
};

// What the request holds, in C's types.
struct question {
    const struct model_plugin *plugin;
    struct series series;
    size_t steps;
    double confidence;
};

static enum om_rc
read_series(struct om_call *call, const struct predict_request *request,
            struct series *series)
{
    struct rec_iter iter = rec_iter(request->time_series);
    size_t count = iter.left;
    double *values = om_arena_alloc(call->job->arena, count * sizeof(double));
    for (size_t i = 0; i < count; i++)
        if (!rec_next_f64(&iter, &values[i]))
            return om_job_fail(call->job, OM_EINVAL, "time_series",
                               "time_series: value %zu is no number", i + 1);
    char why[SERIES_WHY_MAX];
    if (series_check(values, count, 1, why) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "time_series", "time_series %s", why);
    *series = (struct series){ values, count, 1 };
    return OM_OK;
}

static enum om_rc
read_question(struct om_call *call, const struct predict_request *request,
              struct question *out)
{
    bool named = REC_HAS(request, predict_request, model);
    bool trained = REC_HAS(request, predict_request, model_id);
    out->plugin = named ? model_find(request->model) : NULL;
    if (!out->plugin && (named || !trained))
        return pool_fail_model(call, OM_ENOTFOUND, request->model);
    out->steps = (size_t)request->forecast_steps;
    if (out->steps > ARTIFACT_STEPS_MAX)
        return om_job_fail(call->job, OM_EINVAL, "forecast_steps",
                           "forecast_steps: at most %d", ARTIFACT_STEPS_MAX);
    out->confidence =
        REC_HAS(request, predict_request, confidence) ? request->confidence : 0.9;
    return read_series(call, request, &out->series);
}

// Fetch a model's bytes and add it to the cache.
static enum om_rc
fetch_model(struct pool *self, struct om_call *call, struct om_str id,
            const struct om_uuid *uuid, struct cached_model **out)
{
    struct model_get_request request = { 0 };
    struct model_get_reply reply;
    REC_SET(&request, model_get_request, id, id);
    enum om_rc rc = pool_ask_registry(call, OP_model_get, "model_id", &request, &reply);
    if (rc != OM_OK)
        return rc;
    struct om_blob_ref ref;
    struct om_blob_caller caller = pool_blob_caller(call);
    const char *sha256 = om_arena_strdup(call->job->arena, reply.sha256);
    OM_AUTO(om_buf_finish) struct om_buf bytes = { 0 };
    rc = om_blob_ref_parse(reply.blob, &call->tenant_id, &ref);
    if (rc == OM_OK)
        rc = om_blob_get(self->blobs, &caller, &ref, sha256, ARTIFACT_BYTES_MAX, &bytes);
    struct artifact *artifact = NULL;
    if (rc == OM_OK)
        rc = artifact_load(om_buf_str(&bytes), &artifact);
    if (rc != OM_OK)
        return om_job_fail(
            call->job, rc == OM_EPROTO || rc == OM_ENOTFOUND ? OM_EINTERNAL : rc,
            "model_id", "model_id: the bytes of this model cannot be read: %s",
            om_rc_info(rc)->text);
    *out = model_cache_add(self->cache, &call->tenant_id, uuid, &artifact, bytes.size);
    return *out ? OM_OK : om_job_fail(call->job, OM_EUNAVAILABLE, NULL, "no memory");
}

static enum om_rc
find_model(struct pool *self, struct om_call *call, struct om_str id,
           struct cached_model **out)
{
    struct om_uuid uuid;
    if (om_typeid_decode(OM_ID_MODEL, id, &uuid) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "model_id",
                           "model_id: not the id of a model, like model_01h455…");
    *out = model_cache_find(self->cache, &call->tenant_id, &uuid);
    if (!*out && call->now)
        return om_call_later(call);
    stats_asked(*out != NULL);
    if (*out)
        return OM_OK;
    int64_t began_us = om_clock_mono_us();
    struct om_span_part part = om_span_part_begin();
    enum om_rc rc = fetch_model(self, call, id, &uuid, out);
    pool_part_end(&part, "load", id, rc);
    stats_loaded(rc, om_clock_mono_us() - began_us);
    return rc;
}

static enum om_rc
forecast_trained(struct pool *self, struct om_call *call, struct om_str id,
                 const struct question *question, struct forecast *out,
                 const struct model_plugin **used)
{
    struct cached_model *model = NULL;
    enum om_rc rc = find_model(self, call, id, &model);
    if (rc != OM_OK)
        return rc;
    size_t count = question->series.count, steps = question->steps;
    if (call->now && !model_cache_is_quick(self->cache, model, count, steps, NOW_US)) {
        model_cache_release(self->cache, &model);
        return om_call_later(call);
    }
    const struct artifact *artifact = cached_model_artifact(model);
    char why[SERIES_WHY_MAX] = "leads to a forecast that is not finite";
    int64_t started_us = om_clock_mono_us();
    *used = artifact_plugin(artifact);
    struct om_span_part part = om_span_part_begin();
    if (question->plugin && question->plugin != *used)
        rc =
            om_job_fail(call->job, OM_EINVAL, "model_id",
                        "model_id: made by %s, not by %s; ask that model for predictions",
                        (*used)->name, question->plugin->name);
    else if ((rc = artifact_forecast(artifact, &question->series, question->steps,
                                     question->confidence, out, why)) != OM_OK)
        om_job_fail(call->job, rc, "time_series", "time_series %s",
                    rc == OM_EUNAVAILABLE ? "needs more memory than there is" : why);
    else
        model_cache_measured(self->cache, model, count, steps,
                             om_clock_mono_us() - started_us);
    pool_part_end(&part, "infer", om_str((*used)->name), rc);
    model_cache_release(self->cache, &model);
    return rc;
}

struct effort {
    const struct om_job *job;
    int64_t cpu_end_ms;
};

static bool
effort_over(void *ctx)
{
    const struct effort *effort = ctx;
    return om_job_cancelled(effort->job) || pool_cpu_ms() >= effort->cpu_end_ms ||
           om_clock_mono_ms() >= effort->job->deadline_ms - ANSWER_MS;
}

// May a fit be done in the thread that takes the calls? The period is found by comparing
// the values with one another.
static bool
fits_now(const struct predict_request *request, const struct question *question)
{
    size_t count = question->series.count;
    size_t each = REC_HAS(request, predict_request, period) ? NOW_FIT : NOW_FIT + count;
    return question->plugin == &seasonal_naive_plugin && count * each <= NOW_WORK;
}

static enum om_rc
forecast_fitted(struct om_call *call, const struct predict_request *request,
                const struct question *question, struct forecast *out,
                const struct model_plugin **used)
{
    if (call->now && !fits_now(request, question))
        return om_call_later(call);
    char why[SERIES_WHY_MAX] = "leads to a forecast that is not finite";
    struct effort effort = { call->job, pool_cpu_ms() + POOL_FIT_CPU_MS };
    struct model_job job = {
        .series = question->series,
        .horizon = question->steps,
        .work_max = fit_work,
        .watch = { NULL, effort_over, &effort },
    };
    job.series.period = REC_HAS(request, predict_request, period)
                            ? (size_t)request->period
                            : series_find_period(job.series.values, job.series.count);
    struct om_span_part part = om_span_part_begin();
    enum om_rc rc =
        model_params_read(question->plugin, (struct om_str){ 0 }, job.params, why);
    if (rc == OM_OK)
        rc = artifact_fit_forecast(question->plugin, &job, question->confidence, out,
                                   used, why);
    pool_part_end(&part, "infer", om_str(question->plugin->name), rc);
    if (om_job_cancelled(call->job))
        return om_job_fail(call->job, OM_ECANCELLED, NULL, "nobody waits for the answer");
    if (rc != OM_OK)
        return om_job_fail(call->job, rc, "time_series", "time_series %s", why);
    return OM_OK;
}

static struct om_str
pack_numbers(struct om_arena *arena, const double *values, size_t count)
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    om_pack_array(&buf, count);
    for (size_t i = 0; i < count; i++)
        om_pack_f64(&buf, values[i]);
    if (buf.failed)
        return (struct om_str){ 0 };
    return (struct om_str){ om_arena_strdup(arena, om_buf_str(&buf)), buf.size };
}

// Say it part by part. The forecast was made, and is metered, whoever takes it.
static enum om_rc
send_parts(struct om_call *call, const struct forecast *forecast, size_t steps)
{
    struct om_arena *arena = call->job->arena;
    for (size_t at = 0; at < steps; at += PART_STEPS) {
        struct predict_part part = { 0 };
        size_t count = steps - at < PART_STEPS ? steps - at : PART_STEPS;
        REC_SET(&part, predict_part, step, (int64_t)at + 1);
        REC_SET(&part, predict_part, predictions,
                pack_numbers(arena, forecast->values + at, count));
        REC_SET(&part, predict_part, lower,
                pack_numbers(arena, forecast->lower + at, count));
        REC_SET(&part, predict_part, upper,
                pack_numbers(arena, forecast->upper + at, count));
        enum om_rc rc = om_call_part(call, &predict_part_rec, &part);
        if (rc != OM_OK)
            return rc;
    }
    return OM_OK;
}

static void
meter(struct om_job *job, const struct model_plugin *used, int64_t cpu_start_ms)
{
    om_job_usage(job, "ml_inference", 1, used->name);
    // Most take none; of many that take a part of one the right number sees the clock
    // tick.
    int64_t spent_ms = pool_cpu_ms() - cpu_start_ms;
    if (spent_ms > 0)
        om_job_usage(job, "compute_ms", spent_ms, used->name);
}

enum om_rc
pool_predict(void *context, struct om_call *call, const void *message, void *answer)
{
    struct pool *self = context;
    const struct predict_request *request = message;
    struct predict_reply *reply = answer;
    struct om_arena *arena = call->job->arena;
    struct forecast forecast; // not of the arena, which would set all its room to zero
    const struct model_plugin *used = NULL;
    bool trained = REC_HAS(request, predict_request, model_id), now = call->now;
    int64_t cpu_start_ms = pool_cpu_ms(), began_us = om_clock_mono_us();
    struct question question = { 0 };
    enum om_rc rc = read_question(call, request, &question);
    if (rc == OM_OK)
        rc = trained ? forecast_trained(self, call, request->model_id, &question,
                                        &forecast, &used)
                     : forecast_fitted(call, request, &question, &forecast, &used);
    if (call->now == now) // else a slot does it later
        stats_predicted(call, rc, used ? used : question.plugin,
                        om_clock_mono_us() - began_us);
    if (rc != OM_OK)
        return rc;
    meter(call->job, used, cpu_start_ms);
    size_t steps = question.steps;
    if (om_job_streams(call->job)) {
        if ((rc = send_parts(call, &forecast, steps)) != OM_OK)
            return rc;
        steps = 0;
    }
    REC_SET(reply, predict_reply, predictions,
            pack_numbers(arena, forecast.values, steps));
    REC_SET(reply, predict_reply, lower, pack_numbers(arena, forecast.lower, steps));
    REC_SET(reply, predict_reply, upper, pack_numbers(arena, forecast.upper, steps));
    REC_SET(reply, predict_reply, confidence, question.confidence);
    REC_SET(reply, predict_reply, model_type, om_str(used->name));
    if (trained)
        REC_SET(reply, predict_reply, model_id, request->model_id);
    return OM_OK;
}

// Trains a model on a column of an uploaded file and registers it as a version.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "dataset.h"
#include "id.h"
#include "stats.h"

enum {
    HORIZON_STANDARD = 12,
    REGISTER_MS = 5 * 60 * 1000, // to outlast a restart of the registry or the broker
    REGISTER_AGAIN_MS = 1000,
};

static void
on_progress(void *ctx, const struct artifact_progress *progress)
{
    char detail[256], fold[64] = "";
    if (progress->fold > 0)
        snprintf(fold, sizeof(fold), ",\"fold\":%zu,\"folds\":%zu", progress->fold,
                 progress->folds);
    snprintf(detail, sizeof(detail),
             "{\"phase\":\"%s\"%s,\"epoch\":%lld,\"epochs\":%lld,\"loss\":%.6g}",
             progress->fold > 0 ? "backtest" : "training", fold,
             (long long)progress->model.epoch, (long long)progress->model.epochs,
             progress->model.loss);
    om_job_progress(ctx, progress->share, detail);
}

static bool
is_cancelled(void *ctx)
{
    return om_job_cancelled(ctx);
}

static enum om_rc
read_plugin(struct om_call *call, const struct train_request *request,
            const struct model_plugin **plugin, struct model_job *job)
{
    char why[SERIES_WHY_MAX];
    *plugin = model_find(request->model);
    if (!*plugin)
        return pool_fail_model(call, OM_EINVAL, request->model);
    if (model_params_read(*plugin, request->params, job->params, why) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "params", "params: %s", why);
    job->horizon = REC_HAS(request, train_request, horizon) ? (size_t)request->horizon
                                                            : HORIZON_STANDARD;
    return OM_OK;
}

// Check the series that was read, and find its season if none is given. A season too long
// to learn from so few values is taken for none.
static enum om_rc
check_series(struct om_call *call, const struct train_request *request,
             const struct model_plugin *plugin, struct series *series)
{
    char why[SERIES_WHY_MAX];
    bool given = REC_HAS(request, train_request, period);
    series->period = given ? (size_t)request->period
                           : series_find_period(series->values, series->count);
    if (!given && series->count < plugin->least_values(series->period))
        series->period = 1;
    enum om_rc rc = series_check(series->values, series->count,
                                 plugin->least_values(series->period), why);
    if (rc != OM_OK)
        return om_job_fail(
            call->job, rc, "training_file",
            "training_file: the column %.*s %s for %s with a period of %zu",
            (int)request->target.size, request->target.data, why, plugin->name,
            series->period);
    if (series_is_constant(series->values, series->count))
        return om_job_fail(call->job, OM_EINVAL, "target",
                           "target: every value of the column %.*s is %g, so there is "
                           "nothing to learn; choose another column",
                           (int)request->target.size, request->target.data,
                           series->values[0]);
    return OM_OK;
}

static enum om_rc
train(struct om_call *call, const struct model_plugin *plugin,
      const struct model_job *job, struct artifact **out)
{
    struct artifact_watch watch = { on_progress, is_cancelled, call->job };
    enum om_rc rc = artifact_train(plugin, job, &watch, out);
    if (rc == OM_ECANCELLED)
        return om_job_fail(call->job, rc, NULL, "cancelled");
    if (rc != OM_OK)
        return om_job_fail(
            call->job, rc, NULL, "the training of %s failed: %s", plugin->name,
            rc == OM_EUNAVAILABLE ? "not enough memory" : om_rc_info(rc)->text);
    return OM_OK;
}

// Write the model's bytes as a blob of the registry's.
static enum om_rc
store(struct pool *self, struct om_call *call, const struct artifact *artifact,
      char ref_text[OM_BLOB_REF_MAX], struct om_blob_info *info)
{
    OM_AUTO(om_buf_finish) struct om_buf bytes = { 0 };
    artifact_save(artifact, &bytes);
    if (bytes.failed)
        return om_job_fail(call->job, OM_EUNAVAILABLE, NULL, "no memory");
    if (bytes.size > ARTIFACT_BYTES_MAX)
        return om_job_fail(call->job, OM_ETOOBIG, "params",
                           "params: the model would take %zu bytes, at most %d are "
                           "stored; choose a smaller hidden or fewer members",
                           bytes.size, ARTIFACT_BYTES_MAX);
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &call->tenant_id);
    om_blob_ref_text(&ref, ref_text);
    struct om_blob_caller caller = pool_blob_caller(call);
    enum om_rc rc = om_blob_put(self->blobs, &caller, &ref, om_buf_str(&bytes), info);
    if (rc != OM_OK)
        return om_job_fail(call->job, rc, NULL, "the model cannot be stored: %s",
                           om_rc_info(rc)->text);
    return OM_OK;
}

static struct om_str
copy(struct om_arena *arena, struct om_str text)
{
    return (struct om_str){ om_arena_strdup(arena, text), text.size };
}

// Register the version, and go on asking while nobody answers: the training was dear, and
// asking twice makes one version.
static enum om_rc
register_version(struct om_call *call, const struct model_create_request *create,
                 struct model_create_reply *made)
{
    int64_t until_ms = om_clock_mono_ms() + REGISTER_MS;
    for (;;) {
        enum om_rc rc = pool_ask_registry(call, OP_model_create, NULL, create, made);
        if (!om_rc_info(rc)->retryable || om_job_cancelled(call->job) ||
            om_clock_mono_ms() >= until_ms)
            return rc;
        uint16_t jitter;
        om_random(&jitter, sizeof(jitter));
        poll(NULL, 0, REGISTER_AGAIN_MS / 2 + jitter % REGISTER_AGAIN_MS);
    }
}

// Make a version of it. A task has one version: what is answered may be that of an
// attempt whose outcome was lost.
static enum om_rc
enrol(struct pool *self, struct om_call *call, const struct train_request *request,
      const struct artifact *artifact, struct train_reply *reply)
{
    char ref[OM_BLOB_REF_MAX];
    struct om_blob_info info;
    enum om_rc rc = store(self, call, artifact, ref, &info);
    if (rc != OM_OK)
        return rc;
    OM_AUTO(om_buf_finish) struct om_buf metrics = { 0 };
    artifact_metrics(artifact, &metrics);
    struct om_str type = om_str(artifact_plugin(artifact)->name);
    struct model_create_request create = { 0 };
    struct model_create_reply made;
    REC_SET(&create, model_create_request, task_id, call->id);
    REC_SET(&create, model_create_request, name,
            REC_HAS(request, train_request, name) ? request->name : type);
    REC_SET(&create, model_create_request, model_type, type);
    REC_SET(&create, model_create_request, training_file, request->training_file);
    REC_SET(&create, model_create_request, metrics, om_buf_str(&metrics));
    REC_SET(&create, model_create_request, bytes, info.bytes);
    REC_SET(&create, model_create_request, sha256, om_str(info.sha256));
    REC_SET(&create, model_create_request, blob, om_str(ref));
    rc = register_version(call, &create, &made);
    if (rc != OM_OK)
        return rc;
    struct om_arena *arena = call->job->arena;
    REC_SET(reply, train_reply, model_id, copy(arena, made.id));
    REC_SET(reply, train_reply, version, made.version);
    REC_SET(reply, train_reply, model_type, copy(arena, made.model_type));
    REC_SET(reply, train_reply, metrics, copy(arena, made.metrics));
    return OM_OK;
}

// A failed attempt costs nothing; one that was cancelled has used the time it has used.
// One that is not tried again says that it made no model, so that its place is free.
static void
meter(struct om_call *call, enum om_rc rc, const char *model, int64_t cpu_start_ms)
{
    if (rc != OM_OK && !call->job->retryable)
        om_job_usage(call->job, "custom_model", 0, model);
    if (rc != OM_OK && rc != OM_ECANCELLED)
        return;
    int64_t spent_ms = pool_cpu_ms() - cpu_start_ms;
    om_job_usage(call->job, "compute_ms", spent_ms > 0 ? spent_ms : 1, model);
    if (rc == OM_OK)
        om_job_usage(call->job, "custom_model", 1, model);
}

// Find the plug-in, read the column and check that something can be learnt from it. The
// caller frees *values, also on failure.
static enum om_rc
prepare(struct pool *self, struct om_call *call, const struct train_request *request,
        const struct model_plugin **plugin, struct model_job *job, double **values)
{
    enum om_rc rc = read_plugin(call, request, plugin, job);
    if (rc != OM_OK)
        return rc;
    size_t period = REC_HAS(request, train_request, period) ? (size_t)request->period : 1;
    rc = dataset_read(self, call, request->training_file, request->target,
                      (*plugin)->least_values(period), values, &job->series.count);
    job->series.values = *values;
    return rc == OM_OK ? check_series(call, request, *plugin, &job->series) : rc;
}

enum om_rc
pool_train_check(void *context, struct om_call *call, const void *message, void *answer)
{
    struct train_check_reply *reply = answer;
    const struct model_plugin *plugin = NULL;
    struct model_job job = { 0 };
    double *values = NULL;
    enum om_rc rc = prepare(context, call, message, &plugin, &job, &values);
    REC_SET(reply, train_check_reply, rows, (int64_t)job.series.count);
    REC_SET(reply, train_check_reply, period, (int64_t)job.series.period);
    free(values);
    return rc;
}

enum om_rc
pool_train(void *context, struct om_call *call, const void *message, void *answer)
{
    struct pool *self = context;
    const struct train_request *request = message;
    int64_t cpu_start_ms = pool_cpu_ms(), began_us = om_clock_mono_us();
    const struct model_plugin *plugin = NULL;
    struct model_job job = { 0 };
    struct artifact *artifact = NULL;
    double *values = NULL;
    struct om_span_part part = om_span_part_begin();
    enum om_rc rc = prepare(self, call, request, &plugin, &job, &values);
    struct om_str model = om_str(plugin ? plugin->name : NULL);
    pool_part_end(&part, "load", model, rc);
    if (rc == OM_OK) {
        part = om_span_part_begin();
        rc = train(call, plugin, &job, &artifact);
        pool_part_end(&part, "train", model, rc);
    }
    if (rc == OM_OK) {
        part = om_span_part_begin();
        rc = enrol(self, call, request, artifact, answer);
        pool_part_end(&part, "store", model, rc);
    }
    stats_trained(call, rc, plugin, om_clock_mono_us() - began_us);
    meter(call, rc, plugin ? plugin->name : NULL, cpu_start_ms);
    artifact_destroy(&artifact);
    free(values);
    return rc;
}

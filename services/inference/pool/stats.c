#include "stats.h"
#include "trace.h"

enum { MODELS_MAX = 32, OUTCOMES = 3 };

// Of each model there is; the last is for requests that named none of them.
struct work {
    uint32_t outcomes[OUTCOMES], times;
};

static struct work predictions[MODELS_MAX + 1], trainings[MODELS_MAX + 1];
static uint32_t asked[2], loaded[2], load_times;

static void
open_work(struct work *work, enum om_metric jobs, enum om_metric times,
          struct om_str model)
{
    static const char *const names[OUTCOMES] = { "ok", "refused", "failed" };
    for (size_t i = 0; i < OUTCOMES; i++)
        work->outcomes[i] = om_metric_cell(jobs, model, om_str(names[i]));
    work->times = om_metric_cell(times, model);
}

void
stats_open(void)
{
    for (size_t i = 0; i <= model_plugin_count && i <= MODELS_MAX; i++) {
        bool last = i == model_plugin_count;
        size_t at = last ? MODELS_MAX : i;
        struct om_str name = last ? OM_LIT("none") : om_str(model_plugins[i]->name);
        open_work(&predictions[at], M_omni_inference_jobs_total,
                  M_omni_inference_duration_seconds, name);
        open_work(&trainings[at], M_omni_training_jobs_total,
                  M_omni_training_duration_seconds, name);
    }
    asked[0] = om_metric_cell(M_omni_model_cache_requests_total, OM_LIT("miss"));
    asked[1] = om_metric_cell(M_omni_model_cache_requests_total, OM_LIT("hit"));
    loaded[0] = om_metric_cell(M_omni_model_loads_total, OM_LIT("ok"));
    loaded[1] = om_metric_cell(M_omni_model_loads_total, OM_LIT("failed"));
    load_times = om_metric_cell(M_omni_model_load_duration_seconds);
}

static void
count(const struct work *works, const struct om_call *call, enum om_rc rc,
      const struct model_plugin *model, int64_t took_us)
{
    struct om_trace trace;
    size_t at = 0;
    while (at < model_plugin_count && at < MODELS_MAX && model_plugins[at] != model)
        at++;
    const struct work *work = &works[at < model_plugin_count ? at : MODELS_MAX];
    bool sampled = call->traceparent.size &&
                   om_trace_parse(call->traceparent, &trace) == OM_OK && trace.flags & 1;
    size_t outcome = rc == OM_OK ? 0 : om_rc_info(rc)->http_status < 500 ? 1 : 2;
    om_metric_add(work->outcomes[outcome], 1);
    om_metric_observe(work->times, took_us, sampled ? trace.trace_id : NULL);
}

void
stats_predicted(const struct om_call *call, enum om_rc rc,
                const struct model_plugin *model, int64_t took_us)
{
    count(predictions, call, rc, model, took_us);
}

void
stats_trained(const struct om_call *call, enum om_rc rc, const struct model_plugin *model,
              int64_t took_us)
{
    count(trainings, call, rc, model, took_us);
}

void
stats_asked(bool in_memory)
{
    om_metric_add(asked[in_memory], 1);
}

void
stats_loaded(enum om_rc rc, int64_t took_us)
{
    om_metric_add(loaded[rc != OM_OK], 1);
    om_metric_observe(load_times, took_us, NULL);
}

// Stored models: bytes of any origin are refused, or give a model that forecasts without
// a fault. The first byte picks what is tried: a plug-in's own loader, past the checksum
// of the whole; the same on a trained state with some bytes changed; or a whole artifact.
#include "artifact.h"

enum { VALUES = 600 };

static struct forecast forecast;
static double values[VALUES];
static const struct series series = { values, VALUES, 12 };

static void
try_state(const struct model_plugin *plugin, struct om_str bytes)
{
    void *state = NULL;
    char why[SERIES_WHY_MAX];
    if (plugin->load(bytes, &state) != OM_OK)
        return;
    (void)plugin->predict(state, &series, 30, forecast.values, why);
    plugin->destroy(state);
}

static void
try_artifact(struct om_str bytes)
{
    struct artifact *self = NULL;
    char why[SERIES_WHY_MAX];
    if (artifact_load(bytes, &self) != OM_OK)
        return;
    (void)artifact_forecast(self, &series, 30, 0.9, &forecast, why);
    artifact_destroy(&self);
}

// Trained states, made once.
static const struct om_buf *
trained(size_t plugin)
{
    static struct om_buf states[8];
    if (states[plugin].size > 0)
        return &states[plugin];
    struct model_job job = { .series = series, .horizon = 3, .work_max = 1e5 };
    char why[SERIES_WHY_MAX];
    void *state = NULL;
    double loss;
    if (model_params_read(model_plugins[plugin], (struct om_str){ 0 }, job.params, why) !=
            OM_OK ||
        model_plugins[plugin]->train(&job, &state, &loss) != OM_OK)
        __builtin_trap();
    model_plugins[plugin]->save(state, &states[plugin]);
    model_plugins[plugin]->destroy(state);
    return &states[plugin];
}

// Each three bytes of `edits` change one byte: where (two bytes), and to what.
static void
try_edited(size_t plugin, struct om_str edits)
{
    const struct om_buf *good = trained(plugin);
    struct om_buf bytes = { 0 };
    om_buf_put(&bytes, good->data, good->size);
    for (size_t i = 0; i + 3 <= edits.size; i += 3) {
        size_t at = ((size_t)(uint8_t)edits.data[i] << 8 | (uint8_t)edits.data[i + 1]);
        bytes.data[at % bytes.size] = edits.data[i + 2];
    }
    try_state(model_plugins[plugin], om_buf_str(&bytes));
    om_buf_finish(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (values[0] < 1)
        for (size_t i = 0; i < VALUES; i++)
            values[i] = 10 + (double)(i % 12);
    if (size == 0)
        return 0;
    struct om_str bytes = { (const char *)data + 1, size - 1 };
    size_t choice = data[0], plugins = model_plugin_count;
    if (choice < plugins)
        try_state(model_plugins[choice], bytes);
    else if (choice < 2 * plugins)
        try_edited(choice - plugins, bytes);
    else
        try_artifact(bytes);
    return 0;
}

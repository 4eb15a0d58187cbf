// The stored form: eight bytes of magic with the version, a checksum, a msgpack record.
#include <math.h>
#include <stdlib.h>

#include "artifact_inside.h"
#include "record.h"

enum { MAGIC_BYTES = 8, HEAD_BYTES = MAGIC_BYTES + 8 };

static const char magic[MAGIC_BYTES + 1] = "OMNIMDL1";

// clang-format off
#define ARTIFACT_FILE(F, M)                                                               \
    F(M, STR,  plugin,    REQUIRED, 1, 64, NULL, "name of the plug-in")                   \
    F(M, I64,  period,    REQUIRED, 1, SERIES_PERIOD_MAX, NULL, "steps in a season")      \
    F(M, I64,  horizon,   REQUIRED, 1, SERIES_MAX, NULL, "steps the backtest forecast")   \
    F(M, F64,  scale,     REQUIRED, 0, 1e16, NULL, "seasonal naive's error in training")  \
    F(M, NUMS, residuals, REQUIRED, 0, BACKTEST_RESIDUALS_MAX, NULL, "scaled, ascending") \
    F(M, MAP,  metrics,   REQUIRED, 0, 64, NULL, "what the backtest measured")            \
    F(M, BIN,  state,     REQUIRED, 0, ARTIFACT_BYTES_MAX, NULL, "the plug-in's own")
// clang-format on
REC_DECLARE(artifact_file, ARTIFACT_FILE);
REC_DEFINE(artifact_file, ARTIFACT_FILE);

// FNV-1a: finds accidents. Against intent the registry keeps a SHA-256 of the whole.
static uint64_t
checksum(struct om_str bytes)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes.size; i++)
        sum = (sum ^ (uint8_t)bytes.data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

void
artifact_save(const struct artifact *self, struct om_buf *out)
{
    struct om_buf state = { 0 }, residuals = { 0 }, body = { 0 };
    self->plugin->save(self->state, &state);
    om_pack_array(&residuals, self->residual_count);
    for (size_t i = 0; i < self->residual_count; i++)
        om_pack_f64(&residuals, self->residuals[i]);
    struct artifact_file rec = { 0 };
    REC_SET(&rec, artifact_file, plugin, om_str(self->plugin->name));
    REC_SET(&rec, artifact_file, period, (int64_t)self->period);
    REC_SET(&rec, artifact_file, horizon, (int64_t)self->horizon);
    REC_SET(&rec, artifact_file, scale, self->scale);
    REC_SET(&rec, artifact_file, residuals, om_buf_str(&residuals));
    REC_SET(&rec, artifact_file, metrics, om_buf_str(&self->metrics));
    REC_SET(&rec, artifact_file, state, om_buf_str(&state));
    rec_encode(&artifact_file_rec, &rec, &body);
    uint64_t sum = checksum(om_buf_str(&body));
    om_buf_put(out, magic, MAGIC_BYTES);
    om_buf_put(out, &sum, sizeof(sum));
    om_buf_put(out, body.data, body.size);
    if (state.failed || residuals.failed || body.failed)
        out->failed = true;
    om_buf_finish(&state);
    om_buf_finish(&residuals);
    om_buf_finish(&body);
}

static bool
read_residuals(struct artifact *self, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    double value, before = 0;
    while (iter.left > 0) {
        if (!rec_next_f64(&iter, &value) || !isfinite(value) || value < before)
            return false;
        self->residuals[self->residual_count++] = before = value;
    }
    return true;
}

static enum om_rc
load_record(const struct artifact_file *rec, struct artifact *self)
{
    self->plugin = model_find(rec->plugin);
    if (!self->plugin)
        return OM_EPROTO;
    self->period = (size_t)rec->period;
    self->horizon = (size_t)rec->horizon;
    self->scale = rec->scale;
    if (!read_residuals(self, rec->residuals))
        return OM_EPROTO;
    om_buf_put(&self->metrics, rec->metrics.data, rec->metrics.size);
    if (self->metrics.failed)
        return OM_EUNAVAILABLE;
    return self->plugin->load(rec->state, &self->state);
}

enum om_rc
artifact_load(struct om_str bytes, struct artifact **out)
{
    uint64_t sum;
    if (bytes.size < HEAD_BYTES || bytes.size > ARTIFACT_BYTES_MAX ||
        memcmp(bytes.data, magic, MAGIC_BYTES) != 0)
        return OM_EPROTO;
    struct om_str body = { bytes.data + HEAD_BYTES, bytes.size - HEAD_BYTES };
    memcpy(&sum, bytes.data + MAGIC_BYTES, sizeof(sum));
    struct artifact_file rec;
    if (sum != checksum(body) ||
        rec_decode(&artifact_file_rec, body, &rec, NULL) != OM_OK)
        return OM_EPROTO;
    OM_AUTO(artifact_destroy) struct artifact *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    enum om_rc rc = load_record(&rec, self);
    if (rc != OM_OK)
        return rc;
    *out = self;
    self = NULL;
    return OM_OK;
}

#include <math.h>
#include <stdlib.h>

#include "record.h"
#include "revenue_lstm.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "weights are stored as in memory");

// clang-format off
#define LSTM_STATE(F, M)                                                                  \
    F(M, I64,  period,  REQUIRED, 1, SERIES_PERIOD_MAX, NULL, "steps in a season")        \
    F(M, I64,  chunk,   REQUIRED, 1, LSTM_CHUNK_MAX, NULL, "values a step reads")         \
    F(M, I64,  steps,   REQUIRED, 1, LSTM_STEPS_MAX, NULL, "steps in a window")           \
    F(M, I64,  block,   REQUIRED, 1, LSTM_BLOCK_MAX, NULL, "values the head gives")       \
    F(M, I64,  hidden,  REQUIRED, 1, LSTM_HIDDEN_MAX, NULL, "units of the layer")         \
    F(M, I64,  members, REQUIRED, 1, LSTM_MEMBERS_MAX, NULL, "networks averaged")         \
    F(M, BOOL, logs,    REQUIRED, 0, 1, NULL, "were logarithms taken?")                   \
    F(M, F64,  mean,    REQUIRED, -1e16, 1e16, NULL, "of the changes")                    \
    F(M, F64,  sd,      REQUIRED, 1e-300, 1e16, NULL, "of the changes")                   \
    F(M, BIN,  weights, REQUIRED, 8, 1e9, NULL, "little-endian doubles, member by member")
// clang-format on
REC_DECLARE(lstm_state, LSTM_STATE);
REC_DEFINE(lstm_state, LSTM_STATE);

static size_t
weight_count(const struct revenue_lstm *self)
{
    struct lstm_shape shape = revenue_lstm_shape(self);
    return self->members * lstm_param_count(&shape);
}

void
revenue_lstm_save(const void *state, struct om_buf *out)
{
    const struct revenue_lstm *self = state;
    struct lstm_state rec = { 0 };
    REC_SET(&rec, lstm_state, period, (int64_t)self->period);
    REC_SET(&rec, lstm_state, chunk, (int64_t)self->chunk);
    REC_SET(&rec, lstm_state, steps, (int64_t)self->steps);
    REC_SET(&rec, lstm_state, block, (int64_t)self->block);
    REC_SET(&rec, lstm_state, hidden, (int64_t)self->hidden);
    REC_SET(&rec, lstm_state, members, (int64_t)self->members);
    REC_SET(&rec, lstm_state, logs, self->logs);
    REC_SET(&rec, lstm_state, mean, self->mean);
    REC_SET(&rec, lstm_state, sd, self->sd);
    struct om_str weights = { (const char *)self->weights,
                              weight_count(self) * sizeof(double) };
    REC_SET(&rec, lstm_state, weights, weights);
    rec_encode(&lstm_state_rec, &rec, out);
}

// Copy the weights, which must be finite: a NaN would spread to every forecast.
static enum om_rc
copy_weights(struct revenue_lstm *self, struct om_str bytes)
{
    size_t count = weight_count(self);
    if (bytes.size != count * sizeof(double))
        return OM_EPROTO;
    self->weights = malloc(bytes.size);
    if (!self->weights)
        return OM_EUNAVAILABLE;
    memcpy(self->weights, bytes.data, bytes.size);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(self->weights[i]))
            return OM_EPROTO;
    return OM_OK;
}

enum om_rc
revenue_lstm_load(struct om_str bytes, void **state)
{
    struct lstm_state rec;
    if (rec_decode(&lstm_state_rec, bytes, &rec, NULL) != OM_OK)
        return OM_EPROTO;
    struct revenue_lstm *self = malloc(sizeof(*self));
    if (!self)
        return OM_EUNAVAILABLE;
    *self = (struct revenue_lstm){
        .period = (size_t)rec.period,
        .chunk = (size_t)rec.chunk,
        .steps = (size_t)rec.steps,
        .block = (size_t)rec.block,
        .hidden = (size_t)rec.hidden,
        .members = (size_t)rec.members,
        .logs = rec.logs,
        .mean = rec.mean,
        .sd = rec.sd,
    };
    enum om_rc rc = copy_weights(self, rec.weights);
    if (rc != OM_OK) {
        revenue_lstm_destroy(self);
        return rc;
    }
    *state = self;
    return OM_OK;
}

void
revenue_lstm_destroy(void *state)
{
    struct revenue_lstm *self = state;
    if (self)
        free(self->weights);
    free(self);
}

// revenue_lstm.h - the inside of the revenue-lstm plug-in: how a series becomes windows
// for the network, shared by its training, its forecast and its stored form.
//
// The network learns the change over one season, on the logarithm where all values are
// positive, standardised: a forecast of zero is seasonal naive with the mean growth. Each
// step of the LSTM reads one season, not one value, which makes training some ten times
// cheaper and more accurate; the head gives a block of values at once, and longer
// forecasts feed blocks back. The forecast is the mean of a few members that differ by
// their seed.
#pragma once
#include "lstm.h"
#include "model.h"

enum {
    LSTM_CHUNK_MAX = 168, // values a step reads
    LSTM_STEPS_MAX = 24,  // steps in a window
    LSTM_BLOCK_MAX = 336, // values the head gives
    LSTM_HIDDEN_MAX = 128,
    LSTM_MEMBERS_MAX = 10,
};

struct revenue_lstm {
    size_t period, chunk, steps, block, hidden, members;
    bool logs;       // changes of the logarithm
    double mean, sd; // of the changes, before they were standardised
    double *weights; // `members` networks one after the other; freed with the struct
};

static inline struct lstm_shape
revenue_lstm_shape(const struct revenue_lstm *self)
{
    return (struct lstm_shape){ self->chunk, self->hidden, self->block };
}

// The standardised changes over one period: `count` values give count - period of them.
void revenue_lstm_changes(const struct revenue_lstm *self, const double *values,
                          size_t count, double *changes);

// Write the window of changes that begins at `changes` as input `w` of `work`.
void revenue_lstm_window(const struct revenue_lstm *self, const double *changes,
                         struct lstm_work *work, size_t w);

// The plug-in's functions that stand in files of their own.
enum om_rc revenue_lstm_train(const struct model_job *job, void **state, double *loss);
size_t revenue_lstm_least(size_t period);
void revenue_lstm_save(const void *state, struct om_buf *out);
enum om_rc revenue_lstm_load(struct om_str bytes, void **state);
void revenue_lstm_destroy(void *state);

// Parameters, in the order of the plug-in's table.
enum { LSTM_EPOCHS, LSTM_HIDDEN, LSTM_RATE, LSTM_MEMBERS, LSTM_SEED };

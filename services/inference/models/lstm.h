// lstm.h - one LSTM layer with a linear head: forward, loss and gradient of a batch.
//
// Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000. The head
// reads the hidden state of the last step. Parameters and gradients are one flat array,
// in the order input weights, recurrent weights, gate biases, head weights, head biases;
// the gates are input, forget, output, candidate. Everything is double precision and
// deterministic on one machine; OpenBLAS picks kernels by CPU, so low-order bits differ
// between machines. A network's work space belongs to one thread.
#pragma once
#include "rc.h"
#include "rng.h"

struct lstm_shape {
    size_t inputs, hidden, outputs; // of a step, of the layer, of the head
};

// Number of parameters of the shape.
size_t lstm_param_count(const struct lstm_shape *shape);

// Start values: uniform by fan-in, forget biases 1 (Jozefowicz et al. 2015), head 0.
void lstm_start(const struct lstm_shape *shape, struct rng *rng, double *params);

// Buffers of one forward and backward pass over up to `batch` windows of `steps` steps.
struct lstm_work;

// NULL without memory.
struct lstm_work *lstm_work_create(const struct lstm_shape *shape, size_t steps,
                                   size_t batch);
void lstm_work_destroy(struct lstm_work **self_p);

// Where the caller writes the input of window `w` at step `s`: `inputs` values.
double *lstm_input(struct lstm_work *self, size_t s, size_t w);

// Run the first `batch` windows. Returns their outputs, `batch` rows of `outputs` values,
// which stay until the next call.
const double *lstm_forward(struct lstm_work *self, const double *params, size_t batch);

// After lstm_forward of the same batch: the mean Huber loss (delta 1) against `targets`
// (rows like the outputs), and its gradient into `grad` (overwritten).
double lstm_backward(struct lstm_work *self, const double *params, size_t batch,
                     const double *targets, double *grad);

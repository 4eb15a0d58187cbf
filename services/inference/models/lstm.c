#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "lstm.h"

#undef I // cblas.h includes complex.h

enum { INPUT, FORGET, OUTPUT, CANDIDATE, GATES };

// Rows are (step, window). `hidden` and `cell` have one step more: row block 0 is the
// zero state before the first step.
struct lstm_work {
    struct lstm_shape shape;
    size_t steps, batch, used; // `used`: windows of the pass under way
    double *memory;
    double *input, *gates, *hidden, *cell, *cell_tanh;
    double *output, *d_output, *d_gates, *d_hidden, *d_cell;
};

struct params_view {
    size_t input, recurrent, bias, head, head_bias, count;
};

static struct params_view
view(const struct lstm_shape *s)
{
    struct params_view v = { 0 };
    v.recurrent = v.input + s->inputs * GATES * s->hidden;
    v.bias = v.recurrent + s->hidden * GATES * s->hidden;
    v.head = v.bias + GATES * s->hidden;
    v.head_bias = v.head + s->hidden * s->outputs;
    v.count = v.head_bias + s->outputs;
    return v;
}

size_t
lstm_param_count(const struct lstm_shape *shape)
{
    return view(shape).count;
}

void
lstm_start(const struct lstm_shape *shape, struct rng *rng, double *params)
{
    struct params_view at = view(shape);
    double bound = 1.0 / sqrt((double)(shape->inputs + shape->hidden));
    for (size_t i = 0; i < at.bias; i++)
        params[i] = rng_uniform(rng, -bound, bound);
    for (size_t i = at.bias; i < at.count; i++)
        params[i] = 0;
    for (size_t i = 0; i < shape->hidden; i++)
        params[at.bias + FORGET * shape->hidden + i] = 1;
}

// A second thread doubles the CPU time of matrices as small as these and gains nothing.
static void
use_one_thread(void)
{
    openblas_set_num_threads(1);
}

struct lstm_work *
lstm_work_create(const struct lstm_shape *shape, size_t steps, size_t batch)
{
    struct lstm_work *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    size_t rows = steps * batch, h = shape->hidden;
    size_t sizes[] = {
        rows * shape->inputs,
        rows * GATES * h,
        (rows + batch) * h,
        (rows + batch) * h,
        rows * h,
        batch * shape->outputs,
        batch * shape->outputs,
        rows * GATES * h,
        batch * h,
        batch * h,
    };
    double **parts[] = {
        &self->input,  &self->gates,    &self->hidden,  &self->cell,     &self->cell_tanh,
        &self->output, &self->d_output, &self->d_gates, &self->d_hidden, &self->d_cell,
    };
    size_t total = 0;
    for (size_t i = 0; i < OM_COUNT(sizes); i++)
        total += sizes[i];
    self->memory = calloc(total, sizeof(double));
    if (!self->memory) {
        free(self);
        return NULL;
    }
    double *next = self->memory;
    for (size_t i = 0; i < OM_COUNT(sizes); next += sizes[i++])
        *parts[i] = next;
    self->shape = *shape;
    self->steps = steps;
    self->batch = batch;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
    return self;
}

void
lstm_work_destroy(struct lstm_work **self_p)
{
    if (*self_p)
        free((*self_p)->memory);
    free(*self_p);
    *self_p = NULL;
}

double *
lstm_input(struct lstm_work *self, size_t s, size_t w)
{
    return self->input + (s * self->batch + w) * self->shape.inputs;
}

// e^x within 1e-14 for |x| <= 40, clamped beyond. Written so that loops over it
// vectorise, which libm's exp and tanh do not: they took four fifths of a training's
// time.
static inline double
fast_exp(double x)
{
    const double magic = 0x1.8p52; // adding it rounds to an integer in the low bits
    x = x < -40 ? -40 : x;
    x = x > 40 ? 40 : x;
    double shifted = x * 0x1.71547652b82fep0 + magic;
    double n = shifted - magic;
    double r = x - n * 0x1.62e42fefa3800p-1 - n * 0x1.ef35793c76730p-45;
    double p = 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    uint64_t exponent, bits;
    memcpy(&exponent, &shifted, sizeof(exponent));
    memcpy(&bits, &p, sizeof(bits));
    bits += exponent << 52;
    memcpy(&p, &bits, sizeof(p));
    return p;
}

static void
sigmoid(double *restrict x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 1 / (1 + fast_exp(-x[i]));
}

static void
tanh_of(const double *x, double *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = 1 - 2 / (1 + fast_exp(2 * x[i]));
}

// c = alpha * op(a) op(b) + beta * c, row-major.
static void
multiply(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, size_t m, size_t n, size_t k,
         const double *a, const double *b, double beta, double *c)
{
    cblas_dgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, a,
                (int)(ta == CblasNoTrans ? k : m), b, (int)(tb == CblasNoTrans ? n : k),
                beta, c, (int)n);
}

const double *
lstm_forward(struct lstm_work *self, const double *params, size_t batch)
{
    struct params_view at = view(&self->shape);
    size_t h = self->shape.hidden, n = self->shape.outputs;
    size_t wide = GATES * h;
    self->used = batch;
    for (size_t s = 0; s < self->steps; s++) {
        double *gates = self->gates + s * self->batch * wide;
        double *before = self->hidden + s * self->batch * h;
        double *cell = self->cell + s * self->batch * h;
        for (size_t w = 0; w < batch; w++)
            memcpy(gates + w * wide, params + at.bias, wide * sizeof(double));
        multiply(CblasNoTrans, CblasNoTrans, batch, wide, self->shape.inputs,
                 lstm_input(self, s, 0), params + at.input, 1, gates);
        if (s > 0) // the state before the first step is zero
            multiply(CblasNoTrans, CblasNoTrans, batch, wide, h, before,
                     params + at.recurrent, 1, gates);
        double *next_cell = cell + self->batch * h, *next = before + self->batch * h;
        double *squashed = self->cell_tanh + s * self->batch * h;
        for (size_t w = 0; w < batch; w++) {
            double *g = gates + w * wide;
            sigmoid(g, CANDIDATE * h);
            tanh_of(g + CANDIDATE * h, g + CANDIDATE * h, h);
            for (size_t i = w * h, j = 0; j < h; i++, j++)
                next_cell[i] =
                    g[FORGET * h + j] * cell[i] + g[INPUT * h + j] * g[CANDIDATE * h + j];
            tanh_of(next_cell + w * h, squashed + w * h, h);
            for (size_t i = w * h, j = 0; j < h; i++, j++)
                next[i] = g[OUTPUT * h + j] * squashed[i];
        }
    }
    for (size_t w = 0; w < batch; w++)
        memcpy(self->output + w * n, params + at.head_bias, n * sizeof(double));
    multiply(CblasNoTrans, CblasNoTrans, batch, n, h,
             self->hidden + self->steps * self->batch * h, params + at.head, 1,
             self->output);
    return self->output;
}

// The mean Huber loss, and its derivative by each output. Quadratic near zero and linear
// beyond 1, so that a strike or a typing error in the data does not steer the network.
static double
huber(const double *output, const double *targets, size_t count, double *d_output)
{
    double sum = 0, share = 1.0 / (double)count;
    for (size_t i = 0; i < count; i++) {
        double e = output[i] - targets[i], size = fabs(e);
        sum += size <= 1 ? 0.5 * e * e : size - 0.5;
        d_output[i] = share * (size <= 1 ? e : copysign(1, e));
    }
    return sum * share;
}

// Turn the derivative by the hidden state and cell after step `s` (d_hidden, d_cell) into
// that by the gates' sums, and d_cell into that by the cell before it.
static void
step_backward(struct lstm_work *self, size_t s)
{
    size_t h = self->shape.hidden, wide = GATES * h;
    for (size_t w = 0; w < self->used; w++) {
        size_t row = s * self->batch + w;
        const double *g = self->gates + row * wide;
        const double *squashed = self->cell_tanh + row * h;
        const double *before = self->cell + row * h;
        const double *d_hidden = self->d_hidden + w * h;
        double *restrict d_cell = self->d_cell + w * h;
        double *restrict d = self->d_gates + row * wide;
        for (size_t j = 0; j < h; j++) {
            double in = g[INPUT * h + j], forget = g[FORGET * h + j];
            double out = g[OUTPUT * h + j], candidate = g[CANDIDATE * h + j];
            double dc = d_cell[j] + d_hidden[j] * out * (1 - squashed[j] * squashed[j]);
            d[INPUT * h + j] = dc * candidate * in * (1 - in);
            d[FORGET * h + j] = dc * before[j] * forget * (1 - forget);
            d[OUTPUT * h + j] = d_hidden[j] * squashed[j] * out * (1 - out);
            d[CANDIDATE * h + j] = dc * in * (1 - candidate * candidate);
            d_cell[j] = dc * forget;
        }
    }
}

static void
add_columns(const double *rows, size_t count, size_t width, double *sum)
{
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < width; i++)
            sum[i] += rows[r * width + i];
}

double
lstm_backward(struct lstm_work *self, const double *params, size_t batch,
              const double *targets, double *grad)
{
    struct params_view at = view(&self->shape);
    size_t h = self->shape.hidden, n = self->shape.outputs, wide = GATES * h;
    const double *last = self->hidden + self->steps * self->batch * h;
    memset(grad, 0, at.count * sizeof(double));
    memset(self->d_cell, 0, batch * h * sizeof(double));

    double loss = huber(self->output, targets, batch * n, self->d_output);
    multiply(CblasTrans, CblasNoTrans, h, n, batch, last, self->d_output, 0,
             grad + at.head);
    add_columns(self->d_output, batch, n, grad + at.head_bias);
    multiply(CblasNoTrans, CblasTrans, batch, h, n, self->d_output, params + at.head, 0,
             self->d_hidden);
    for (size_t s = self->steps; s-- > 0;) {
        const double *d = self->d_gates + s * self->batch * wide;
        step_backward(self, s);
        multiply(CblasTrans, CblasNoTrans, self->shape.inputs, wide, batch,
                 lstm_input(self, s, 0), d, 1, grad + at.input);
        add_columns(d, batch, wide, grad + at.bias);
        if (s == 0)
            break;
        multiply(CblasTrans, CblasNoTrans, h, wide, batch,
                 self->hidden + s * self->batch * h, d, 1, grad + at.recurrent);
        multiply(CblasNoTrans, CblasTrans, batch, h, wide, d, params + at.recurrent, 0,
                 self->d_hidden);
    }
    return loss;
}

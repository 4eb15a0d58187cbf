#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "adam.h"
#include "lstm.h"

enum { STEPS = 6, BATCH = 7 };

static const struct lstm_shape shape = { 3, 5, 4 };

static void
fill_inputs(struct lstm_work *work, struct rng *rng)
{
    for (size_t s = 0; s < STEPS; s++)
        for (size_t w = 0; w < BATCH; w++)
            for (size_t i = 0; i < shape.inputs; i++)
                lstm_input(work, s, w)[i] = rng_uniform(rng, -1, 1);
}

static double
loss_at(struct lstm_work *work, const double *params, const double *targets,
        double *scratch)
{
    lstm_forward(work, params, BATCH);
    return lstm_backward(work, params, BATCH, targets, scratch);
}

Test(lstm, gradient_agrees_with_central_differences)
{
    struct rng rng = { 7 };
    size_t count = lstm_param_count(&shape);
    double *params = calloc(3 * count, sizeof(double));
    double *grad = params + count, *scratch = grad + count;
    lstm_start(&shape, &rng, params);
    for (size_t i = 0; i < count; i++)
        params[i] += rng_uniform(&rng, -0.3, 0.3);
    struct lstm_work *work = lstm_work_create(&shape, STEPS, BATCH + 1);
    fill_inputs(work, &rng);
    double targets[BATCH * 4]; // beyond 1 too, where the Huber loss is linear
    for (size_t i = 0; i < OM_COUNT(targets); i++)
        targets[i] = rng_uniform(&rng, -1.5, 1.5);
    loss_at(work, params, targets, grad);

    double worst = 0;
    const double h = 1e-5;
    for (size_t i = 0; i < count; i++) {
        double kept = params[i];
        params[i] = kept + h;
        double above = loss_at(work, params, targets, scratch);
        params[i] = kept - h;
        double below = loss_at(work, params, targets, scratch);
        params[i] = kept;
        double numeric = (above - below) / (2 * h);
        double size = fabs(numeric) + fabs(grad[i]) + 1e-6;
        worst = fmax(worst, fabs(numeric - grad[i]) / size);
    }
    cr_expect_lt(worst, 1e-5, "worst relative error %g", worst);
    lstm_work_destroy(&work);
    free(params);
}

Test(lstm, a_window_gives_the_same_alone_and_in_a_batch)
{
    struct rng rng = { 8 };
    double *params = calloc(lstm_param_count(&shape), sizeof(double));
    lstm_start(&shape, &rng, params);
    for (size_t i = 0; i < lstm_param_count(&shape); i++)
        params[i] += rng_uniform(&rng, -0.3, 0.3);
    struct lstm_work *many = lstm_work_create(&shape, STEPS, BATCH);
    struct lstm_work *one = lstm_work_create(&shape, STEPS, 1);
    fill_inputs(many, &rng);
    const double *all = lstm_forward(many, params, BATCH);
    for (size_t w = 0; w < BATCH; w++) {
        for (size_t s = 0; s < STEPS; s++)
            memcpy(lstm_input(one, s, 0), lstm_input(many, s, w),
                   shape.inputs * sizeof(double));
        const double *alone = lstm_forward(one, params, 1);
        for (size_t i = 0; i < shape.outputs; i++)
            cr_expect_float_eq(alone[i], all[w * shape.outputs + i], 1e-12);
    }
    lstm_work_destroy(&many);
    lstm_work_destroy(&one);
    free(params);
}

Test(lstm, stays_finite_for_inputs_of_any_size)
{
    struct rng rng = { 9 };
    double *params = calloc(2 * lstm_param_count(&shape), sizeof(double));
    double *grad = params + lstm_param_count(&shape);
    lstm_start(&shape, &rng, params);
    struct lstm_work *work = lstm_work_create(&shape, STEPS, 1);
    for (size_t s = 0; s < STEPS; s++)
        for (size_t i = 0; i < shape.inputs; i++)
            lstm_input(work, s, 0)[i] = s % 2 ? 1e12 : -1e12;
    double targets[4] = { 1e12, -1e12, 0, 1 };
    cr_expect(isfinite(*lstm_forward(work, params, 1)));
    cr_expect(isfinite(lstm_backward(work, params, 1, targets, grad)));
    for (size_t i = 0; i < lstm_param_count(&shape); i++)
        cr_expect(isfinite(grad[i]));
    lstm_work_destroy(&work);
    free(params);
}

// The sum of a window's inputs cannot be read off its last step: the cell must keep it.
Test(lstm, learns_to_sum_a_window)
{
    const struct lstm_shape sum_shape = { 1, 8, 1 };
    size_t count = lstm_param_count(&sum_shape);
    double *params = calloc(2 * count, sizeof(double)), *grad = params + count;
    struct rng rng = { 3 };
    lstm_start(&sum_shape, &rng, params);
    struct adam adam;
    cr_assert(adam_init(&adam, count, 0));
    struct lstm_work *work = lstm_work_create(&sum_shape, STEPS, 32);
    double targets[32], first = 0, loss = 0;
    for (int step = 0; step < 600; step++) {
        for (size_t w = 0; w < 32; w++) {
            targets[w] = 0;
            for (size_t s = 0; s < STEPS; s++)
                targets[w] += *lstm_input(work, s, w) = rng_uniform(&rng, -0.5, 0.5);
        }
        lstm_forward(work, params, 32);
        loss = lstm_backward(work, params, 32, targets, grad);
        first = step == 0 ? loss : first;
        adam_step(&adam, 0.01, params, grad);
    }
    cr_expect_lt(loss, first / 20, "from %g to %g", first, loss);
    lstm_work_destroy(&work);
    adam_finish(&adam);
    free(params);
}

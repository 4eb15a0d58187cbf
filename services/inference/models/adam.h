// adam.h - the Adam optimiser (Kingma and Ba 2015) with decoupled weight decay
// (Loshchilov and Hutter 2019) and clipping of the gradient's norm.
#pragma once
#include "base.h"

struct adam {
    size_t count;
    double *mean, *square; // moving averages of the gradient and its square
    double decay;          // of the weights, a step at learning rate 1
    double power1, power2; // beta1^steps, beta2^steps
};

// False without memory.
OM_MUST_CHECK bool adam_init(struct adam *self, size_t count, double decay);
void adam_finish(struct adam *self);

// One step: moves `params` against `grad`, which is scaled in place to a norm of at
// most 1.
void adam_step(struct adam *self, double rate, double *params, double *grad);

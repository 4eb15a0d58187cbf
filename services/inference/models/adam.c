#include <math.h>
#include <stdlib.h>

#include "adam.h"

static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, norm_max = 1;

bool
adam_init(struct adam *self, size_t count, double decay)
{
    *self = (struct adam){ .count = count, .decay = decay, .power1 = 1, .power2 = 1 };
    self->mean = calloc(2 * count, sizeof(double));
    self->square = self->mean ? self->mean + count : NULL;
    return self->mean;
}

void
adam_finish(struct adam *self)
{
    free(self->mean);
    self->mean = self->square = NULL;
}

void
adam_step(struct adam *self, double rate, double *params, double *grad)
{
    double norm = 0;
    for (size_t i = 0; i < self->count; i++)
        norm += grad[i] * grad[i];
    norm = sqrt(norm);
    double scale = norm > norm_max ? norm_max / norm : 1;

    self->power1 *= beta1;
    self->power2 *= beta2;
    double step = rate * sqrt(1 - self->power2) / (1 - self->power1);
    for (size_t i = 0; i < self->count; i++) {
        double g = grad[i] *= scale;
        self->mean[i] += (1 - beta1) * (g - self->mean[i]);
        self->square[i] += (1 - beta2) * (g * g - self->square[i]);
        params[i] -= step * self->mean[i] / (sqrt(self->square[i]) + epsilon) +
                     rate * self->decay * params[i];
    }
}

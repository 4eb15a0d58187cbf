#include <math.h>

#include "accuracy.h"

double
accuracy_mase(const double *history, size_t history_size, size_t period,
              const double *actual, const double *forecast, size_t steps)
{
    double scale = 0, error = 0;
    if (history_size <= period || steps == 0)
        return NAN;
    for (size_t i = period; i < history_size; i++)
        scale += fabs(history[i] - history[i - period]);
    scale /= (double)(history_size - period);
    for (size_t i = 0; i < steps; i++)
        error += fabs(actual[i] - forecast[i]);
    return scale > 0 ? error / (double)steps / scale : NAN;
}

double
accuracy_smape(const double *actual, const double *forecast, size_t steps)
{
    double sum = 0;
    for (size_t i = 0; i < steps; i++) {
        double size = fabs(actual[i]) + fabs(forecast[i]);
        sum += size > 0 ? fabs(actual[i] - forecast[i]) / size : 0;
    }
    return steps ? 200 * sum / (double)steps : NAN;
}

#include <math.h>

#include "metrics.h"

double
metrics_mae(const double *actual, const double *forecast, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += fabs(actual[i] - forecast[i]);
    return count ? sum / (double)count : 0;
}

double
metrics_rmse(const double *actual, const double *forecast, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (actual[i] - forecast[i]) * (actual[i] - forecast[i]);
    return count ? sqrt(sum / (double)count) : 0;
}

double
metrics_smape(const double *actual, const double *forecast, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double size = fabs(actual[i]) + fabs(forecast[i]);
        sum += size > 0 ? 200 * fabs(actual[i] - forecast[i]) / size : 0;
    }
    return count ? sum / (double)count : 0;
}

double
metrics_mase(const double *actual, const double *forecast, size_t count, double scale)
{
    return scale > 0 ? metrics_mae(actual, forecast, count) / scale : NAN;
}

double
metrics_quantile(const double *sorted, size_t count, double level)
{
    if (count == 0)
        return 0;
    double place = level * (double)(count - 1);
    size_t low = (size_t)place;
    if (low + 1 >= count)
        return sorted[count - 1];
    return sorted[low] + (place - (double)low) * (sorted[low + 1] - sorted[low]);
}

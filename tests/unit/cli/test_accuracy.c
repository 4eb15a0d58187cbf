#include <criterion/criterion.h>
#include <math.h>

#include "accuracy.h"

Test(accuracy, mase_is_one_for_an_error_as_large_as_seasonal_naive_makes)
{
    const double history[] = { 1, 2, 3, 4 }, actual[] = { 5, 6 }, forecast[] = { 3, 4 };
    cr_assert_float_eq(accuracy_mase(history, 4, 2, actual, forecast, 2), 1, 1e-12);
}

Test(accuracy, a_perfect_forecast_has_no_error)
{
    const double history[] = { 1, 2, 3, 4 }, actual[] = { 5, 6 };
    cr_assert_eq(accuracy_mase(history, 4, 2, actual, actual, 2), 0);
    cr_assert_eq(accuracy_smape(actual, actual, 2), 0);
}

Test(accuracy, smape_is_two_hundred_when_nothing_is_right)
{
    const double actual[] = { 5, 0 }, forecast[] = { 0, 3 };
    cr_assert_float_eq(accuracy_smape(actual, forecast, 2), 200, 1e-12);
}

Test(accuracy, what_cannot_be_scaled_is_no_number)
{
    const double flat[] = { 2, 2, 2, 2 }, actual[] = { 5 };
    cr_assert(isnan(accuracy_mase(flat, 4, 2, actual, actual, 1)));
    cr_assert(isnan(accuracy_mase(flat, 2, 2, actual, actual, 1)));
    cr_assert(isnan(accuracy_smape(actual, actual, 0)));
}

#include <math.h>
#include <stdlib.h>

#include "airline.h"
#include "metrics.h"
#include "rng.h"
#include "series.h"

Test(series, refuses_what_cannot_be_learned_from_and_says_why)
{
    const struct {
        double values[4];
        size_t count, least;
        const char *why; // part of it
    } bad[] = {
        { { 0 }, 0, 1, "at least 1" },
        { { 1, 2, 3 }, 3, 10, "has 3 values but at least 10" },
        { { 1, NAN, 3 }, 3, 1, "NaN as value 2" },
        { { 1, 2, INFINITY }, 3, 1, "infinity or too large a number as value 3" },
        { { -INFINITY }, 1, 1, "value 1" },
        { { 1, 2e15 }, 2, 1, "value 2" },
    };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        char why[SERIES_WHY_MAX] = "";
        cr_expect_eq(series_check(bad[i].values, bad[i].count, bad[i].least, why),
                     OM_EINVAL);
        cr_expect(strstr(why, bad[i].why), "case %zu says: %s", i, why);
    }
    char why[SERIES_WHY_MAX];
    cr_expect_eq(series_check((double[]){ 1, 2 }, 2, 2, why), OM_OK);
}

Test(series, knows_a_constant)
{
    cr_expect(series_is_constant((double[]){ 5, 5, 5 }, 3));
    cr_expect_not(series_is_constant((double[]){ 5, 5, 6 }, 3));
}

Test(series, finds_the_year_in_monthly_passengers)
{
    double values[AIRLINE_COUNT];
    airline_read(values);
    cr_expect_eq(series_find_period(values, AIRLINE_KNOWN), 12);
    cr_expect_eq(series_find_period(values, 48), 12);
}

Test(series, finds_a_season_under_trend_and_noise_and_none_where_none_is)
{
    enum { COUNT = 400 };
    double season[COUNT], noise[COUNT], line[COUNT];
    struct rng rng = { 1 };
    for (int i = 0; i < COUNT; i++) {
        noise[i] = rng_uniform(&rng, -1, 1);
        line[i] = 3 * i;
        season[i] = 3 * i + 40 * sin(2 * M_PI * i / 24) + 5 * noise[i];
    }
    cr_expect_eq(series_find_period(season, COUNT), 24);
    cr_expect_eq(series_find_period(noise, COUNT), 1);
    cr_expect_eq(series_find_period(line, COUNT), 1);
    cr_expect_eq(series_find_period(season, 3), 1, "too short to tell");
    cr_expect_eq(series_find_period(season, 0), 1);
}

Test(series, scale_is_the_mean_change_over_a_season)
{
    double values[] = { 1, 10, 2, 12, 5, 13 };
    struct series series = { values, 6, 2 };
    cr_expect_float_eq(series_scale(&series), (1 + 2 + 3 + 1) / 4.0, 1e-12);
    series.count = 2;
    cr_expect_eq(series_scale(&series), 0);
}

Test(metrics, agree_with_values_worked_out_by_hand)
{
    double actual[] = { 100, 200, 0, 50 }, forecast[] = { 110, 180, 0, 50 };
    cr_expect_float_eq(metrics_mae(actual, forecast, 4), 7.5, 1e-12);
    cr_expect_float_eq(metrics_rmse(actual, forecast, 4), sqrt(125), 1e-12);
    cr_expect_float_eq(metrics_smape(actual, forecast, 4),
                       (200 * 10 / 210.0 + 200 * 20 / 380.0) / 4, 1e-12);
    cr_expect_float_eq(metrics_mase(actual, forecast, 4, 5), 1.5, 1e-12);
    cr_expect(isnan(metrics_mase(actual, forecast, 4, 0)), "not defined");
    cr_expect_eq(metrics_mae(actual, forecast, 0), 0);
}

Test(metrics, quantile_interpolates_between_neighbours)
{
    double sorted[] = { 1, 2, 4, 8 };
    const struct {
        double level, value;
    } cases[] = { { 0, 1 }, { 0.5, 3 }, { 1, 8 }, { 0.25, 1.75 }, { 0.9, 6.8 } };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_float_eq(metrics_quantile(sorted, 4, cases[i].level), cases[i].value,
                           1e-12, "level %g", cases[i].level);
    cr_expect_eq(metrics_quantile(sorted, 1, 0.9), 1);
    cr_expect_eq(metrics_quantile(NULL, 0, 0.9), 0);
}

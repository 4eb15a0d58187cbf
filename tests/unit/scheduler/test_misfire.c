#include <criterion/criterion.h>

#include "misfire.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static struct misfire_plan
decide(const char *text, enum misfire policy, int64_t next_ms, int64_t now_ms)
{
    struct cron cron;
    struct misfire_plan plan;
    char why[256];
    cr_assert(cron_parse(om_str(text), &cron, why, sizeof(why)) == OM_OK);
    misfire_decide(&cron, policy, next_ms, now_ms, &plan);
    return plan;
}

Test(misfire, fires_a_time_that_has_just_come_whatever_the_policy)
{
    for (enum misfire policy = 0; policy < MISFIRE_COUNT; policy++) {
        struct misfire_plan plan = decide("0 * * * *", policy, HOUR, HOUR + 400);
        cr_expect(plan.count == 1 && plan.fire_ms[0] == HOUR && plan.next_ms == 2 * HOUR);
        plan = decide("0 * * * *", policy, HOUR, HOUR - 1);
        cr_expect(plan.count == 0 && plan.next_ms == HOUR);
    }
}

Test(misfire, latest_fires_once_for_many_missed_times)
{
    struct misfire_plan plan = decide("0 * * * *", MISFIRE_LATEST, HOUR, 9 * HOUR + 5);
    cr_expect(plan.count == 1 && plan.fire_ms[0] == 9 * HOUR &&
              plan.next_ms == 10 * HOUR);
}

Test(misfire, skip_fires_nothing_older_than_a_minute)
{
    struct misfire_plan plan =
        decide("0 * * * *", MISFIRE_SKIP, HOUR, 9 * HOUR + MISFIRE_GRACE_MS + 1);
    cr_expect(plan.count == 0 && plan.next_ms == 10 * HOUR);
    plan = decide("0 * * * *", MISFIRE_SKIP, HOUR, 9 * HOUR + MISFIRE_GRACE_MS);
    cr_expect(plan.count == 1 && plan.fire_ms[0] == 9 * HOUR);
}

Test(misfire, all_fires_each_but_no_more_than_the_latest_hundred)
{
    struct misfire_plan plan = decide("0 * * * *", MISFIRE_ALL, HOUR, 9 * HOUR);
    cr_expect(plan.count == 9);
    for (size_t i = 0; i < plan.count; i++)
        cr_expect(plan.fire_ms[i] == (int64_t)(i + 1) * HOUR);
    plan = decide("* * * * *", MISFIRE_ALL, HOUR, 1000 * MINUTE);
    cr_expect(plan.count == MISFIRE_ALL_MAX && plan.next_ms == 1001 * MINUTE);
    cr_expect(plan.fire_ms[0] == 901 * MINUTE && plan.fire_ms[99] == 1000 * MINUTE);
}

Test(misfire, gives_up_times_missed_for_more_than_a_year)
{
    int64_t year_ms = INT64_C(366) * 24 * HOUR;
    struct misfire_plan plan =
        decide("0 0 1 1 *", MISFIRE_LATEST, 0, INT64_C(364) * 24 * HOUR + 3 * year_ms);
    cr_expect(plan.count == 1);
    plan = decide("* * * * *", MISFIRE_LATEST, MINUTE, INT64_C(1700000000000));
    cr_expect(plan.count == 1 &&
              plan.fire_ms[0] == INT64_C(1700000000000) / MINUTE * MINUTE);
}

Test(misfire, knows_its_policies_by_name)
{
    enum misfire policy;
    for (enum misfire i = 0; i < MISFIRE_COUNT; i++)
        cr_expect(!misfire_find(om_str(misfire_name(i)), &policy) && policy == i);
    cr_expect(misfire_find(OM_LIT("never"), &policy) == OM_EINVAL);
}

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

#include "cron.h"

// "2026-11-21 04:05:06" as ms since 1970, by the C library.
static int64_t
ms_of(const char *text)
{
    struct tm date = { 0 };
    cr_assert(strptime(text, "%Y-%m-%d %H:%M:%S", &date), "%s", text);
    return (int64_t)timegm(&date) * 1000;
}

static const char *
text_of(int64_t ms)
{
    static char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm date;
    gmtime_r(&seconds, &date);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &date);
    return text;
}

static struct cron
parse(const char *text)
{
    struct cron cron;
    char why[256] = "";
    cr_assert(cron_parse(om_str(text), &cron, why, sizeof(why)) == OM_OK, "%s: %s", text,
              why);
    return cron;
}

static const struct {
    const char *cron, *after, *next;
} cases[] = {
    { "* * * * *", "1970-01-01 00:00:00", "1970-01-01 00:01:00" },
    { "* * * * *", "2026-11-21 04:05:59", "2026-11-21 04:06:00" },
    { "0 0 * * *", "2026-12-31 23:59:59", "2027-01-01 00:00:00" },
    { "0 0 * * *", "2027-01-01 00:00:00", "2027-01-02 00:00:00" },
    { "30 4 1,15 * *", "2026-11-01 04:30:00", "2026-11-15 04:30:00" },
    { "*/15 9-17 * * mon-fri", "2026-11-20 17:45:00", "2026-11-23 09:00:00" },
    { "5/20 * * * *", "2026-11-21 04:05:00", "2026-11-21 04:25:00" },
    { "5/20 * * * *", "2026-11-21 04:45:00", "2026-11-21 05:05:00" },
    { "10-30/10 0 * * *", "2026-11-21 00:20:00", "2026-11-21 00:30:00" },
    { "10-30/10 0 * * *", "2026-11-21 00:30:00", "2026-11-22 00:10:00" },
    // Month ends and leap years.
    { "0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00" },
    { "0 0 30 * *", "2026-01-30 00:00:00", "2026-03-30 00:00:00" },
    { "0 0 29 2 *", "2026-11-21 00:00:00", "2028-02-29 00:00:00" },
    { "0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00" },
    { "59 23 28 2 *", "2028-02-28 23:58:59", "2028-02-28 23:59:00" },
    { "0 0 29 2 */7", "2026-01-01 00:00:00", "2032-02-29 00:00:00" },
    { "0 0 29 2 */7", "2088-02-29 00:00:00", "2128-02-29 00:00:00" },
    { "0 0 1 jan *", "2026-01-01 00:00:00", "2027-01-01 00:00:00" },
    { "0 0 1 JAN,Jul *", "2026-01-01 00:00:00", "2026-07-01 00:00:00" },
    // Sunday is 0, 7 and sun; 2026-11-22 is one.
    { "0 0 * * 0", "2026-11-21 04:00:00", "2026-11-22 00:00:00" },
    { "0 0 * * 7", "2026-11-21 04:00:00", "2026-11-22 00:00:00" },
    { "0 0 * * sun", "2026-11-21 04:00:00", "2026-11-22 00:00:00" },
    { "0 0 * * 5-7", "2026-11-21 04:00:00", "2026-11-22 00:00:00" },
    { "0 0 * * 1", "2026-11-21 04:00:00", "2026-11-23 00:00:00" },
    // Both days restricted: either. One of them `*`: both.
    { "0 0 13 * fri", "2026-11-14 00:00:00", "2026-11-20 00:00:00" },
    { "0 0 13 * fri", "2026-12-11 00:00:00", "2026-12-13 00:00:00" },
    { "0 0 */13 * fri", "2026-11-14 00:00:00", "2026-11-27 00:00:00" },
    { "0 0 31 4 mon", "2026-04-27 00:00:00", "2027-04-05 00:00:00" },
    // Aliases and white space.
    { "@hourly", "2026-11-21 04:05:00", "2026-11-21 05:00:00" },
    { "@daily", "2026-11-21 04:05:00", "2026-11-22 00:00:00" },
    { "@midnight", "2026-11-21 04:05:00", "2026-11-22 00:00:00" },
    { "@weekly", "2026-11-23 04:05:00", "2026-11-29 00:00:00" },
    { "@monthly", "2026-11-21 04:05:00", "2026-12-01 00:00:00" },
    { "@yearly", "2026-11-21 04:05:00", "2027-01-01 00:00:00" },
    { "@annually", "2026-11-21 04:05:00", "2027-01-01 00:00:00" },
    { " \t0  0 * *\t* ", "2026-11-21 04:05:00", "2026-11-22 00:00:00" },
};

Test(cron, finds_the_next_time)
{
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct cron cron = parse(cases[i].cron);
        int64_t next_ms = cron_next(&cron, ms_of(cases[i].after));
        cr_expect(next_ms == ms_of(cases[i].next), "%s after %s: %s, not %s",
                  cases[i].cron, cases[i].after, text_of(next_ms), cases[i].next);
    }
}

static const struct {
    const char *cron, *why;
} bad[] = {
    { "", "five fields" },
    { "* * * *", "five fields" },
    { "* * * * * *", "five fields" },
    { "@reboot", "five fields" },
    { "@Daily", "five fields" },
    { "60 * * * *", "minute \"60\"" },
    { "-1 * * * *", "minute \"-1\"" },
    { "1- * * * *", "minute \"1-\"" },
    { "5-1 * * * *", "minute \"5-1\"" },
    { "*/0 * * * *", "minute \"*/0\"" },
    { "*/ * * * *", "minute \"*/\"" },
    { "1,,2 * * * *", "minute \"1,,2\"" },
    { "1, * * * *", "minute \"1,\"" },
    { "1x * * * *", "minute \"1x\"" },
    { "99999999999999999999 * * * *", "minute" },
    { "*/99999999999999999999 * * * *", "minute" },
    { "** * * * *", "minute" },
    { "* 24 * * *", "hour \"24\"" },
    { "* * 0 * *", "day of month \"0\"" },
    { "* * 32 * *", "day of month \"32\"" },
    { "* * L * *", "day of month \"L\"" },
    { "* * * 13 *", "month \"13\"" },
    { "* * * 0 *", "month \"0\"" },
    { "* * * mon *", "month \"mon\"" },
    { "* * * january *", "month \"january\"" },
    { "* * * * 8", "weekday \"8\"" },
    { "* * * * fri-mon", "weekday \"fri-mon\"" },
    { "0 0 30 2 *", "never such a day" },
    { "0 0 31 2,4,6,9,11 *", "never such a day" },
    { "0 0 0 0 0", "day of month" },
};

Test(cron, refuses_what_is_no_expression_and_names_the_field)
{
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct cron cron;
        char why[256] = "";
        cr_expect(cron_parse(om_str(bad[i].cron), &cron, why, sizeof(why)) == OM_EINVAL,
                  "%s", bad[i].cron);
        cr_expect(strstr(why, bad[i].why), "%s: %s", bad[i].cron, why);
    }
}

// Does the minute match, by the C library's calendar?
static bool
matches(const struct cron *cron, time_t seconds)
{
    struct tm date;
    gmtime_r(&seconds, &date);
    bool day = cron->days >> date.tm_mday & 1,
         weekday = cron->weekdays >> date.tm_wday & 1;
    return (cron->minutes >> date.tm_min & 1) && (cron->hours >> date.tm_hour & 1) &&
           (cron->months >> (date.tm_mon + 1) & 1) &&
           (cron->either_day ? day || weekday : day && weekday);
}

Test(cron, agrees_with_a_search_minute_by_minute)
{
    const char *texts[] = { "7 3 * * *",     "*/7 */5 */3 * *",   "0 0 29 * 1",
                            "59 23 31 12 *", "13 13 13 * 5",      "0 12 28-31 * *",
                            "1 1 1 */2 *",   "30 6 * 2,3 sat,sun" };
    for (size_t i = 0; i < OM_COUNT(texts); i++) {
        struct cron cron = parse(texts[i]);
        int64_t start_ms = ms_of("2027-12-20 00:00:00"),
                end_ms = ms_of("2028-03-05 00:00:00");
        int64_t next_ms = cron_next(&cron, start_ms);
        for (int64_t ms = start_ms + 60000; ms < end_ms; ms += 60000) {
            bool match = matches(&cron, (time_t)(ms / 1000));
            cr_assert(match == (ms == next_ms), "%s at %s", texts[i], text_of(ms));
            if (match)
                next_ms = cron_next(&cron, ms);
        }
    }
}

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "cron.h"

enum {
    MINUTE_MS = 60 * 1000,
    DAY_MINUTES = 24 * 60,
    CALENDAR_MONTHS = 400 * 12, // the Gregorian calendar repeats after 400 years
};

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun",
                                           "jul", "aug", "sep", "oct", "nov", "dec" };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed",
                                             "thu", "fri", "sat" };

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

static const struct field {
    const char *name;
    int low, high;
    const char *const *names; // of the values from `low`; NULL for none
    int name_count;
} fields[FIELD_COUNT] = {
    [MINUTE] = { "minute", 0, 59, NULL, 0 },
    [HOUR] = { "hour", 0, 23, NULL, 0 },
    [DAY] = { "day of month", 1, 31, NULL, 0 },
    [MONTH] = { "month", 1, 12, month_names, 12 },
    [WEEKDAY] = { "weekday", 0, 7, weekday_names, 7 },
};

static const struct {
    const char *name, *text;
} aliases[] = {
    { "@hourly", "0 * * * *" },   { "@daily", "0 0 * * *" },
    { "@midnight", "0 0 * * *" }, { "@weekly", "0 0 * * 0" },
    { "@monthly", "0 0 1 * *" },  { "@yearly", "0 0 1 1 *" },
    { "@annually", "0 0 1 1 *" },
};

// ---- parsing

// One field being read; `at` moves over its text.
struct reader {
    const struct field *field;
    const char *at, *end;
};

static bool
take(struct reader *reader, char wanted)
{
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

// Read a number of at most two digits' worth, or -1.
static int
take_number(struct reader *reader)
{
    int value = -1;
    for (; reader->at < reader->end && isdigit((unsigned char)*reader->at);
         reader->at++) {
        value = (value < 0 ? 0 : value) * 10 + (*reader->at - '0');
        if (value > 99)
            return -1;
    }
    return value;
}

// Read a number or a name within the field's bounds, or -1.
static int
take_value(struct reader *reader)
{
    const struct field *field = reader->field;
    for (int i = 0; i < field->name_count && reader->end - reader->at >= 3; i++) {
        if (strncasecmp(reader->at, field->names[i], 3) == 0) {
            reader->at += 3;
            return field->low + i;
        }
    }
    int value = take_number(reader);
    return value >= field->low && value <= field->high ? value : -1;
}

// Read `*`, `a`, `a-b`, each with an optional `/n`, and set its bits.
static bool
take_part(struct reader *reader, uint64_t *bits)
{
    int low = reader->field->low, high = reader->field->high;
    bool single = false;
    if (!take(reader, '*')) {
        low = high = take_value(reader);
        single = !take(reader, '-');
        if (!single)
            high = take_value(reader);
        if (low < 0 || high < low)
            return false;
    }
    int step = 1;
    if (take(reader, '/')) {
        step = take_number(reader);
        if (step < 1)
            return false;
        if (single)
            high = reader->field->high;
    }
    for (int value = low; value <= high; value += step)
        *bits |= UINT64_C(1) << value;
    return true;
}

static enum om_rc
parse_field(const struct field *field, struct om_str text, uint64_t *bits, char *why,
            size_t why_size)
{
    struct reader reader = { field, text.data, text.data + text.size };
    *bits = 0;
    bool good = true;
    do
        good = take_part(&reader, bits);
    while (good && take(&reader, ','));
    if (good && reader.at == reader.end)
        return OM_OK;
    snprintf(why, why_size,
             "%s \"%.*s\": use numbers from %d to %d%s, `*`, ranges a-b, "
             "steps /n and lists with commas",
             field->name, (int)text.size, text.data, field->low, field->high,
             field->names ? ", names" : "");
    return OM_EINVAL;
}

// Cut the text at white space. Returns the number of fields, or FIELD_COUNT + 1 for more.
static int
split(struct om_str text, struct om_str parts[FIELD_COUNT])
{
    int count = 0;
    size_t at = 0;
    for (;;) {
        while (at < text.size && isspace((unsigned char)text.data[at]))
            at++;
        size_t start = at;
        while (at < text.size && !isspace((unsigned char)text.data[at]))
            at++;
        if (at == start || count == FIELD_COUNT)
            return at == start ? count : count + 1;
        parts[count++] = (struct om_str){ text.data + start, at - start };
    }
}

static struct om_str
expand_alias(struct om_str text)
{
    for (size_t i = 0; i < OM_COUNT(aliases); i++)
        if (om_str_eq(text, om_str(aliases[i].name)))
            return om_str(aliases[i].text);
    return text;
}

static int64_t find_next(const struct cron *self, int64_t minute);

enum om_rc
cron_parse(struct om_str text, struct cron *out, char *why, size_t why_size)
{
    struct om_str parts[FIELD_COUNT];
    uint64_t bits[FIELD_COUNT];
    int count = split(expand_alias(text), parts);
    if (count != FIELD_COUNT || text.size > CRON_TEXT_MAX) {
        snprintf(why, why_size,
                 "needs five fields: minute, hour, day of month, month, "
                 "weekday; or @hourly, @daily, @weekly, @monthly, @yearly");
        return OM_EINVAL;
    }
    for (int i = 0; i < FIELD_COUNT; i++)
        if (parse_field(&fields[i], parts[i], &bits[i], why, why_size))
            return OM_EINVAL;
    *out = (struct cron){
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint32_t)bits[MONTH],
        .weekdays = (uint32_t)((bits[WEEKDAY] | bits[WEEKDAY] >> 7) & 0x7f),
        .either_day = parts[DAY].data[0] != '*' && parts[WEEKDAY].data[0] != '*',
    };
    if (find_next(out, 0) >= 0)
        return OM_OK;
    snprintf(why, why_size, "there is never such a day: \"%.*s\" of month \"%.*s\"",
             (int)parts[DAY].size, parts[DAY].data, (int)parts[MONTH].size,
             parts[MONTH].data);
    return OM_EINVAL;
}

// ---- the calendar

static bool
is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
month_days(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

// Days from 1970-01-01 to the first of January of `year`, which is not before 1970.
static int64_t
year_start(int64_t year)
{
    int64_t y = year - 1;
    return 365 * (year - 1970) + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static bool
day_matches(const struct cron *self, int day, int64_t day_number)
{
    bool by_day = self->days >> day & 1;
    bool by_weekday = self->weekdays >> ((day_number + 4) % 7) & 1; // a Thursday in 1970
    return self->either_day ? by_day || by_weekday : by_day && by_weekday;
}

// The first matching minute of a day from `minute` on, or -1.
static int
time_of_day(const struct cron *self, int minute)
{
    for (int hour = minute / 60; hour < 24; hour++) {
        if (!(self->hours >> hour & 1))
            continue;
        uint64_t left = self->minutes;
        if (hour == minute / 60)
            left &= ~UINT64_C(0) << minute % 60;
        if (left)
            return hour * 60 + __builtin_ctzll(left);
    }
    return -1;
}

// The first matching minute since 1970 from `minute` on, or -1: the calendar has repeated
// itself without one.
static int64_t
find_next(const struct cron *self, int64_t minute)
{
    int64_t today = minute / DAY_MINUTES;
    int64_t year = 1970 + today / 366;
    while (year_start(year + 1) <= today)
        year++;
    int64_t first = year_start(year); // of the month
    int month = 1;
    for (int months = 0; months <= CALENDAR_MONTHS + 12; months++) {
        int size = month_days(year, month);
        for (int day = 1; day <= size && self->months >> month & 1; day++) {
            int64_t number = first + day - 1;
            if (number < today || !day_matches(self, day, number))
                continue;
            int found =
                time_of_day(self, number == today ? (int)(minute % DAY_MINUTES) : 0);
            if (found >= 0)
                return number * DAY_MINUTES + found;
        }
        first += size;
        month = month % 12 + 1;
        year += month == 1;
    }
    return -1;
}

int64_t
cron_next(const struct cron *self, int64_t after_ms)
{
    assert(after_ms >= 0);
    int64_t minute = find_next(self, after_ms / MINUTE_MS + 1);
    assert(minute >= 0 && "cron_parse() refuses what never comes");
    return minute * MINUTE_MS;
}

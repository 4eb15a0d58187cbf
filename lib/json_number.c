#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"

enum {
    PLAIN_DIGITS = 15, // a double keeps any number of so many
    DIGITS = 17,       // and is known from any other by so many
    TEXT = 32,
};

// Those that a number of 64 bits has room for, without rounding.
static const long double powers[] = {
    1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,  1e10L,
    1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
};

// Write `number` / 10^`places` at the end of `text`, without needless zeros. Returns
// where it begins.
static char *
write_decimal(char text[TEXT], uint64_t number, int places)
{
    char *at = text + TEXT;
    while (places > 0 && number % 10 == 0) {
        number /= 10;
        places--;
    }
    for (int written = 0; number > 0 || written <= places; written++) {
        if (written == places && places > 0)
            *--at = '.';
        *--at = (char)('0' + number % 10);
        number /= 10;
    }
    return at;
}

static void
put_decimal(struct om_buf *buf, bool negative, uint64_t number, int places)
{
    char text[TEXT];
    char *at = write_decimal(text, number, places);
    if (negative)
        *--at = '-';
    om_buf_put(buf, at, (size_t)(text + TEXT - at));
}

void
om_json_put_i64(struct om_buf *buf, int64_t value)
{
    put_decimal(buf, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value, 0);
}

// Is the quotient, which may be off in its last bit, read as `value`? 0: no, 2: yes,
// 1: it is too close to the middle between two doubles to say.
static int
reads_as(long double quotient, double value)
{
    return ((double)nextafterl(quotient, 0) == value) +
           ((double)nextafterl(quotient, HUGE_VALL) == value);
}

// Numbers of usual size, without the C library's exact and slow arithmetic. False: it
// takes that.
static bool
put_usual(struct om_buf *buf, double value)
{
    double size = fabs(value);
    if (size != 0 && (size < 1e-4 || size >= 1e15))
        return false;
    if (size == floor(size)) {
        put_decimal(buf, signbit(value), (uint64_t)size, 0);
        return true;
    }
    int whole = -3; // digits before the point; below 0, zeros behind it
    while (size >= (whole < 0 ? 1 / powers[-whole] : powers[whole]))
        whole++;
    for (int digits = PLAIN_DIGITS; digits <= DIGITS; digits++) {
        long double power = powers[digits - whole];
        uint64_t number = (uint64_t)llrintl(size * power);
        int reads = reads_as((long double)number / power, size);
        if (reads == 2)
            put_decimal(buf, signbit(value), number, digits - whole);
        if (reads > 0)
            return reads == 2;
    }
    return false;
}

void
om_json_put_f64(struct om_buf *buf, double value)
{
    char text[TEXT];
    if (!isfinite(value)) {
        om_json_put(buf, "null");
        return;
    }
    if (put_usual(buf, value))
        return;
    for (int digits = PLAIN_DIGITS; digits <= DIGITS; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    om_json_put(buf, text);
}

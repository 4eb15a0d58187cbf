#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

int64_t
om_clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
om_clock_mono_ms(void)
{
    return om_clock_mono_us() / 1000;
}

// Read once: an offset that changed while the process runs would be a jump.
static int64_t
wall_offset_ms(void)
{
    static int64_t offset = INT64_MIN;
    int64_t known = __atomic_load_n(&offset, __ATOMIC_RELAXED);
    if (known == INT64_MIN) {
        const char *text = getenv("OMNI_CLOCK_OFFSET_MS");
        known = text ? strtoll(text, NULL, 10) : 0;
        __atomic_store_n(&offset, known, __ATOMIC_RELAXED);
    }
    return known;
}

int64_t
om_clock_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + wall_offset_ms();
}

void
om_clock_format(int64_t wall_ms, char out[OM_CLOCK_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm date;
    gmtime_r(&seconds, &date);
    size_t size = strftime(out, OM_CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &date);
    snprintf(out + size, OM_CLOCK_TEXT_MAX - size, ".%03dZ", (int)(wall_ms % 1000));
}

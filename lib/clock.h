// clock.h - the two clocks. Any thread.
#pragma once
#include "base.h"

// For leases, heartbeats, backoff and timeouts: never jumps, says nothing about the date.
int64_t om_clock_mono_ms(void);
int64_t om_clock_mono_us(void);

// For schedules, delays, billing and legal deadlines: milliseconds since 1970, plus
// OMNI_CLOCK_OFFSET_MS, with which tests move a whole process in time.
int64_t om_clock_wall_ms(void);

// "2026-11-21T04:05:06.789Z" and a final zero.
enum { OM_CLOCK_TEXT_MAX = 32 };
void om_clock_format(int64_t wall_ms, char out[OM_CLOCK_TEXT_MAX]);

// make_spans.c - a process that writes spans and ends: what tests/tracing/export.py looks
// at.
//
// make_spans COUNT RATE [TEXT]: COUNT spans, RATE a second (0: as fast as it can), in a
// trace each, every tenth failed. Prints what became of them before it ends, and how much
// CPU its threads took.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "span.h"
#include "tracing.h"

static void
wait_until(int64_t mono_us)
{
    int64_t left_us = mono_us - om_clock_mono_us();
    struct timespec wait = { left_us / 1000000, left_us % 1000000 * 1000 };
    if (left_us > 0)
        nanosleep(&wait, NULL);
}

static void
write_span(long number, struct om_str text)
{
    struct om_trace trace = om_span_root();
    bool failed = number % 10 == 9;
    struct om_span *span =
        om_span_begin(&trace, NULL, OM_SPAN_SERVER, om_span_now_us(), failed);
    om_span_name(span, "GET /v1/things/{id}");
    om_span_str(span, OM_ATTR_METHOD, OM_LIT("GET"));
    om_span_str(span, OM_ATTR_PATH, text);
    om_span_str(span, OM_ATTR_ROUTE, OM_LIT("/v1/things/{id}"));
    om_span_int(span, OM_ATTR_HTTP_STATUS, failed ? 503 : 200);
    om_span_int(span, OM_ATTR_ATTEMPT, number);
    if (failed)
        om_span_fail(span, OM_LIT("503"), OM_LIT("it was to fail"));
    om_span_end(span);
}

int
main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1, rate = argc > 2 ? atol(argv[2]) : 0;
    struct om_str text = om_str(argc > 3 ? argv[3] : "/v1/things/1");
    struct rusage usage;
    om_log_init("make-spans");
    om_tracing_start("test", "node-1");
    int64_t start_us = om_clock_mono_us();
    for (long i = 0; i < count; i++) {
        if (rate && (rate < 100 || i % 50 == 0))
            wait_until(start_us + i * 1000000 / rate);
        write_span(i, text);
    }
    int64_t written_us = om_clock_mono_us() - start_us;
    struct om_span_counts counts = om_tracing_stop();
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"written\":%llu,\"dropped\":%llu,\"exported\":%llu,\"lost\":%llu,"
           "\"write_us\":%lld,\"stop_us\":%lld,\"cpu_us\":%lld}\n",
           (unsigned long long)counts.written, (unsigned long long)counts.dropped,
           (unsigned long long)counts.exported, (unsigned long long)counts.lost,
           (long long)written_us, (long long)(om_clock_mono_us() - start_us - written_us),
           (long long)((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL +
                       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    return 0;
}

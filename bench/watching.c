// watching.c - what watching costs where the work is done: a counter, a histogram, a
// span.
//
// bench-watching WHAT COUNT does it so often. The difference of two counts under
// callgrind is what one costs: see bench/README.md.
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "metrics.h"
#include "span.h"

enum { SPANS_MAX = 65536 };

static void
count(long times)
{
    uint32_t cell = om_metric_cell(M_omni_log_lines_total, OM_LIT("error"));
    for (long i = 0; i < times; i++)
        om_metric_add(cell, 1);
}

static void
observe(long times)
{
    uint32_t cell = om_metric_cell(M_omni_commit_duration_seconds);
    for (long i = 0; i < times; i++)
        om_metric_observe(cell, i % 100000, NULL);
}

// What a worker says of a job; sampled or not.
static void
write_spans(long times, uint8_t flags)
{
    struct om_trace parent = om_trace_start();
    parent.flags = flags;
    for (long i = 0; i < times; i++) {
        struct om_trace trace = om_span_continue(&parent);
        struct om_span *span =
            om_span_begin(&trace, parent.span_id, OM_SPAN_CONSUMER, i + 1, false);
        if (!span)
            continue;
        om_span_name(span, "process %.*s", 9, "inference");
        om_span_str(span, OM_ATTR_SYSTEM, OM_LIT("omni"));
        om_span_str(span, OM_ATTR_OPERATION, OM_LIT("process"));
        om_span_str(span, OM_ATTR_OPERATION_TYPE, OM_LIT("process"));
        om_span_str(span, OM_ATTR_DESTINATION, OM_LIT("omni.inference"));
        om_span_str(span, OM_ATTR_KIND, OM_LIT("predict"));
        om_span_str(span, OM_ATTR_TENANT, OM_LIT("ten_01h455vb4pex5vsknk084sn02q"));
        om_span_str(span, OM_ATTR_TASK, OM_LIT("task_01h455vb4pex5vsknk084sn02q"));
        om_span_int(span, OM_ATTR_ATTEMPT, 1);
        om_span_end(span);
    }
}

int
main(int argc, char **argv)
{
    const char *what = argc == 3 ? argv[1] : "";
    long times = argc == 3 ? atol(argv[2]) : 0;
    struct om_span_conf conf = { .queue = SPANS_MAX,
                                 .wake = SPANS_MAX,
                                 .sampler = OM_SAMPLE_ALWAYS };
    int wake_fd;
    if (!om_span_open(&conf, &wake_fd))
        return 1;
    int64_t start_us = om_clock_mono_us();
    if (strcmp(what, "counter") == 0)
        count(times);
    else if (strcmp(what, "histogram") == 0)
        observe(times);
    else if (strcmp(what, "span") == 0)
        write_spans(times, 1);
    else if (strcmp(what, "unsampled") == 0)
        write_spans(times, 0);
    else {
        fprintf(stderr, "usage: bench-watching counter|histogram|span|unsampled COUNT\n");
        return 2;
    }
    if (times > 0)
        printf("%.1f ns each\n",
               (double)(om_clock_mono_us() - start_us) * 1000 / (double)times);
    om_span_close();
    return 0;
}

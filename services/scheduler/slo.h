// slo.h - what the platform promises, counted as good ones of all. Pure.
#pragma once
#include "base.h"

// clang-format off
//  symbol        name               target  what is good
#define SLO_LIST(X)                                                                       \
    X(AVAILABILITY, "availability",    0.999, "looks at which the edge and the broker were ready") \
    X(ERRORS,       "errors",          0.999, "requests that were not answered with a 5xx") \
    X(CACHED,       "latency_cached",  0.95,  "requests, predictions apart, answered within 0.5 s") \
    X(COMPUTE,      "latency_compute", 0.95,  "predictions answered within 2 s")
// clang-format on

enum slo {
#define SLO_ENUM(symbol, name, target, doc) SLO_##symbol,
    SLO_LIST(SLO_ENUM)
#undef SLO_ENUM
        SLO_COUNT
};

struct slo_info {
    const char *name;
    double target; // share of all that is to be good
    const char *doc;
};

const struct slo_info *slo_info(enum slo slo);

struct slo_counts {
    struct slo_count {
        int64_t good, total;
    } of[SLO_COUNT];
};

// What the /metrics page of an edge has counted since it started; zeros for the page of
// another program. AVAILABILITY is not counted by programs.
struct slo_counts slo_read(struct om_str page);

// What was counted between two pages of a program, which may have been restarted.
struct slo_counts slo_since(const struct slo_counts *before,
                            const struct slo_counts *now);

void slo_add(struct slo_counts *sum, const struct slo_counts *counts);

// Share of the good; 1 if there was nothing.
double slo_good(struct slo_count count);

// How fast the error budget is used up: 1 is as fast as it comes.
double slo_burn(enum slo slo, struct slo_count count);

// exposition.h - reads what a /metrics page says, in Prometheus's text format 0.0.4.
// Pure.
//
// Lines that are comments, or malformed, are passed over.
#pragma once
#include "base.h"

struct exposition_sample {
    struct om_str name, labels; // labels: what stands between the braces
    double value;
};

// Take the next sample off the front of the page. False: there is none.
bool exposition_next(struct om_str *page, struct exposition_sample *out);

// A label's value as it stands on the page, escapes and all; empty if it has none.
struct om_str exposition_label(const struct exposition_sample *sample, const char *name);

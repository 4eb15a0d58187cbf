// otlp_conf.h - the standard variables of OpenTelemetry, read into what the exporter
// needs.
//
// As its specification says: an empty value is no value, one that is not understood is
// told and replaced by the default. Pure but for the environment.
#pragma once
#include "otlp.h"

enum { OM_OTLP_PAIRS_MAX = 64, OM_OTLP_WARNINGS_MAX = 8 };

struct om_otlp_conf {
    char *url; // of the traces; NULL: nothing is exported
    enum om_otlp_form form;
    bool gzip;
    int64_t timeout_ms;                                        // of one request
    const char *certificate, *client_certificate, *client_key; // files; "": none
    struct om_otlp_pair headers[OM_OTLP_PAIRS_MAX];
    size_t header_count;
    struct om_otlp_pair pairs[OM_OTLP_PAIRS_MAX]; // of the resource
    size_t pair_count;
    int64_t delay_ms,
        deadline_ms;      // of a batch, before it is sent and until it is given up
    int64_t queue, batch; // spans
    enum om_sampler sampler;
    bool ignore_parent;
    double ratio;
    const char *dir;    // OMNI_TRACE_DIR; "": no file
    int64_t keep_spans; // in the file
    int64_t keep_hours;
    const char *node;                           // names the file
    const char *warnings[OM_OTLP_WARNINGS_MAX]; // variables that were not understood
    size_t warning_count;
    struct om_otlp_env *env; // what the texts above lie in
};

// OM_EUNAVAILABLE: tracing is off. What it filled in is to be finished whatever it says.
OM_MUST_CHECK enum om_rc om_otlp_conf_read(const char *service, const char *node,
                                           struct om_otlp_conf *out);
void om_otlp_conf_finish(struct om_otlp_conf *self);

// "key=value,key=value", percent-encoded, decoded in place. Returns how many; -1: it is
// malformed, or they are more than `max`.
int om_otlp_pairs(char *text, struct om_otlp_pair *out, int max);

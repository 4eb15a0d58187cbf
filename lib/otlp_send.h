// otlp_send.h - requests to a collector over HTTP. One thread.
#pragma once
#include "otlp_conf.h"

struct om_otlp_sender;

// NULL without memory. Borrows `conf`. `stop_fd` is readable when it is time to end, and
// *end_ms is then the time (mono) after which nothing is waited for.
struct om_otlp_sender *om_otlp_sender_create(const struct om_otlp_conf *conf, int stop_fd,
                                             const _Atomic int64_t *end_ms);
void om_otlp_sender_destroy(struct om_otlp_sender **self_p);

// Send a batch of `count` encoded spans, again as often as the collector asks for it and
// the batch's deadline allows. Counts what became of them (om_span_count). Returns NULL,
// or why they are lost, or what the collector said of them; until the next call.
const char *om_otlp_send(struct om_otlp_sender *self, struct om_str spans, size_t count);

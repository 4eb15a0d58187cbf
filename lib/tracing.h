// tracing.h - a process's spans leave it: to a collector, to a file on this machine.
//
// One thread of its own takes the spans (span.h), posts them in batches to the collector
// that OTEL_EXPORTER_OTLP_ENDPOINT names, and keeps the newest in a file of the folder
// OMNI_TRACE_DIR. With neither nothing is written and nothing runs. docs/tracing.md lists
// the settings. A collector that hangs, refuses or talks nonsense costs spans, which are
// counted (om_span_counts), and nothing else.
#pragma once
#include "span.h"

// Begin, as service "omni-SERVICE", instance `node`. Says in the log what is wrong with
// the settings, and goes on with what a default is for. Once in a process, before threads
// write spans; signals are blocked in its thread.
void om_tracing_start(const char *service, const char *node);

// Send what waits, for a second at most, and end. No thread may write spans any more.
// Returns what became of all.
struct om_span_counts om_tracing_stop(void);

// queue_stats.h - the broker's numbers of its queues as metrics: on its own page and on
// that of an edge that asked for them.
#pragma once
#include "metrics.h"

// `records` is an array of wire_queue records, as a QUEUES answer has it: the platform's
// queues, and tenants' own, those with most jobs first; beyond METRIC_TENANTS_MAX of
// them the rest are one line, "other".
void queue_stats(struct om_scrape *scrape, struct om_str records);

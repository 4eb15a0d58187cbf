// usage_stats.h - what billing counts of the usage it applies.
//
// An event is noted while its run is applied, and counted when the run is durable: a run
// that failed comes again. The service's one thread.
#pragma once
#include "uuid.h"

void usage_stats_note(const struct om_uuid *tenant, struct om_str meter,
                      int64_t quantity);
void usage_stats_repeat(void);

// The run ended: count what was noted, or forget it.
void usage_stats_end(bool applied);

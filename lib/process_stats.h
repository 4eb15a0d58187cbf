// process_stats.h - what the kernel says of this process: process_* of metric_list.h.
#pragma once
#include "metrics.h"

void process_stats(struct om_scrape *scrape);

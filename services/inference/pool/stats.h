// stats.h - what the pools count (lib/metric_list.h).
#pragma once
#include "pool.h"

void stats_open(void);

// A prediction, or a training, ended; `model` is NULL if none was found.
void stats_predicted(const struct om_call *call, enum om_rc rc,
                     const struct model_plugin *model, int64_t took_us);
void stats_trained(const struct om_call *call, enum om_rc rc,
                   const struct model_plugin *model, int64_t took_us);

// A trained model was asked for; and fetched.
void stats_asked(bool in_memory);
void stats_loaded(enum om_rc rc, int64_t took_us);

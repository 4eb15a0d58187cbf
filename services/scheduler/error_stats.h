// error_stats.h - what the metrics say of groups of errors. What is noted between begin
// and commit counts when the transaction has. One thread.
#pragma once
#include "error_group.h"

enum error_removed { ERROR_EXPIRED, ERROR_EVICTED, ERROR_REMOVALS };
enum error_dropped { ERROR_MALFORMED, ERROR_REPEATED, ERROR_DROPS };

void error_stats_begin(void);
void error_stats_counted(struct om_str source, int64_t count);
void error_stats_ungrouped(int64_t count);
void error_stats_dropped(enum error_dropped reason);
void error_stats_opened(bool platform, bool regressed);
void error_stats_removed(enum error_removed reason, int64_t count);
void error_stats_commit(void);

void error_stats_groups(const int64_t counts[ERROR_STATUSES]);

// stats.h - what the edge counts (lib/metric_list.h), for its page of metrics.
#pragma once
#include "exchange.h"
#include "metrics.h"

// Once, before the threads start; and before `ingest` goes.
void stats_open(struct ingest *ingest);
void stats_close(struct ingest *ingest);

// An exchange begins, is answered, and ends.
void stats_begin(void);
void stats_reply(const struct exchange *x, int status);
void stats_end(void);

// A request was refused that had no exchange.
void stats_refuse(int status);

// An error is answered, by its code.
void stats_error(const char *code);

// At the end of each turn of a thread's loop: what only it knows.
void stats_turn(struct edge *edge);

// window.h - records of the journal that are applied to the tables together.
//
// What a task went through between its start and its end leaves no trace if both are in
// one window: no marks, no row among the open tasks. An event that all its subscribers
// have applied before it is written leaves only its number. One thread.
#pragma once
#include "sqlite.h"

struct window;

// How far subscribers are, durably.
struct event_cursors {
    int64_t seqs[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
};

// NULL when there is no memory.
struct window *window_create(void);
void window_destroy(struct window **self_p);

// Begin a window. The cursors, which are borrowed, may be of records behind it.
void window_reset(struct window *self, const struct event_cursors *cursors);

// Add the changes of a record, which is borrowed until window_reset().
//   OM_EPROTO  it cannot be read
//   OM_EDB     no memory
OM_MUST_CHECK enum om_rc window_add(struct window *self, struct om_str body);

// Write all of it in one transaction, which also sets the number of the last record. The
// results of sqlite_end().
OM_MUST_CHECK enum om_rc window_apply(struct window *self, struct sqlite_store *tables,
                                      int64_t number);

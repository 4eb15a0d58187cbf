// applier.h - the thread that brings records of the journal into the tables. Private to
// the journal store.
//
// It alone writes the tables: it applies what waits, many records at a time, and then
// checkpoints, hands segments back to the journal, and purges when it has nothing to
// apply. A failure is tried again; meanwhile records wait, and none is lost.
#pragma once
#include "journal.h"
#include "journal_store.h"
#include "sqlite.h"

struct applier;

// An encoded batch. The committing thread's, which frees it when it is applied; until
// then the applier reads it.
struct record {
    struct record *kept;    // the committing thread's list
    struct record *waiting; // the applier's
    int64_t number;
    size_t memory; // bytes it takes
    size_t body_bytes;
    int64_t given_ms;
    size_t changes, cursors;
    size_t filled;                        // changes of the batch that were gone through
    bool reopens;                         // tasks that had ended
    _Alignas(JOURNAL_ALIGN) char bytes[]; // as journal_append() takes them
};

// Apply what the journal holds and the tables do not, durably. Before the thread is
// started.
OM_MUST_CHECK enum om_rc applier_recover(struct sqlite_store *tables,
                                         struct journal *journal, size_t window_bytes);

// All are borrowed. NULL when there is no memory or no thread.
struct applier *applier_start(struct sqlite_store *tables, struct journal *journal,
                              const struct journal_store_conf *conf);

// Apply what waits, if that works at once, and end the thread. Sets *self_p to NULL.
void applier_stop(struct applier **self_p);

// ---- the committing thread

bool applier_has_room(struct applier *self);

// Wait until there is room for one more record. Says how far the tables are, and what the
// greatest id in them is. Else the results of store_commit().
OM_MUST_CHECK enum om_rc applier_make_room(struct applier *self, int64_t *applied,
                                           struct om_uuid *greatest_id);

// Record `number` will open an ended task again: until it is applied, purge none.
void applier_hold_purge(struct applier *self, int64_t number);

// A subscriber has applied a shard's events up to here, durably: those that are not in
// the tables need not come there.
void applier_note_cursor(struct applier *self, const struct change_cursor *cursor);

// Have a durable record applied.
void applier_give(struct applier *self, struct record *record);

void applier_purge(struct applier *self, int64_t now_ms, int64_t retention_ms);

// ---- any thread

// Wait until all records given so far are applied; OM_EDB if that fails. For so long as
// `patience_ms` they are left to be applied with others.
OM_MUST_CHECK enum om_rc applier_catch_up(struct applier *self, int64_t patience_ms);

// Wait until there is nothing to do. The results of store_settle().
OM_MUST_CHECK enum om_rc applier_settle(struct applier *self);

// duplicates.h - was a task stored before? Private to the journal store; the committing
// thread's.
//
// What the journal holds and the tables do not is in memory; anything else is looked up
// in the tables, but for ids greater than all in them: ids rise with time, so those are
// most.
#pragma once
#include "known.h"
#include "sqlite.h"

struct duplicates {
    struct known *known;
    struct sqlite_store *tables; // borrowed
    struct om_uuid greatest_id;  // in the tables
    bool keyed; // there are tasks with unique keys: the end of one is to be remembered
};

// Prepare for the tasks of a batch.
void duplicates_expect(const struct duplicates *self, const struct batch *batch);

// Look for the task of a change by its id and its keys, and fill in what the store sets:
// of all tasks of its set, if it is the first of one. OM_EDB: the tables cannot be read.
OM_MUST_CHECK enum om_rc duplicates_check(struct duplicates *self, struct batch *batch,
                                          size_t place);

// Remember a change of record `number`, encoded as `bytes`, which are borrowed until
// known_forget(). False when there is no memory.
OM_MUST_CHECK bool duplicates_note(struct duplicates *self, const struct change *change,
                                   int64_t number, struct om_str bytes);

// journal.h - numbered records in segment files, appended and synced one at a time.
//
// A segment is a file of fixed size whose blocks were written once before its first use,
// so that syncing a record writes the record and nothing about the file. When its records
// are no longer needed it is used again, stale bytes and all: a record counts only if its
// checksum, keyed with the journal's id, is right and its number is the next one.
//
// A record is synced before the next one is written, so only the last one can be torn.
// Any trace of a later number says that a record which is missing was damaged after it
// was durable: a whole record, the head or the seal of a damaged one, or the mark, a file
// that says now and then how far the journal is.
//
// Threads: one appends, one maintains; journal_recover() comes before both.
#pragma once
#include <stdio.h>

#include "journal_io.h"
#include "rc.h"

struct journal;

struct journal_conf {
    const struct journal_io *io; // borrowed
    uint64_t id;                 // random, kept with the tables: whose journal it is
    size_t segment_bytes;
};

enum {
    JOURNAL_HEAD_BYTES = 24, // of a record, before its body
    JOURNAL_SEAL_BYTES = 16, // at its end
    JOURNAL_ALIGN = 512,     // records begin at a sector; in memory too, for direct I/O
};

// Open the journal in `folder`, made if it is not there. *why says the reason of a
// failure, as store_open()'s.
//   OM_ECONFLICT  of a newer program, or of another database
//   OM_ENOSPACE, OM_EDB
OM_MUST_CHECK enum om_rc journal_open(const char *folder, const struct journal_conf *conf,
                                      struct journal **out);

// Close; records stay. Sets *self_p to NULL.
void journal_close(struct journal **self_p);

// Give the body of each record behind `applied` to `visit`, in order, after they are
// synced: a process that died may have left them in memory. All segments are free
// afterwards if `visit` made durable what it was given. *last is the number of the last.
//   OM_EDB  a record is missing that was durable, or cannot be read
typedef enum om_rc journal_visit(void *context, int64_t number, struct om_str body);
OM_MUST_CHECK enum om_rc journal_recover(struct journal *self, int64_t applied,
                                         journal_visit *visit, void *context,
                                         int64_t *last);

// Room for a record: bytes to allocate for a body of `body_bytes`.
size_t journal_record_bytes(size_t body_bytes);

// Append a record whose body stands behind JOURNAL_HEAD_BYTES of `record`, which has
// journal_record_bytes() and is aligned to JOURNAL_ALIGN; and sync it. Appending thread.
//   OM_ENOSPACE   no segment can be made: nothing was written
//   OM_EDB        no segment can be made
//   OM_EINTERNAL  nobody knows whether it is on the disk; nothing can be appended any
//   more
OM_MUST_CHECK enum om_rc journal_append(struct journal *self, int64_t number,
                                        char *record, size_t body_bytes);

// Records up to `number` are no longer needed. Maintaining thread.
void journal_release(struct journal *self, int64_t number);

// Mark how far the journal is, if that is not marked: not synced, as it is only needed
// when something else is lost. Maintaining thread.
void journal_mark(struct journal *self);

// Bytes of the segments that are full and not released. Maintaining thread.
size_t journal_kept_bytes(struct journal *self);

// Make a segment before the appending thread needs it. True if one was made: then more
// may be needed. Maintaining thread.
bool journal_maintain(struct journal *self);

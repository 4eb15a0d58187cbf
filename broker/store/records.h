// records.h - memory for records, which go in the order they came.
//
// They are as large as a commit and aligned, and some tens of MiB of them may wait: as
// blocks of the heap they would leave it in pieces. They stand one behind the other in
// slabs, which go back to the system when many are free. The committing thread's.
#pragma once
#include "applier.h"

struct slab;

struct records {
    struct slab *first, *last; // in use, the one that is filled last
    struct slab *spare;        // none of their memory is used
    size_t spare_count;
    struct record *oldest, **end; // not forgotten yet
};

void records_init(struct records *self);
void records_finish(struct records *self);

// A new record for `body_bytes`, zeroed but for them. It is kept by records_keep(), or
// taken back before another is made. NULL when there is no memory.
struct record *records_create(struct records *self, int64_t number, size_t body_bytes);
void records_keep(struct records *self, struct record *record);
void records_take_back(struct records *self, struct record **record_p);

// Records up to this number are no longer needed.
void records_forget(struct records *self, int64_t number);

// journal_segment.h - the files of the journal and the form of a record in them. Private
// to journal*.c.
#pragma once
#include "journal.h"

enum { SEGMENT_HEAD_BYTES = JOURNAL_ALIGN };

struct segment {
    struct segment *next;
    int fd;
    int direct_fd; // writes past the page cache, synced each; -1: not possible
    unsigned name;
    bool old; // of a program that would not find the records of this one
    size_t bytes;
    int64_t last; // number of its last record
};

// What stands before the body of a record. `head_check` is over size and number, `check`
// over them and the body.
struct record_head {
    uint32_t head_check, body_bytes;
    uint64_t number;
    uint64_t check;
};

// Fill in the head and the seal of a record.
void record_seal(char *record, size_t body_bytes, int64_t number, uint64_t id);

// The number of the record of which there is a right head at the front of the sector, or
// a right seal at its end; 0 if none. What came before it was durable.
int64_t record_trace(const char sector[JOURNAL_ALIGN], uint64_t id);

// The record at the front of `bytes`, if there is a whole and right one behind number
// `after`: its body. An older one, or none: false.
bool record_open(struct om_str bytes, int64_t after, uint64_t id, int64_t *number,
                 struct om_str *body);

// Says that what comes before the number was durable.
struct journal_mark {
    int fd; // -1: it cannot be written
    int64_t number;
};

// Open the mark of the folder, made if it is not there; number 0 if it says nothing. It
// is never needed for itself, so that it cannot be opened is no failure.
struct journal_mark mark_open(const struct journal_conf *conf, const char *folder);
void mark_write(const struct journal_conf *conf, struct journal_mark *self,
                int64_t number);

// Make a segment of at least `bytes`, with a name nobody has yet.
OM_MUST_CHECK enum om_rc segment_create(const struct journal_conf *conf,
                                        const char *folder, unsigned name, size_t bytes,
                                        struct segment **out);

// Open a segment there is; OM_ECONFLICT if it is of another database or program.
OM_MUST_CHECK enum om_rc segment_open(const struct journal_conf *conf, const char *folder,
                                      unsigned name, struct segment **out);

// Close the file; sets *self_p to NULL. `remove` also removes it.
void segment_destroy(const struct journal_conf *conf, struct segment **self_p);
void segment_remove(const struct journal_conf *conf, const char *folder,
                    struct segment **self_p);

// Write a record and sync it. `record` and `size` are aligned to JOURNAL_ALIGN. *written:
// whether it was written, but for the sync.
int segment_append(const struct journal_conf *conf, struct segment *self,
                   const char *record, size_t size, size_t at, bool *written);

// Read what is there of `size` bytes, or -1.
ssize_t segment_read(const struct journal_conf *conf, const struct segment *self,
                     void *data, size_t size, size_t at);

// What errno of a failed call means.
enum om_rc journal_rc(int error);

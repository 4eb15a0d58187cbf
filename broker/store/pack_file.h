// pack_file.h - blocks of finished tasks in files of their own, beside the tables, which
// say where each is. Private to the store.
//
// In the tables each byte of a block would be written to SQLite's log, read back and
// written once more, each time through the page cache, and the log is synced while
// commits wait for the same disk. Here it is written once, past the cache. A file is only
// ever appended to, and removed when none of its blocks is needed.
//
// Blocks are on the disk before the transaction that names them is committed. What a file
// has more is of a transaction that never was, and written over by the next. A file that
// no row names is left from the end of a process, and removed at the next start.
//
// One thread writes. pack_files_read() and pack_files_remove() are any thread's.
#pragma once
#include "journal_io.h"
#include "rc.h"

struct pack_files;

// Where a block is; file 0: in its row.
struct pack_spot {
    int64_t file, at, size;
};

// Open the folder, made if it is not there; `named(context, file)` says which files are
// to stay. *why says the reason of a failure, as store_open()'s.
//   OM_ENOSPACE, OM_EDB
OM_MUST_CHECK enum om_rc pack_files_open(const char *folder, const struct journal_io *io,
                                         bool (*named)(void *context, int64_t file),
                                         void *context, struct pack_files **out);
void pack_files_close(struct pack_files **self_p);

// A window's blocks: begin, put the bytes of one after the other, and have them on the
// disk. pack_files_spot() is where the next byte goes. Then, when the transaction was
// committed, keep; else the next window is written over them. All return 0, or -1 and
// errno.
OM_MUST_CHECK int pack_files_begin(struct pack_files *self, size_t file_bytes);
struct pack_spot pack_files_spot(const struct pack_files *self);
OM_MUST_CHECK int pack_files_put(struct pack_files *self, struct om_str bytes);
OM_MUST_CHECK int pack_files_end(struct pack_files *self);
void pack_files_keep(struct pack_files *self);

// The file that is written to; 0: none.
int64_t pack_files_current(const struct pack_files *self);

// The bytes of a block, for the caller to free; NULL and errno if it cannot be read.
char *pack_files_read(const struct pack_files *self, const struct pack_spot *spot);

// Remove a file, if it is there.
void pack_files_remove(const struct pack_files *self, int64_t file);

// span_file.h - the newest spans of a process, in a file of fixed size.
//
// A ring of records, for `omni trace`: bounded in number and age, and a cache, never the
// record of anything. One process writes a file (flock); others may read it meanwhile:
// each record has a checksum, and one that is being written is skipped. The file goes on
// when its process starts again; one of another version is begun anew.
#pragma once
#include "rc.h"
#include "span.h"

struct om_span_file;

// Open DIR/NODE.spans, or NODE.2.spans and so on if another process writes that. NULL
// with the reason in `why`.
struct om_span_file *om_span_file_open(const char *dir, const char *node, size_t spans,
                                       int64_t keep_ms, char *why, size_t why_size);
void om_span_file_close(struct om_span_file **self_p);

// Keep a span; it is in the file after the flush. What cannot be written is not there.
void om_span_file_put(struct om_span_file *self, const struct om_span *span);
void om_span_file_flush(struct om_span_file *self);

// Forget what is older than it may be.
void om_span_file_sweep(struct om_span_file *self, int64_t now_us);

// ---- reading

struct om_span_line {
    const char *node; // of the process that wrote it
    struct om_span span;
};

// Call `fn` for each span of each file in `dir`, in no order. OM_ENOTFOUND: there is no
// such folder.
typedef void om_span_file_fn(void *context, const struct om_span_line *line);
OM_MUST_CHECK enum om_rc om_span_file_read(const char *dir, om_span_file_fn *fn,
                                           void *context);

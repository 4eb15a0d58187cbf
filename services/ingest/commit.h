// commit.h - makes an uploaded blob durable, which takes a disk's time, in another
// thread: nobody's request waits for it but its own.
#pragma once
#include "blob.h"

struct exchange;
struct commit;

typedef void commit_fn(struct exchange *x, const struct om_blob_info *info);

// Commit the blob of the exchange's upload and go on with `fn`; on failure reply. `param`
// (may be NULL) is what the error names. An exchange whose client leaves is finished.
void commit_upload(struct exchange *x, const char *param, commit_fn *fn);

// The exchange ends before: the blob is committed all the same, and swept some day.
void commit_forget(struct commit *self);

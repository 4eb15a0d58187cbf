// blob.h - bytes larger than a message, kept under their owner service and tenant.
//
// A blob is written once and never changed: it is invisible until its commit, and durable
// after it. Messages carry its reference, "registry/ten_…/blob_…"; only the owner
// deletes.
//
// Where blobs are is said by a URL:
//   dir:/path           files below a directory: PATH/<owner>/<tenant>/<id>
//   http(s)://host:port the edge's route below, for workers that share no directory
//
//   GET {base}/internal/blobs/{ref}  200 with Content-Length and the bytes
//   PUT {base}/internal/blobs/{ref}  Content-Length, the bytes; 200 with the JSON object
//                                    {"ref":…,"bytes":…,"sha256":"64 hexadecimal digits"}
//   Authorization: Bearer <grant> on both (grant.h). The tenant of the grant must be the
//   reference's and the right READ or WRITE; a grant holds until it expires. Errors:
//   400 no reference, 401 no valid grant, 403 not what it grants, 404, 413 too large,
//   422 the reference exists with other bytes, 5xx: tried again. The client makes the
//   reference, so a repeated PUT is harmless.
//
// A store may be used from any thread; a writer, reader or walk belongs to one.
#pragma once
#include "peer.h"
#include "uuid.h"

enum {
    OM_BLOB_REF_MAX = 128,               // text with its final zero
    OM_BLOB_BYTES_MAX = 1 << 30,         // of one blob
    OM_BLOB_GRACE_MS = 24 * 3600 * 1000, // an owner sweeps only what is older
};

// A decoded reference. Its text and its path are made from these, never copied from
// input.
struct om_blob_ref {
    enum role owner;
    struct om_uuid tenant, id;
};

struct om_blob_info {
    int64_t bytes;
    char sha256[65]; // hexadecimal, with a final zero
};

// A new reference.
struct om_blob_ref om_blob_ref_new(enum role owner, const struct om_uuid *tenant);

// Write its text with a final zero; returns its length.
size_t om_blob_ref_text(const struct om_blob_ref *ref, char out[OM_BLOB_REF_MAX]);

// Read a reference that someone acting for `tenant` has sent.
//   OM_EINVAL    not a reference
//   OM_ENOTFOUND another tenant's: to this one it does not exist
OM_MUST_CHECK enum om_rc om_blob_ref_parse(struct om_str text,
                                           const struct om_uuid *tenant,
                                           struct om_blob_ref *out);

// For whom a store over HTTP works; a directory needs none of it (NULL).
struct om_blob_caller {
    struct om_str grant;
    bool (*cancelled)(void *context); // asked several times a second; may be NULL
    void *context;
};

struct om_blob_store;

// Make a directory that is not there. OM_EINVAL with the reason in `why` if the URL
// cannot be used.
OM_MUST_CHECK enum om_rc om_blob_store_create(const char *url, struct om_blob_store **out,
                                              char *why, size_t why_size);

void om_blob_store_destroy(struct om_blob_store **self_p);

struct om_blob_writer;

// Begin a blob. Over HTTP the bytes gather in a temporary file until the commit.
// `caller` is borrowed until the writer's end.
OM_MUST_CHECK enum om_rc om_blob_begin(struct om_blob_store *store,
                                       const struct om_blob_caller *caller,
                                       const struct om_blob_ref *ref,
                                       struct om_blob_writer **out);

// Append. OM_ETOOBIG: more than OM_BLOB_BYTES_MAX.
OM_MUST_CHECK enum om_rc om_blob_write(struct om_blob_writer *self, struct om_str bytes);

// Make it durable and visible; `info` may be NULL. Takes the writer whatever the outcome.
//   OM_EREUSED   there is a blob of this reference with other bytes; with the same: OM_OK
//   OM_ENOSPACE, OM_EDB, OM_EUNAVAILABLE, OM_ETIMEOUT: repeating all of it is safe
OM_MUST_CHECK enum om_rc om_blob_commit(struct om_blob_writer **self_p,
                                        struct om_blob_info *info);

// Drop it, if it is not committed: nothing of it stays.
void om_blob_abort(struct om_blob_writer **self_p);

// All three in one.
OM_MUST_CHECK enum om_rc om_blob_put(struct om_blob_store *store,
                                     const struct om_blob_caller *caller,
                                     const struct om_blob_ref *ref, struct om_str bytes,
                                     struct om_blob_info *info);

struct om_blob_reader;

// Open a blob for reading. `sha256` (may be NULL) is what its bytes must hash to.
// Over HTTP it is whole on this machine when this returns.
OM_MUST_CHECK enum om_rc om_blob_open(struct om_blob_store *store,
                                      const struct om_blob_caller *caller,
                                      const struct om_blob_ref *ref, const char *sha256,
                                      struct om_blob_reader **out);

int64_t om_blob_reader_bytes(const struct om_blob_reader *self);

// Read up to `size` bytes; *got is 0 at the end. OM_EINTERNAL at the end: the bytes are
// not those of `sha256`.
OM_MUST_CHECK enum om_rc om_blob_read(struct om_blob_reader *self, void *out, size_t size,
                                      size_t *got);

void om_blob_reader_destroy(struct om_blob_reader **self_p);

// Append a whole blob to `out`. OM_ETOOBIG: larger than `max_bytes`.
OM_MUST_CHECK enum om_rc om_blob_get(struct om_blob_store *store,
                                     const struct om_blob_caller *caller,
                                     const struct om_blob_ref *ref, const char *sha256,
                                     size_t max_bytes, struct om_buf *out);

// ---- for the owner, and in a directory only: others give OM_EUNSUPPORTED

// Its size, or OM_ENOTFOUND.
OM_MUST_CHECK enum om_rc om_blob_stat(struct om_blob_store *store,
                                      const struct om_blob_ref *ref, int64_t *bytes);

// Delete; what is not there is deleted.
OM_MUST_CHECK enum om_rc om_blob_delete(struct om_blob_store *store,
                                        const struct om_blob_ref *ref);

// A walk over all of an owner's blobs and the remains of writers that died, in no order.
struct om_blob_walk;

struct om_blob_entry {
    struct om_blob_ref ref;
    bool partial;        // a writer's temporary file
    int64_t modified_ms; // wall clock
};

OM_MUST_CHECK enum om_rc om_blob_walk_create(struct om_blob_store *store, enum role owner,
                                             struct om_blob_walk **out);

// The next one; false at the end.
bool om_blob_walk_next(struct om_blob_walk *self, struct om_blob_entry *out);

// Delete the one that om_blob_walk_next() gave last.
void om_blob_walk_delete(struct om_blob_walk *self);

void om_blob_walk_destroy(struct om_blob_walk **self_p);

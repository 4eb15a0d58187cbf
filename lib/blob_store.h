// blob_store.h - what the kinds of blob store have in common, and where they differ.
// Only for blob.c, blob_dir.c and blob_http.c.
//
// Writers and readers work on a file of this machine: the blob's own or its temporary one
// in a directory, an unnamed temporary file over HTTP.
#pragma once
#include <openssl/evp.h>

#include "blob.h"

struct om_blob_store {
    const struct blob_store_kind *kind;
    char *base; // directory or URL, without a final slash
};

struct om_blob_writer {
    struct om_blob_store *store;
    const struct om_blob_caller *caller;
    struct om_blob_ref ref;
    int fd;
    EVP_MD_CTX *hash;
    enum om_rc failed; // of the first write that failed
    struct om_blob_info info;
    char *temporary; // path in a directory, else NULL
};

struct om_blob_reader {
    int fd;
    EVP_MD_CTX *hash; // NULL: not checked
    int64_t bytes;
    char sha256[65];
};

struct blob_store_kind {
    const char *scheme; // "dir:"
    enum om_rc (*check)(struct om_blob_store *store, char *why, size_t why_size);

    // Open writer->fd, for reading too.
    enum om_rc (*begin)(struct om_blob_writer *writer);
    // Store the whole of writer->fd, whose writer->info is known.
    enum om_rc (*commit)(struct om_blob_writer *writer);
    // Remove what begin made, after a commit too.
    void (*discard)(struct om_blob_writer *writer);

    // Give a descriptor for reading from the start.
    enum om_rc (*open)(struct om_blob_store *store, const struct om_blob_caller *caller,
                       const struct om_blob_ref *ref, int *fd);
};

extern const struct blob_store_kind blob_dir_kind;
extern const struct blob_store_kind blob_http_kind;
extern const struct blob_store_kind blob_https_kind;

// The result for a failed system call.
enum om_rc blob_rc_of_errno(int error);

// Hash the whole of a file.
enum om_rc blob_hash_file(int fd, struct om_blob_info *info);

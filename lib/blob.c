#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_store.h"
#include "id.h"

static const struct blob_store_kind *const kinds[] = { &blob_dir_kind, &blob_http_kind,
                                                       &blob_https_kind };

struct om_blob_ref
om_blob_ref_new(enum role owner, const struct om_uuid *tenant)
{
    return (struct om_blob_ref){ owner, *tenant, om_id_new(om_uuid_shard(tenant)) };
}

size_t
om_blob_ref_text(const struct om_blob_ref *ref, char out[OM_BLOB_REF_MAX])
{
    char tenant[OM_TYPEID_MAX], id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &ref->tenant, tenant);
    om_typeid_encode(OM_ID_BLOB, &ref->id, id);
    return (size_t)snprintf(out, OM_BLOB_REF_MAX, "%s/%s/%s", role_name(ref->owner),
                            tenant, id);
}

// Cut the part before the next slash off `rest`.
static struct om_str
next_part(struct om_str *rest)
{
    const char *slash = rest->size ? memchr(rest->data, '/', rest->size) : NULL;
    struct om_str part = { rest->data,
                           slash ? (size_t)(slash - rest->data) : rest->size };
    size_t step = part.size + (slash ? 1 : 0);
    rest->data += step;
    rest->size -= step;
    return part;
}

enum om_rc
om_blob_ref_parse(struct om_str text, const struct om_uuid *tenant,
                  struct om_blob_ref *out)
{
    struct om_str rest = text;
    if (text.size >= OM_BLOB_REF_MAX)
        return OM_EINVAL;
    enum role owner = role_find(next_part(&rest));
    struct om_blob_ref ref = { .owner = owner };
    if (!(ROLES_PLATFORM >> owner & 1) ||
        om_typeid_decode(OM_ID_TENANT, next_part(&rest), &ref.tenant) != OM_OK ||
        om_typeid_decode(OM_ID_BLOB, rest, &ref.id) != OM_OK ||
        om_uuid_shard(&ref.id) != om_uuid_shard(&ref.tenant))
        return OM_EINVAL;
    if (!om_uuid_eq(&ref.tenant, tenant))
        return OM_ENOTFOUND;
    *out = ref;
    return OM_OK;
}

enum om_rc
om_blob_store_create(const char *url, struct om_blob_store **out, char *why,
                     size_t why_size)
{
    *out = NULL;
    struct om_blob_store *self = calloc(1, sizeof(*self));
    if (!self || !(self->base = strdup(url)))
        abort();
    for (size_t i = 0; i < OM_COUNT(kinds); i++)
        if (strncmp(url, kinds[i]->scheme, strlen(kinds[i]->scheme)) == 0)
            self->kind = kinds[i];
    size_t size = strlen(self->base);
    while (size > 1 && self->base[size - 1] == '/')
        self->base[--size] = '\0';
    enum om_rc rc = OM_EINVAL;
    if (self->kind)
        rc = self->kind->check(self, why, why_size);
    else
        snprintf(why, why_size,
                 "\"%s\" is no place for blobs: use dir:PATH or http://HOST:PORT", url);
    if (rc != OM_OK)
        om_blob_store_destroy(&self);
    *out = self;
    return rc;
}

void
om_blob_store_destroy(struct om_blob_store **self_p)
{
    if (*self_p) {
        free((*self_p)->base);
        free(*self_p);
        *self_p = NULL;
    }
}

enum om_rc
blob_rc_of_errno(int error)
{
    switch (error) {
    case ENOENT:
        return OM_ENOTFOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return OM_ENOSPACE;
    default:
        return OM_EDB;
    }
}

static EVP_MD_CTX *
hash_create(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha256(), NULL))
        abort(); // no memory, or a libcrypto without SHA-256
    return hash;
}

static void
hash_text(EVP_MD_CTX *hash, char out[65])
{
    uint8_t digest[32];
    EVP_DigestFinal_ex(hash, digest, NULL);
    om_hex(digest, sizeof(digest), out);
}

enum om_rc
blob_hash_file(int fd, struct om_blob_info *info)
{
    static _Thread_local char chunk[64 * 1024];
    EVP_MD_CTX *hash = hash_create();
    info->bytes = 0;
    ssize_t got;
    while ((got = pread(fd, chunk, sizeof(chunk), info->bytes)) > 0) {
        EVP_DigestUpdate(hash, chunk, (size_t)got);
        info->bytes += got;
    }
    hash_text(hash, info->sha256);
    EVP_MD_CTX_free(hash);
    return got < 0 ? blob_rc_of_errno(errno) : OM_OK;
}

enum om_rc
om_blob_begin(struct om_blob_store *store, const struct om_blob_caller *caller,
              const struct om_blob_ref *ref, struct om_blob_writer **out)
{
    struct om_blob_writer *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->store = store;
    self->caller = caller;
    self->ref = *ref;
    self->fd = -1;
    self->hash = hash_create();
    enum om_rc rc = store->kind->begin(self);
    if (rc != OM_OK)
        om_blob_abort(&self);
    *out = self;
    return rc;
}

enum om_rc
om_blob_write(struct om_blob_writer *self, struct om_str bytes)
{
    if (self->failed == OM_OK &&
        bytes.size > (size_t)(OM_BLOB_BYTES_MAX - self->info.bytes))
        self->failed = OM_ETOOBIG;
    while (self->failed == OM_OK && bytes.size > 0) {
        ssize_t wrote = write(self->fd, bytes.data, bytes.size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            self->failed = blob_rc_of_errno(errno);
            break;
        }
        EVP_DigestUpdate(self->hash, bytes.data, (size_t)wrote);
        self->info.bytes += wrote;
        bytes.data += wrote;
        bytes.size -= (size_t)wrote;
    }
    return self->failed;
}

enum om_rc
om_blob_commit(struct om_blob_writer **self_p, struct om_blob_info *info)
{
    struct om_blob_writer *self = *self_p;
    enum om_rc rc = self->failed;
    if (rc == OM_OK) {
        hash_text(self->hash, self->info.sha256);
        rc = self->store->kind->commit(self);
    }
    if (info)
        *info = rc == OM_OK ? self->info : (struct om_blob_info){ 0 };
    om_blob_abort(self_p);
    return rc;
}

void
om_blob_abort(struct om_blob_writer **self_p)
{
    struct om_blob_writer *self = *self_p;
    if (!self)
        return;
    self->store->kind->discard(self);
    if (self->fd >= 0)
        close(self->fd);
    EVP_MD_CTX_free(self->hash);
    free(self->temporary);
    free(self);
    *self_p = NULL;
}

enum om_rc
om_blob_put(struct om_blob_store *store, const struct om_blob_caller *caller,
            const struct om_blob_ref *ref, struct om_str bytes, struct om_blob_info *info)
{
    OM_AUTO(om_blob_abort) struct om_blob_writer *writer = NULL;
    enum om_rc rc = om_blob_begin(store, caller, ref, &writer);
    if (rc == OM_OK)
        rc = om_blob_write(writer, bytes);
    return rc == OM_OK ? om_blob_commit(&writer, info) : rc;
}

enum om_rc
om_blob_open(struct om_blob_store *store, const struct om_blob_caller *caller,
             const struct om_blob_ref *ref, const char *sha256,
             struct om_blob_reader **out)
{
    *out = NULL;
    int fd = -1;
    struct stat status;
    enum om_rc rc = store->kind->open(store, caller, ref, &fd);
    if (rc != OM_OK)
        return rc;
    if (fstat(fd, &status) != 0) {
        close(fd);
        return OM_EDB;
    }
    struct om_blob_reader *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->fd = fd;
    self->bytes = status.st_size;
    if (sha256) {
        self->hash = hash_create();
        snprintf(self->sha256, sizeof(self->sha256), "%s", sha256);
    }
    *out = self;
    return OM_OK;
}

int64_t
om_blob_reader_bytes(const struct om_blob_reader *self)
{
    return self->bytes;
}

enum om_rc
om_blob_read(struct om_blob_reader *self, void *out, size_t size, size_t *got)
{
    ssize_t count;
    do
        count = read(self->fd, out, size);
    while (count < 0 && errno == EINTR);
    *got = count > 0 ? (size_t)count : 0;
    if (count < 0)
        return blob_rc_of_errno(errno);
    if (!self->hash)
        return OM_OK;
    if (count > 0) {
        EVP_DigestUpdate(self->hash, out, *got);
        return OM_OK;
    }
    char sha256[65];
    hash_text(self->hash, sha256);
    EVP_MD_CTX_free(self->hash);
    self->hash = NULL;
    return strcmp(sha256, self->sha256) == 0 ? OM_OK : OM_EINTERNAL;
}

void
om_blob_reader_destroy(struct om_blob_reader **self_p)
{
    struct om_blob_reader *self = *self_p;
    if (!self)
        return;
    close(self->fd);
    EVP_MD_CTX_free(self->hash);
    free(self);
    *self_p = NULL;
}

enum om_rc
om_blob_get(struct om_blob_store *store, const struct om_blob_caller *caller,
            const struct om_blob_ref *ref, const char *sha256, size_t max_bytes,
            struct om_buf *out)
{
    OM_AUTO(om_blob_reader_destroy) struct om_blob_reader *reader = NULL;
    enum om_rc rc = om_blob_open(store, caller, ref, sha256, &reader);
    if (rc == OM_OK && reader->bytes > (int64_t)max_bytes)
        rc = OM_ETOOBIG;
    char chunk[16 * 1024];
    for (size_t got = 1; rc == OM_OK && got > 0;) {
        rc = om_blob_read(reader, chunk, sizeof(chunk), &got);
        om_buf_put(out, chunk, got);
    }
    return rc == OM_OK && out->failed ? OM_EINTERNAL : rc;
}

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob_store.h"
#include "id.h"

enum { SCHEME_SIZE = sizeof("dir:") - 1 };

static const char *
root_of(const struct om_blob_store *store)
{
    return store->base + SCHEME_SIZE;
}

// A path below the store's directory, made of role names and ids only; the caller frees
// it. Levels: 1 the owner's directory, 2 the tenant's, 3 the blob.
static char *
path_of(const struct om_blob_store *store, const struct om_blob_ref *ref, int levels)
{
    char text[OM_BLOB_REF_MAX], *path;
    om_blob_ref_text(ref, text);
    char *end = text;
    for (int level = 0; level < levels; level++)
        end = strchrnul(end + (level > 0), '/');
    *end = '\0';
    if (asprintf(&path, "%s/%s", root_of(store), text) < 0)
        abort();
    return path;
}

static void
free_path(char **path_p)
{
    free(*path_p);
}

// Make the names in a directory durable.
static enum om_rc
sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return blob_rc_of_errno(errno);
    enum om_rc rc = fsync(fd) == 0 ? OM_OK : OM_EDB;
    close(fd);
    return rc;
}

static bool
make_dir(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static enum om_rc
dir_check(struct om_blob_store *store, char *why, size_t why_size)
{
    const char *root = root_of(store);
    if (make_dir(root) && access(root, R_OK | W_OK | X_OK) == 0)
        return OM_OK;
    snprintf(why, why_size, "cannot use \"%s\" as a directory for blobs: %s", root,
             strerror(errno));
    return OM_EINVAL;
}

static enum om_rc
dir_begin(struct om_blob_writer *writer)
{
    OM_AUTO(free_path) char *owner = path_of(writer->store, &writer->ref, 1);
    OM_AUTO(free_path) char *tenant = path_of(writer->store, &writer->ref, 2);
    if (!make_dir(owner) || !make_dir(tenant))
        return blob_rc_of_errno(errno);

    uint8_t random[8];
    char suffix[17], id[OM_TYPEID_MAX];
    om_random(random, sizeof(random));
    om_hex(random, sizeof(random), suffix);
    om_typeid_encode(OM_ID_BLOB, &writer->ref.id, id);
    if (asprintf(&writer->temporary, "%s/.%s.%s", tenant, id, suffix) < 0)
        abort();
    writer->fd =
        open(writer->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return writer->fd < 0 ? blob_rc_of_errno(errno) : OM_OK;
}

// The blob is there already: are its bytes the writer's?
static enum om_rc
compare(const struct om_blob_writer *writer, const char *path)
{
    struct om_blob_info there;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return blob_rc_of_errno(errno);
    enum om_rc rc = blob_hash_file(fd, &there);
    close(fd);
    if (rc != OM_OK)
        return rc;
    return strcmp(there.sha256, writer->info.sha256) == 0 ? OM_OK : OM_EREUSED;
}

// A link, unlike a rename, never replaces what is there.
static enum om_rc
dir_commit(struct om_blob_writer *writer)
{
    OM_AUTO(free_path) char *path = path_of(writer->store, &writer->ref, 3);
    OM_AUTO(free_path) char *tenant = path_of(writer->store, &writer->ref, 2);
    OM_AUTO(free_path) char *owner = path_of(writer->store, &writer->ref, 1);
    if (fsync(writer->fd) != 0)
        return blob_rc_of_errno(errno);
    enum om_rc rc = OM_OK;
    if (link(writer->temporary, path) != 0)
        rc = errno == EEXIST ? compare(writer, path) : blob_rc_of_errno(errno);
    if (rc == OM_OK)
        rc = sync_dir(tenant);
    if (rc == OM_OK)
        rc = sync_dir(owner);
    return rc == OM_OK ? sync_dir(root_of(writer->store)) : rc;
}

static void
dir_discard(struct om_blob_writer *writer)
{
    if (writer->fd >= 0)
        unlink(writer->temporary);
}

static enum om_rc
dir_open(struct om_blob_store *store, const struct om_blob_caller *caller,
         const struct om_blob_ref *ref, int *fd)
{
    (void)caller;
    OM_AUTO(free_path) char *path = path_of(store, ref, 3);
    *fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return *fd < 0 ? blob_rc_of_errno(errno) : OM_OK;
}

const struct blob_store_kind blob_dir_kind = {
    "dir:", dir_check, dir_begin, dir_commit, dir_discard, dir_open,
};

enum om_rc
om_blob_stat(struct om_blob_store *store, const struct om_blob_ref *ref, int64_t *bytes)
{
    if (store->kind != &blob_dir_kind)
        return OM_EUNSUPPORTED;
    OM_AUTO(free_path) char *path = path_of(store, ref, 3);
    struct stat status;
    if (stat(path, &status) != 0)
        return blob_rc_of_errno(errno);
    *bytes = status.st_size;
    return OM_OK;
}

enum om_rc
om_blob_delete(struct om_blob_store *store, const struct om_blob_ref *ref)
{
    if (store->kind != &blob_dir_kind)
        return OM_EUNSUPPORTED;
    OM_AUTO(free_path) char *path = path_of(store, ref, 3);
    return unlink(path) == 0 || errno == ENOENT ? OM_OK : blob_rc_of_errno(errno);
}

// `tenants` reads the owner's directory, `blobs` that of the tenant in `ref`.
struct om_blob_walk {
    enum role owner;
    DIR *tenants, *blobs;
    struct om_blob_ref ref;
    char name[256]; // of the entry given last
};

enum om_rc
om_blob_walk_create(struct om_blob_store *store, enum role owner,
                    struct om_blob_walk **out)
{
    *out = NULL;
    if (store->kind != &blob_dir_kind)
        return OM_EUNSUPPORTED;
    struct om_blob_walk *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->ref.owner = owner;
    OM_AUTO(free_path) char *path = path_of(store, &self->ref, 1);
    self->tenants = opendir(path);
    if (!self->tenants && errno != ENOENT) {
        free(self);
        return blob_rc_of_errno(errno);
    }
    *out = self;
    return OM_OK;
}

static bool
next_tenant(struct om_blob_walk *self)
{
    if (self->blobs)
        closedir(self->blobs);
    self->blobs = NULL;
    for (struct dirent *at; self->tenants && (at = readdir(self->tenants));) {
        if (om_typeid_decode(OM_ID_TENANT, om_str(at->d_name), &self->ref.tenant) !=
            OM_OK)
            continue;
        int fd = openat(dirfd(self->tenants), at->d_name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        self->blobs = fd < 0 ? NULL : fdopendir(fd);
        if (self->blobs)
            return true;
        if (fd >= 0)
            close(fd);
    }
    return false;
}

// Is it the name of a blob, or of a writer's temporary file: a dot, the id, a dot,
// digits?
static bool
read_name(const char *name, struct om_blob_entry *out)
{
    struct om_str id = om_str(name);
    out->partial = name[0] == '.';
    if (out->partial) {
        id.data++;
        id.size = (size_t)(strchrnul(id.data, '.') - id.data);
    }
    return om_typeid_decode(OM_ID_BLOB, id, &out->ref.id) == OM_OK;
}

bool
om_blob_walk_next(struct om_blob_walk *self, struct om_blob_entry *out)
{
    while (self->blobs || next_tenant(self)) {
        struct dirent *at = readdir(self->blobs);
        struct stat status;
        if (!at) {
            closedir(self->blobs);
            self->blobs = NULL;
            continue;
        }
        out->ref = self->ref;
        if (!read_name(at->d_name, out) ||
            fstatat(dirfd(self->blobs), at->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        out->modified_ms =
            (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
        snprintf(self->name, sizeof(self->name), "%s", at->d_name);
        return true;
    }
    return false;
}

void
om_blob_walk_delete(struct om_blob_walk *self)
{
    if (self->blobs && self->name[0])
        unlinkat(dirfd(self->blobs), self->name, 0);
}

void
om_blob_walk_destroy(struct om_blob_walk **self_p)
{
    struct om_blob_walk *self = *self_p;
    if (!self)
        return;
    if (self->blobs)
        closedir(self->blobs);
    if (self->tenants)
        closedir(self->tenants);
    free(self);
    *self_p = NULL;
}

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "grant.h"
#include "home.h"
#include "id.h"

// The path of a unix socket has 108 bytes; "/broker" and the like come behind the
// folder's.
enum { SOCKETS_DIR_MAX = 90, LOCK_TEXT_MAX = 1024 };

// With less, one database or another could not be opened.
enum { FREE_MIN_MIB = 16 };

static enum om_rc
refuse(char *why, size_t why_size, const char *what, const char *path)
{
    int error = errno;
    snprintf(why, why_size, "cannot %s %s: %s", what, path, strerror(error));
    return error == ENOSPC || error == EDQUOT ? OM_ENOSPACE : OM_EDB;
}

// Like mkdir -p, all that is made only for this user.
static bool
make_dirs(const char *path)
{
    char part[PATH_MAX];
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part)) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *at = part + 1; *at; at++)
        if (*at == '/') {
            *at = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST)
                return false;
            *at = '/';
        }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

// A folder nobody else can put sockets into.
static bool
make_private(const char *path)
{
    struct stat info;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return false;
    if (lstat(path, &info) != 0)
        return false;
    if (!S_ISDIR(info.st_mode) || info.st_uid != geteuid()) {
        errno = EPERM;
        return false;
    }
    return (info.st_mode & 077) == 0 || chmod(path, 0700) == 0;
}

// DIR/run, or where that is too long for a socket's path: a folder named after DIR.
static enum om_rc
choose_sockets(struct home *self, char *why, size_t why_size)
{
    int size = snprintf(self->sockets, sizeof(self->sockets), "%s/run", self->dir);
    if (size > SOCKETS_DIR_MAX) {
        const char *base = getenv("XDG_RUNTIME_DIR");
        if (!base || *base != '/' || strlen(base) > SOCKETS_DIR_MAX - 32)
            base = "/tmp";
        uint8_t digest[32];
        char name[17];
        om_sha256(om_str(self->dir), digest);
        om_hex(digest, 8, name);
        snprintf(self->sockets, sizeof(self->sockets), "%s/omni-%s", base, name);
    }
    if (!make_private(self->sockets))
        return refuse(why, why_size, "make", self->sockets);
    return OM_OK;
}

static bool
read_lock(int fd, char text[LOCK_TEXT_MAX])
{
    ssize_t size = pread(fd, text, LOCK_TEXT_MAX - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return size > 0;
}

// The value of a line "name=value".
static bool
find_line(const char *text, const char *name, char *out, size_t out_size)
{
    size_t name_size = strlen(name);
    for (const char *at = text; *at; at++) {
        size_t size = strcspn(at, "\n");
        if (at[size] != '\n')
            return false;
        if (size > name_size && size - name_size <= out_size && at[name_size] == '=' &&
            memcmp(at, name, name_size) == 0) {
            memcpy(out, at + name_size + 1, size - name_size - 1);
            out[size - name_size - 1] = '\0';
            return true;
        }
        at += size;
    }
    return false;
}

static enum om_rc
write_lock(const struct home *self, const char *url, char *why, size_t why_size)
{
    char text[LOCK_TEXT_MAX];
    int size = snprintf(text, sizeof(text), "pid=%d\n", (int)getpid());
    if (url)
        size = snprintf(text, sizeof(text),
                        "pid=%d\nOMNI_URL=%s\nOMNI_BROKER=ipc://%s/broker\n"
                        "OMNI_BROKER_WORK=ipc://%s/work\n",
                        (int)getpid(), url, self->sockets, self->sockets);
    if (ftruncate(self->lock_fd, 0) != 0 ||
        pwrite(self->lock_fd, text, (size_t)size, 0) != size)
        return refuse(why, why_size, "write to", self->dir);
    return OM_OK;
}

static enum om_rc
lock(struct home *self, char *why, size_t why_size)
{
    char path[PATH_MAX + 16], text[LOCK_TEXT_MAX], pid[16] = "unknown";
    snprintf(path, sizeof(path), "%s/omni.lock", self->dir);
    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (self->lock_fd < 0)
        return refuse(why, why_size, "write to", path);
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(self->lock_fd, F_OFD_SETLK, &whole) == 0)
        return write_lock(self, NULL, why, why_size);
    if (errno != EAGAIN && errno != EACCES)
        return refuse(why, why_size, "lock", path);
    if (read_lock(self->lock_fd, text))
        find_line(text, "pid", pid, sizeof(pid));
    snprintf(why, why_size, "%s is in use by another omni up, process %s", self->dir,
             pid);
    return OM_ECONFLICT;
}

static enum om_rc
check_space(const struct home *self, char *why, size_t why_size)
{
    struct statvfs disk;
    if (statvfs(self->dir, &disk) != 0)
        return refuse(why, why_size, "look at", self->dir);
    unsigned long long free_mib = (unsigned long long)disk.f_bavail * disk.f_frsize >> 20;
    if (free_mib >= FREE_MIN_MIB)
        return OM_OK;
    snprintf(why, why_size,
             "only %llu MiB are free on the disk of %s, and Omni needs %d to start: free "
             "some",
             free_mib, self->dir, FREE_MIN_MIB);
    return OM_ENOSPACE;
}

static enum om_rc
fill(const struct home *self, char *why, size_t why_size)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/blobs", self->dir);
    if (!make_dirs(path))
        return refuse(why, why_size, "make", path);
    snprintf(path, sizeof(path), "%s/secret", self->dir);
    enum om_rc rc = om_secret_create(path, why, why_size);
    return rc == OM_EDUP ? OM_OK : rc;
}

enum om_rc
home_open(struct home *out, const char *dir, char *why, size_t why_size)
{
    out->lock_fd = -1;
    if (!make_dirs(dir) || !realpath(dir, out->dir))
        return refuse(why, why_size, "make the data folder", dir);
    enum om_rc rc = check_space(out, why, why_size);
    if (rc == OM_OK)
        rc = lock(out, why, why_size);
    if (rc == OM_OK)
        rc = choose_sockets(out, why, why_size);
    if (rc == OM_OK)
        rc = fill(out, why, why_size);
    if (rc != OM_OK)
        home_close(out);
    return rc;
}

enum om_rc
home_publish(const struct home *self, const char *url, char *why, size_t why_size)
{
    return write_lock(self, url, why, why_size);
}

void
home_close(struct home *self)
{
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    self->lock_fd = -1;
}

bool
home_find_url(const char *dir, char *url, size_t url_size)
{
    char path[PATH_MAX], text[LOCK_TEXT_MAX];
    snprintf(path, sizeof(path), "%s/omni.lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    // Asking leaves the lock alone. Held by nobody, what the file says is of the past.
    struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    bool running = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    bool found =
        running && read_lock(fd, text) && find_line(text, "OMNI_URL", url, url_size);
    close(fd);
    return found;
}

bool
home_read_key(const char *dir, char *key, size_t key_size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/admin.key", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, key, key_size - 1);
    close(fd);
    key[size > 0 ? size : 0] = '\0';
    key[strcspn(key, " \r\n")] = '\0';
    return *key != '\0';
}

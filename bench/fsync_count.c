// fsync_count.c - counts fsync, fdatasync and writes to files opened with O_DSYNC, of the
// program it is loaded into with LD_PRELOAD, in the file that OMNI_BENCH_FSYNCS names.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

static _Atomic int64_t *count;
static _Atomic bool synced[FDS_MAX]; // each write to it is

__attribute__((constructor)) static void
map_count(void)
{
    const char *path = getenv("OMNI_BENCH_FSYNCS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        count = page;
}

static int
counted(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (count)
        atomic_fetch_add(count, 1);
    return real(fd);
}

int
fsync(int fd)
{
    return counted("fsync", fd);
}

int
fdatasync(int fd)
{
    return counted("fdatasync", fd);
}

int
open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) =
        (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    va_list args;
    va_start(args, flags);
    int fd = real(path, flags, va_arg(args, mode_t)); // garbage unless it is used
    va_end(args);
    if (fd >= 0 && fd < FDS_MAX)
        synced[fd] = flags & O_DSYNC;
    return fd;
}

int
close(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "close");
    if (fd >= 0 && fd < FDS_MAX)
        synced[fd] = false;
    return real(fd);
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) =
        (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (count && fd >= 0 && fd < FDS_MAX && synced[fd])
        atomic_fetch_add(count, 1);
    return real(fd, data, size, at);
}

// fsync_count.c - counts fsync and fdatasync of the program it is loaded into with
// LD_PRELOAD, in the file that OMNI_BENCH_FSYNCS names.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int64_t *count;

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

// slow_fsync.c - preloaded into a program, its fsync() waits while the file named by
// OMNI_TEST_FSYNC_GATE exists: a disk as slow as a test wants it.
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int
fsync(int fd)
{
    const char *gate = getenv("OMNI_TEST_FSYNC_GATE");
    while (gate && access(gate, F_OK) == 0)
        poll(NULL, 0, 5);
    return (int)syscall(SYS_fsync, fd);
}

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "journal_io.h"

static int
file_open(const char *path, int flags)
{
    return open(path, flags | O_CLOEXEC, 0600);
}

static void
file_close(int fd)
{
    close(fd);
}

static int
folder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = fsync(fd);
    close(fd);
    return failed;
}

const struct journal_io journal_io_files = {
    file_open, file_close, pread, pwrite, fdatasync, rename, unlink, folder_sync,
};

// journal_io.h - the file operations of the journal, so that a test can put a disk under
// it that fails, or that loses what was not synced.
#pragma once
#include <sys/types.h>

#include "base.h"

// As the system calls of these names: -1 and errno on failure.
struct journal_io {
    int (*open)(const char *path, int flags); // creates with mode 0600
    void (*close)(int fd);
    ssize_t (*read)(int fd, void *data, size_t size, off_t at);
    ssize_t (*write)(int fd, const void *data, size_t size, off_t at);
    int (*sync)(int fd); // the data and what is needed to find it again
    int (*rename)(const char *from, const char *to);
    int (*remove)(const char *path);
    int (*sync_folder)(const char *folder); // the names of the files in it
};

extern const struct journal_io journal_io_files;

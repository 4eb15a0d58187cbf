// home.h - the data folder of one `omni up`: made, locked for its life, and what it tells
// the commands run beside it.
//
// The folder holds: omni.lock (who runs it, and where it can be reached), secret,
// admin.key, blobs/, the services' databases, and run/ with the sockets.
#pragma once
#include <limits.h>

#include "rc.h"

struct home {
    int lock_fd;
    char dir[PATH_MAX];     // absolute
    char sockets[PATH_MAX]; // short enough for the path of a socket
};

// Make what is missing and lock the folder. On failure the reason is in `why`.
//   OM_ECONFLICT another `omni up` uses it
//   OM_ENOSPACE, OM_EDB the folder cannot be made or written to
OM_MUST_CHECK enum om_rc home_open(struct home *out, const char *dir, char *why,
                                   size_t why_size);

// Write into the lock file where this Omni can be reached.
OM_MUST_CHECK enum om_rc home_publish(const struct home *self, const char *url, char *why,
                                      size_t why_size);

// Unlock.
void home_close(struct home *self);

// The URL of the Omni that runs on `dir`. False: none does, or it is still starting.
bool home_find_url(const char *dir, char *url, size_t url_size);

// The key in the folder's admin.key. False: there is none to be read.
bool home_read_key(const char *dir, char *key, size_t key_size);

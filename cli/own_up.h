// own_up.h - an `omni up` of one's own: started, found ready, and stopped again.
//
// It dies with this process, however that ends. One at a time; its log is in
// DIR/omni.log.
#pragma once
#include <limits.h>
#include <sys/types.h>

#include "base.h"

struct own_up {
    pid_t pid; // 0: not running
    bool made_dir;
    char dir[PATH_MAX - 64];
    char url[256], key[192];
    int64_t start_ms; // how long it took to be ready
};

// Start it on `dir`, or on a new folder if that is NULL, on any free port. Until it is
// stopped, SIGINT and SIGTERM stop it. False after a message.
bool own_up_start(struct own_up *self, const char *dir);

// Was it told to stop by a signal?
bool own_up_interrupted(void);

// Stop it and wait; returns how long that took in ms, or -1 if it had to be killed or
// ended badly. A new folder is removed if `keep` is false.
int64_t own_up_stop(struct own_up *self, bool keep);

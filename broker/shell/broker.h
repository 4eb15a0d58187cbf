// broker.h - the shell: it moves bytes between sockets, the core and the store, and
// decides nothing.
//
// The calling thread does all input and output and runs the core; a committer and a
// reader thread use the store. What is received is handled in turns; a turn's changes are
// handed to the committer when it is free, before the messages of the last commit are
// sent.
#pragma once
#include "base.h"

struct broker_conf {
    const char *client, *work; // lists of endpoints
    const char *database;      // a folder, or sqlite:FOLDER
    const char *keys;          // folder of CURVE keys, or ""
    const char *node;          // the broker's name
    const char *admin;         // OMNI_ADMIN
    int64_t retention_hours;
    int64_t jobs_max, tenant_jobs_max, pending_bytes_max;
};

// Serve until SIGTERM or SIGINT. Logs. Returns the exit status, 0 or one of sysexits.h: a
// commit whose outcome is unknown ends it with EX_IOERR, and the next start recovers.
int broker_run(const struct broker_conf *conf);

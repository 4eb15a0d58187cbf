// redis_server.h - a real redis-server as a test's program, that dies with it.
#pragma once
#include <sys/types.h>

// Start it on the socket `redis` in the folder, keeping nothing on disk; it asks for the
// password unless that is "". It may not answer yet. Returns its process id.
pid_t redis_start(const char *folder, const char *password);

// SIGKILL, and wait for its end; nothing is done for 0, which `pid` is then.
void redis_kill(pid_t *pid);

// tools.h - what users run beside an Omni: a worker of their own, and the command line.
#pragma once
#include "omni.h"
#include "program.h"

// Start tests/echo_worker for `queue` with a new key that has `scope`.
void omni_start_worker(struct omni *self, struct program *worker, const char *scope,
                       const char *queue);

// End the worker, if it runs, as an operator would: the test fails when it takes longer
// than five seconds or ends badly.
void omni_stop_worker(struct program *worker);

// Run a command line of the shell. Returns its exit status, -1 when a signal ended it;
// what it printed on its standard output is in `out` until the next run.
int tool_run(const char *command, const char **out);

// The same for `omni ARGUMENTS` on the data folder.
int omni_run(struct omni *self, const char *arguments, const char **out);

// program.h - the project's programs as children of a test, which die with it.
#pragma once
#include <criterion/criterion.h>
#include <sys/types.h>

#include "base.h"

struct program {
    pid_t pid;  // 0: not running
    int log_fd; // its stderr
    // What it said, as far as program_wait() or program_expect_log() read it.
    char log[16 * 1024];
    size_t log_size;
};

// Start build/bin/NAME. `settings` is a list of NAME=value that ends with NULL;
// `argument` may be NULL. The environment is otherwise the test's.
void program_start(struct program *self, const char *name, const char *const *settings,
                   const char *const *arguments);

// Wait until its log holds `text`; the test fails after ten seconds.
void program_expect_log(struct program *self, const char *text);

// Send a signal.
void program_signal(struct program *self, int number);

// Wait for its end, at most `wait_ms`. Returns its exit status, 256 + N when signal N
// ended it, -1 when it still runs.
int program_wait(struct program *self, int64_t wait_ms);

// Kill it, if it runs.
void program_finish(struct program *self);

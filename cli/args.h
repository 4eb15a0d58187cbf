// args.h - the commands of `omni`, their arguments and options: one table says it all,
// and
// --help is made from it.
#pragma once
#include "base.h"

// What a command ends with. `omni up` ends with codes of sysexits.h instead.
enum {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1, // the request was answered with an error, or a task failed
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
};

struct args_option {
    const char *name;  // without the dashes; NULL ends a list
    const char *value; // what stands for its value in the help; NULL: a flag without one
    const char *help;
};

struct args;

struct args_command {
    const char *name;      // NULL ends the table
    const char *verb;      // its second word, or NULL
    const char *arguments; // for the help
    int min, max;          // how many there may be
    bool client;           // it talks to a server: has --url, --key and --json
    const char *help;
    int (*run)(const struct args *args);
    struct args_option options[20];
};

enum { ARGS_POSITIONAL_MAX = 8, ARGS_OPTIONS_MAX = 24 };

struct args {
    const struct args_command *command;
    int count;
    const char *positional[ARGS_POSITIONAL_MAX];
    struct {
        const char *name, *value;
    } options[ARGS_OPTIONS_MAX];
    int option_count;
};

// Find the command, read its arguments and run it. Returns the exit status.
int args_run(const struct args_command *commands, int argc, char **argv);

// The value of an option: NULL if it was not given, "" for a flag that was.
const char *args_get(const struct args *args, const char *option);

// The same as a number; `fallback` if it was not given. False after a message when it is
// no number from `min` to `max`.
bool args_get_int(const struct args *args, const char *option, int64_t min, int64_t max,
                  int64_t fallback, int64_t *out);

// Print "omni: …" to stderr and return `status`.
int args_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// conf.h - a program's settings: one table fills one struct, once, at the start.
//
// A value comes from the environment, else from the file OMNI_CONFIG names (lines
// NAME=value, # comments), else from the row's default.
#pragma once
#include "rc.h"

enum om_setting_type {
    CONF_STR,  // const char *
    CONF_INT,  // int64_t
    CONF_BOOL, // bool: 1, 0, true, false
};

struct om_setting {
    const char *name; // NULL ends a table
    enum om_setting_type type;
    size_t offset; // in the struct
    const char *fallback;
    int64_t min, max; // of CONF_INT
    const char *doc;
};

// Read all settings into `out`. Strings live until om_conf_free(). On OM_EINVAL the
// reason, which names setting, value and what is allowed, has been written to `why`.
OM_MUST_CHECK enum om_rc om_conf_load(const struct om_setting *settings, void *out,
                                      char *why, size_t why_size);

// Free the strings of `out`; the struct itself is the caller's.
void om_conf_free(const struct om_setting *settings, void *out);

// Read a program's arguments: --help (with `extra` behind the usage), --version, --check,
// and --foo-bar VALUE, which becomes OMNI_FOO_BAR=VALUE in the environment. Returns -1 to
// go on, else the exit status.
int om_conf_arguments(const char *program, const char *extra,
                      const struct om_setting *settings, int argc, char **argv,
                      bool *check);

// watcher.h - looks at every program of the platform now and then, as an operator would:
// at its /metrics. A thread of its own, since a program that hangs takes its time.
//
// The programs are those of a file in the form of Prometheus's file_sd_configs, which
// `omni up` writes; it is read anew for each look.
#pragma once
#include "pack.h"
#include "slo.h"

enum { WATCHER_PROGRAMS_MAX = 32, WATCHER_NAME_MAX = 32, WATCHER_ADDRESS_MAX = 128 };

// What one look saw.
struct look {
    int64_t at_ms; // wall
    size_t count;
    struct look_program {
        char name[WATCHER_NAME_MAX + 1], address[WATCHER_ADDRESS_MAX];
        bool ready;    // it answered, and says that it can do its work
        bool answered; // `counts` is known
        struct slo_counts counts;
    } programs[WATCHER_PROGRAMS_MAX];
};

// Is one of the programs of this name ready?
bool look_is_ready(const struct look *self, const char *name);

// Does another program of its name stand before this one?
bool look_repeats(const struct look *self, size_t place);

struct watcher;

// Look every `interval_ms`, for the first time after that. NULL: no memory or no thread.
struct watcher *watcher_start(const char *targets, int64_t interval_ms);
void watcher_stop(struct watcher **self_p);

// The look that was taken since the last call. False: there was none.
bool watcher_take(struct watcher *self, struct look *out);

// Read a file of targets: [{"targets": ["HOST:PORT"], "labels": {"process": NAME}}]. What
// is more than the limits, or malformed, is passed over.
void watcher_read_targets(struct om_str json, struct look *out);

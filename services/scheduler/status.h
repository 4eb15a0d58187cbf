// status.h - what the platform shows of its own health: GET /status, `omni status`, and a
// file that is there when nothing else answers.
#pragma once
#include "arena.h"
#include "history.h"
#include "ops.h"

struct status_conf {
    const char *targets; // "": nothing is looked at
    const char *file;    // "": none
    int64_t look_ms;
};

struct status {
    struct status_conf conf;
    struct watcher *watcher; // NULL: nothing is looked at
    struct history history;
    struct look look; // the last one; `at_ms` is 0: there was none
    // What is shown, made once a look. Its texts are in the arena.
    struct om_arena arena;
    struct status_get_reply shown;
};

// False with the reason in `why`.
bool status_open(struct status *self, const struct status_conf *conf, char *why,
                 size_t why_size);
void status_close(struct status *self);

// Store the look that was taken since, and show it. Call it every second or so.
enum om_rc status_tick(struct status *self, struct om_db *db);

// What is shown at `now_ms`; borrows from `self`.
struct status_get_reply status_show(const struct status *self, int64_t now_ms);

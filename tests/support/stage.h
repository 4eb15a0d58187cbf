// stage.h - where a test's programs play: a folder of their own, and their settings.
#pragma once
#include <stddef.h>

enum { STAGE_SETTINGS = 24 };

struct stage {
    char folder[32];
    // NAME=value, for program_start(); ends with NULL.
    const char *list[STAGE_SETTINGS + 1];
    size_t count;
    char settings[STAGE_SETTINGS][160];
};

// Make the folder.
void stage_open(struct stage *self);

// Remove it with all that is in it.
void stage_close(struct stage *self);

// Add a setting.
void stage_set(struct stage *self, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Add the settings of a whole Omni that keeps all it has in the folder, speaks within it,
// and has an edge on any free port. A setting that is added again replaces the first.
void stage_settle(struct stage *self);

// Read a file of the folder, without the newline at its end.
void stage_read(const struct stage *self, const char *name, char *out, size_t size);

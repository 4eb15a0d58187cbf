// print.h - how answers look: tables for people, JSON for machines, a progress line.
//
// Control characters in what a server says never reach the terminal.
#pragma once
#include <jansson.h>

#include "base.h"

enum print_as {
    PRINT_TEXT,    // strings and numbers as they are
    PRINT_SECONDS, // seconds since 1970 as a date
    PRINT_MILLIS,  // milliseconds since 1970 as a date
    PRINT_PERCENT, // a share from 0 to 1
    PRINT_SHARE,   // one that differs from 1 by little
};

struct print_column {
    const char *key; // NULL ends a list; a name in the object
    const char *title;
    enum print_as as;
};

// A table with a row for each object of `items`; a line says so when there is none. Every
// line begins with `indent`.
void print_table(json_t *items, const struct print_column *columns, const char *indent);

// All fields of an object and of the objects in it, one a line.
void print_object(json_t *object);

void print_json(json_t *value);

// Text of any size, with a newline at its end.
void print_text(const char *text);

// A progress line, redrawn in place on a terminal and else printed when a tenth more is
// done. `state` is zero at first; its line is ended by print_progress_end().
struct print_progress {
    int printed; // tenths + 1, or on a terminal the length of the line
    int64_t started_ms;
};

void print_progress(struct print_progress *state, const char *label, double share,
                    json_t *detail, int64_t now_ms);
void print_progress_end(struct print_progress *state);

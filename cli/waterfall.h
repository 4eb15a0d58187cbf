// waterfall.h - the spans of a trace as a tree over time, for the terminal.
#pragma once
#include <jansson.h>
#include <stdio.h>

#include "span_file.h"

enum { WATERFALL_SPANS_MAX = 4096, WATERFALL_NODE_MAX = 64 };

struct waterfall_span {
    char node[WATERFALL_NODE_MAX]; // of the process that wrote it
    struct om_span span;
};

// Spans by start, each once.
struct waterfall {
    struct waterfall_span *spans;
    size_t count, size;
    bool cut; // there were more than WATERFALL_SPANS_MAX
};

// False: no memory.
OM_MUST_CHECK bool waterfall_add(struct waterfall *self, const struct om_span_line *line);
void waterfall_finish(struct waterfall *self);

// Write it, a line a span: the tree, who did it, when it began, how long it took, a bar,
// and why it failed. What has no parent among the spans is at the left, in the order of
// time.
void waterfall_print(struct waterfall *self, FILE *out);

// The same as an array of objects. NULL: no memory.
json_t *waterfall_json(struct waterfall *self);

// The text, or the number as text, of an attribute; "" if it has none. Control characters
// become question marks.
void waterfall_attr(const struct om_span *span, enum om_span_attr key, char *out,
                    size_t size);

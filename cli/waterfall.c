#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "id.h"
#include "utf8.h"
#include "waterfall.h"

enum {
    NAME_COLUMNS = 44,
    NODE_COLUMNS = 12,
    BAR_COLUMNS = 30,
    DEPTH_MAX = 24, // what lies deeper is shown at this depth
    TEXT_MAX = 512,
    LINE_MAX = 1024,
};

// ---- gathering

bool
waterfall_add(struct waterfall *self, const struct om_span_line *line)
{
    for (size_t i = 0; i < self->count; i++)
        if (memcmp(self->spans[i].span.trace.span_id, line->span.trace.span_id, 8) == 0)
            return true;
    if (self->count == WATERFALL_SPANS_MAX) {
        self->cut = true;
        return true;
    }
    if (self->count == self->size) {
        size_t size = self->size ? 2 * self->size : 64;
        void *spans = realloc(self->spans, size * sizeof(*self->spans));
        if (!spans)
            return false;
        self->spans = spans;
        self->size = size;
    }
    struct waterfall_span *one = &self->spans[self->count++];
    snprintf(one->node, sizeof(one->node), "%s", line->node);
    one->span = line->span;
    return true;
}

void
waterfall_finish(struct waterfall *self)
{
    free(self->spans);
    *self = (struct waterfall){ 0 };
}

static int
compare_starts(const void *a, const void *b)
{
    const struct om_span *one = &((const struct waterfall_span *)a)->span;
    const struct om_span *two = &((const struct waterfall_span *)b)->span;
    if (one->start_us != two->start_us)
        return one->start_us < two->start_us ? -1 : 1;
    return one->end_us < two->end_us ? -1
                                     : one->end_us > two->end_us; // what is over first
}

static void
sort(struct waterfall *self)
{
    if (self->count)
        qsort(self->spans, self->count, sizeof(*self->spans), compare_starts);
}

// ---- texts

static void
copy_text(const struct om_span *span, struct om_span_text text, char *out, size_t size)
{
    const char *at = span->text + text.at;
    size_t used = 0;
    for (size_t i = 0; i < text.size;) {
        size_t step = om_utf8_size(at + i, text.size - i);
        bool shown = step && (unsigned char)at[i] >= ' ' && at[i] != 0x7f &&
                     !(step == 2 && (unsigned char)at[i] == 0xc2 &&
                       (unsigned char)at[i + 1] < 0xa0);
        if (used + (shown ? step : 1) >= size)
            break;
        if (shown)
            memcpy(out + used, at + i, step);
        else
            out[used] = '?';
        used += shown ? step : 1;
        i += step ? step : 1;
    }
    out[used] = '\0';
}

void
waterfall_attr(const struct om_span *span, enum om_span_attr key, char *out, size_t size)
{
    *out = '\0';
    for (size_t i = 0; i < span->attr_count; i++) {
        if (span->attrs[i].key != key)
            continue;
        int64_t number;
        if (!om_span_infos[key].is_int) {
            copy_text(span, span->attrs[i].value, out, size);
            return;
        }
        memcpy(&number, span->text + span->attrs[i].value.at, sizeof(number));
        snprintf(out, size, "%" PRId64, number);
    }
}

// ---- printing

// Cut to so many columns, and filled up to them.
static void
put_column(FILE *out, const char *text, size_t width)
{
    size_t shown = 0;
    for (; *text && (shown < width || ((unsigned char)*text & 0xc0) == 0x80); text++) {
        shown += ((unsigned char)*text & 0xc0) != 0x80;
        fputc(*text, out);
    }
    fprintf(out, "%*s", (int)(width - shown), "");
}

static void
put_time(FILE *out, int64_t us)
{
    if (us < 1000000)
        fprintf(out, "%9.2f ms", (double)us / 1000);
    else
        fprintf(out, "%9.2f s ", (double)us / 1000000);
}

static void
put_bar(FILE *out, const struct om_span *span, int64_t from_us, int64_t to_us)
{
    double each = (double)(to_us - from_us) / BAR_COLUMNS;
    int first = each > 0 ? (int)((double)(span->start_us - from_us) / each) : 0;
    int last = each > 0 ? (int)((double)(span->end_us - from_us) / each) : 0;
    first = first < BAR_COLUMNS ? first : BAR_COLUMNS - 1;
    last = last < BAR_COLUMNS ? last : BAR_COLUMNS - 1;
    for (int i = 0; i <= last; i++)
        fputs(i < first ? " " : "━", out);
}

static void
put_failure(FILE *out, const struct om_span *span)
{
    char code[TEXT_MAX], why[TEXT_MAX];
    waterfall_attr(span, OM_ATTR_ERROR, code, sizeof(code));
    copy_text(span, span->why, why, sizeof(why));
    if (span->failed || *code)
        fprintf(out, "  %s %s%s%s", span->failed ? "✗" : "·", code, *why ? ": " : "",
                why);
}

static void
append(char *out, size_t size, const char *before, const char *text)
{
    const char *parts[] = { *text ? before : "", text };
    size_t used = strlen(out);
    for (size_t i = 0; i < OM_COUNT(parts); i++)
        for (const char *at = parts[i]; *at && used + 1 < size; at++)
            out[used++] = *at;
    out[used] = '\0';
}

// Its name, and what else tells two spans of a name apart.
static void
name_span(const struct om_span *span, char *out, size_t size)
{
    char more[TEXT_MAX];
    copy_text(span, span->name, out, size);
    waterfall_attr(span, OM_ATTR_KIND, more, sizeof(more));
    append(out, size, " ", more);
    waterfall_attr(span, OM_ATTR_ATTEMPT, more, sizeof(more));
    append(out, size, " #", more);
    waterfall_attr(span, OM_ATTR_MODEL, more, sizeof(more));
    append(out, size, " ", more);
}

struct printing {
    struct waterfall *of;
    FILE *out;
    int64_t from_us, to_us;
    bool *done;
};

static void
print_span(struct printing *self, size_t at, const char *indent, const char *branch)
{
    const struct waterfall_span *one = &self->of->spans[at];
    char name[TEXT_MAX], line[LINE_MAX] = "";
    name_span(&one->span, name, sizeof(name));
    append(line, sizeof(line), "", indent);
    append(line, sizeof(line), "", branch);
    append(line, sizeof(line), "", name);
    put_column(self->out, line, NAME_COLUMNS);
    fputc(' ', self->out);
    put_column(self->out, one->node, NODE_COLUMNS);
    put_time(self->out, one->span.start_us - self->from_us);
    put_time(self->out, one->span.end_us - one->span.start_us);
    fputs("  ", self->out);
    put_bar(self->out, &one->span, self->from_us, self->to_us);
    put_failure(self->out, &one->span);
    fputc('\n', self->out);
}

static bool
is_child(const struct printing *self, size_t at, size_t of)
{
    const struct om_span *child = &self->of->spans[at].span;
    return !self->done[at] &&
           memcmp(child->parent, self->of->spans[of].span.trace.span_id, 8) == 0;
}

static void
print_tree(struct printing *self, size_t at, const char *indent, const char *branch,
           const char *below, int depth)
{
    char next[LINE_MAX] = "";
    self->done[at] = true;
    print_span(self, at, indent, branch);
    append(next, sizeof(next), "", indent);
    append(next, sizeof(next), "", depth < DEPTH_MAX ? below : "");
    size_t last = 0;
    for (size_t i = 0; i < self->of->count; i++)
        if (is_child(self, i, at))
            last = i;
    for (size_t i = 0; i < self->of->count; i++)
        if (is_child(self, i, at))
            print_tree(self, i, next, i == last ? "└ " : "├ ", i == last ? "  " : "│ ",
                       depth + 1);
}

static bool
has_parent(const struct waterfall *self, size_t at)
{
    for (size_t i = 0; i < self->count; i++)
        if (i != at && memcmp(self->spans[i].span.trace.span_id,
                              self->spans[at].span.parent, 8) == 0)
            return true;
    return false;
}

void
waterfall_print(struct waterfall *self, FILE *out)
{
    char trace[33];
    sort(self);
    bool *done = calloc(self->count + 1, sizeof(*done));
    if (!done || self->count == 0) {
        free(done);
        return;
    }
    struct printing printing = { self, out, self->spans[0].span.start_us, 0, done };
    for (size_t i = 0; i < self->count; i++)
        if (self->spans[i].span.end_us > printing.to_us)
            printing.to_us = self->spans[i].span.end_us;
    om_trace_id_text(&self->spans[0].span.trace, trace);
    fprintf(out, "trace %s, %zu spans%s, %.2f ms\n", trace, self->count,
            self->cut ? " and more" : "",
            (double)(printing.to_us - printing.from_us) / 1000);
    for (size_t i = 0; i < self->count; i++)
        if (!done[i] && !has_parent(self, i))
            print_tree(&printing, i, "", "", "", 0);
    for (size_t i = 0; i < self->count; i++)
        if (!done[i]) // parents in a circle, which no process of ours makes
            print_tree(&printing, i, "", "", "", 0);
    free(done);
}

static json_t *
span_json(const struct waterfall_span *one)
{
    const struct om_span *span = &one->span;
    char text[TEXT_MAX], trace[33], id[17], parent[17];
    json_t *attributes = json_object();
    om_trace_id_text(&span->trace, trace);
    om_hex(span->trace.span_id, 8, id);
    om_hex(span->parent, 8, parent);
    for (size_t i = 0; i < span->attr_count; i++) {
        enum om_span_attr key = span->attrs[i].key;
        waterfall_attr(span, key, text, sizeof(text));
        json_object_set_new(attributes, om_span_infos[key].name,
                            om_span_infos[key].is_int
                                ? json_integer(strtoll(text, NULL, 10))
                                : json_string(text));
    }
    copy_text(span, span->name, text, sizeof(text));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:b,s:o}", "trace_id", trace,
                     "span_id", id, "parent_id", parent, "name", text, "node", one->node,
                     "start_us", (json_int_t)span->start_us, "end_us",
                     (json_int_t)span->end_us, "failed", span->failed, "attributes",
                     attributes);
}

json_t *
waterfall_json(struct waterfall *self)
{
    json_t *list = json_array();
    sort(self);
    for (size_t i = 0; i < self->count; i++)
        json_array_append_new(list, span_json(&self->spans[i]));
    return list;
}

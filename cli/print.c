#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "print.h"

enum {
    CELL_MAX = 200,
    CELL_WIDTH_MAX = 48,
    COLUMNS_MAX = 12,
    BAR_CELLS = 30,
    LINE_BYTES = 256
};

// ---- one value

static void
clean(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            *at = '?';
}

static void
format_date(int64_t seconds, char *out, size_t size)
{
    time_t time = (time_t)seconds;
    struct tm parts;
    if (!gmtime_r(&time, &parts) || !strftime(out, size, "%Y-%m-%d %H:%M:%SZ", &parts))
        snprintf(out, size, "%lld", (long long)seconds);
}

static void
format_array(json_t *array, char *out, size_t size)
{
    size_t index, used = 0;
    json_t *item;
    json_array_foreach (array, index, item) {
        const char *text = json_string_value(item);
        if (!text || used + strlen(text) + 3 > size)
            break;
        used += (size_t)snprintf(out + used, size - used, "%s%s", index ? " " : "", text);
    }
}

static void
format_value(json_t *value, enum print_as as, char out[CELL_MAX])
{
    out[0] = '\0';
    if (json_is_number(value) && as == PRINT_SECONDS)
        format_date((int64_t)json_number_value(value), out, CELL_MAX);
    else if (json_is_number(value) && as == PRINT_MILLIS)
        format_date((int64_t)json_number_value(value) / 1000, out, CELL_MAX);
    else if (json_is_number(value) && as == PRINT_PERCENT)
        snprintf(out, CELL_MAX, "%.0f %%", 100 * json_number_value(value));
    else if (json_is_number(value) && as == PRINT_SHARE)
        snprintf(out, CELL_MAX, "%.3f %%", 100 * json_number_value(value));
    else if (json_is_integer(value))
        snprintf(out, CELL_MAX, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, CELL_MAX, "%.6g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(out, CELL_MAX, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_string(value))
        snprintf(out, CELL_MAX, "%s", json_string_value(value));
    else if (json_is_array(value))
        format_array(value, out, CELL_MAX);
    clean(out);
}

// Characters, not bytes: what follows a first byte of UTF-8 takes no room.
static int
width(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += (*text & 0xc0) != 0x80;
    return count;
}

// What is wider than a cell of a table may be ends with dots.
static void
shorten(char *text)
{
    int count = 0;
    for (char *at = text; *at; at++) {
        count += (*at & 0xc0) != 0x80;
        if (count == CELL_WIDTH_MAX && at[1]) {
            strcpy(at, "…");
            return;
        }
    }
}

// A field of a row of a table.
static void
format_cell(json_t *item, const struct print_column *column, char out[CELL_MAX])
{
    format_value(json_object_get(item, column->key), column->as, out);
    shorten(out);
}

static void
print_padded(const char *text, int room, bool last)
{
    int pad = last ? 0 : room - width(text) + 2;
    printf("%s%*s", text, pad > 0 ? pad : 0, "");
}

// ---- many values

void
print_table(json_t *items, const struct print_column *columns, const char *indent)
{
    int widths[COLUMNS_MAX] = { 0 }, count = 0;
    char cell[CELL_MAX];
    size_t index;
    json_t *item;
    if (json_array_size(items) == 0) {
        printf("%sthere are none\n", indent);
        return;
    }
    for (; columns[count].key && count < COLUMNS_MAX; count++) {
        widths[count] = width(columns[count].title);
        json_array_foreach (items, index, item) {
            format_cell(item, &columns[count], cell);
            int own = width(cell);
            widths[count] = own > widths[count] ? own : widths[count];
        }
    }
    printf("%s", indent);
    for (int i = 0; i < count; i++)
        print_padded(columns[i].title, widths[i], i == count - 1);
    printf("\n");
    json_array_foreach (items, index, item) {
        printf("%s", indent);
        for (int i = 0; i < count; i++) {
            format_cell(item, &columns[i], cell);
            print_padded(cell, widths[i], i == count - 1);
        }
        printf("\n");
    }
}

// A field's name says what its number means.
static enum print_as
guess(const char *key, json_t *value)
{
    size_t size = strlen(key);
    if (size > 3 && strcmp(key + size - 3, "_at") == 0)
        return PRINT_SECONDS;
    if (size > 3 && strcmp(key + size - 3, "_ms") == 0 && json_number_value(value) > 1e11)
        return PRINT_MILLIS;
    return strcmp(key, "progress") == 0 ? PRINT_PERCENT : PRINT_TEXT;
}

// Fields of an object within are named a.b. Prints nothing if `print` is false, and
// returns the width of the longest name.
static int
walk_object(json_t *object, const char *prefix, int room, bool print)
{
    const char *key;
    json_t *value;
    int longest = 0;
    json_object_foreach (object, key, value) {
        char name[CELL_MAX], cell[CELL_MAX];
        int own;
        snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
        clean(name);
        if (json_is_null(value)) {
            own = 0;
        } else if (json_is_object(value)) {
            own = walk_object(value, name, room, print);
        } else {
            own = width(name);
            format_value(value, guess(key, value), cell);
            if (print) {
                print_padded(name, room, false);
                printf("%s\n", cell);
            }
        }
        longest = own > longest ? own : longest;
    }
    return longest;
}

void
print_object(json_t *object)
{
    walk_object(object, "", walk_object(object, "", 0, false), true);
}

void
print_text(const char *text)
{
    char last = '\n';
    for (; *text; text++) {
        last = *text;
        bool hidden = (unsigned char)last < 0x20 && last != '\n' && last != '\t';
        putchar(hidden || last == 0x7f ? '?' : last);
    }
    if (last != '\n')
        putchar('\n');
}

void
print_json(json_t *value)
{
    if (!value)
        return;
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    printf("\n");
}

// ---- progress

static size_t
format_detail(json_t *detail, char *out, size_t size)
{
    const char *key;
    json_t *value;
    char cell[CELL_MAX];
    size_t used = 0;
    out[0] = '\0';
    json_object_foreach (detail, key, value) {
        if (json_is_integer(value))
            format_value(value, PRINT_TEXT, cell);
        else if (json_is_real(value))
            snprintf(cell, sizeof(cell), "%.4g", json_real_value(value));
        else
            continue;
        if (used + strlen(key) + strlen(cell) + 4 > size)
            break;
        used += (size_t)snprintf(out + used, size - used, "  %s %s", key, cell);
    }
    clean(out);
    return used;
}

void
print_progress(struct print_progress *state, const char *label, double share,
               json_t *detail, int64_t now_ms)
{
    char line[LINE_BYTES], about[LINE_BYTES / 2], bar[BAR_CELLS + 1];
    if (!state->started_ms)
        state->started_ms = now_ms;
    share = share > 1 ? 1 : share > 0 ? share : 0;
    format_detail(detail, about, sizeof(about));
    double seconds = (double)(now_ms - state->started_ms) / 1000;
    if (!isatty(STDOUT_FILENO)) {
        int tenths = (int)(share * 10);
        if (tenths + 1 > state->printed)
            printf("%s %3.0f %%%s  %.1f s\n", label, 100 * share, about, seconds);
        fflush(stdout);
        state->printed = tenths + 1 > state->printed ? tenths + 1 : state->printed;
        return;
    }
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)(share * BAR_CELLS));
    bar[BAR_CELLS] = '\0';
    int size = snprintf(line, sizeof(line), "%s [%s] %3.0f %%%s  %.1f s", label, bar,
                        100 * share, about, seconds);
    printf("\r%s%*s", line, state->printed > size ? state->printed - size : 0, "");
    fflush(stdout);
    state->printed = size;
}

void
print_progress_end(struct print_progress *state)
{
    if (state->printed && isatty(STDOUT_FILENO))
        printf("\n");
    *state = (struct print_progress){ 0 };
}

#include <csv.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"
#include "utf8.h"

enum {
    PIECE_BYTES = 16 * 1024, // given to libcsv at once
    SHOWN_CHARS = 40,        // of a value or name in a message
    SHOWN_NAMES = 20,        // of the columns there are
};

struct om_csv {
    struct csv_parser parser;
    locale_t locale;
    char *column;
    size_t column_size;

    enum om_rc rc; // of the first failure
    bool column_unknown;
    char why[1024];

    // Where it is in the file.
    int64_t bytes;
    int64_t line;       // from 1, as an editor counts
    bool after_cr;      // the byte before was a carriage return
    bool line_used;     // a cell has ended in this line
    int64_t blank_line; // an empty one since the header; 0: none
    size_t mark_size; // bytes of a byte order mark matched; MARK_OVER: no more looked for
    size_t cell;      // of the row, from 0

    // The header row.
    bool in_body;
    size_t columns;
    size_t target; // SIZE_MAX while it is not found
    bool target_twice;
    char separator;  // another than a comma that a name holds, or 0
    char names[512]; // the first ones, for a message
    size_t names_size;
    bool names_cut;

    double *values;
    size_t count, capacity;
};

static const char mark[3] = { '\xef', '\xbb', '\xbf' }; // byte order mark of UTF-8
enum { MARK_OVER = sizeof(mark) };

struct om_csv *
om_csv_create(struct om_str column)
{
    struct om_csv *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    unsigned char options = CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL;
    self->column = strndup(column.size ? column.data : "", column.size);
    self->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!self->column || !self->locale || csv_init(&self->parser, options) != 0) {
        om_csv_destroy(&self);
        return NULL;
    }
    self->column_size = column.size;
    self->line = 1;
    self->target = SIZE_MAX;
    return self;
}

void
om_csv_destroy(struct om_csv **self_p)
{
    struct om_csv *self = *self_p;
    if (!self)
        return;
    csv_free(&self->parser);
    if (self->locale)
        freelocale(self->locale);
    free(self->column);
    free(self->values);
    free(self);
    *self_p = NULL;
}

const char *
om_csv_why(const struct om_csv *self)
{
    return self->why;
}

bool
om_csv_column_unknown(const struct om_csv *self)
{
    return self->column_unknown;
}

static void fail(struct om_csv *self, enum om_rc rc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The first failure stays; what is parsed after it is ignored.
static void
fail(struct om_csv *self, enum om_rc rc, const char *format, ...)
{
    if (self->rc != OM_OK)
        return;
    self->rc = rc;
    va_list args;
    va_start(args, format);
    vsnprintf(self->why, sizeof(self->why), format, args);
    va_end(args);
}

// The size of the character at `at`; 0 if it is not valid or moves the terminal's cursor.
static size_t
character(const char *at, size_t left)
{
    unsigned char first = (unsigned char)at[0];
    bool control = first < 0x20 || first == 0x7f ||
                   (first == 0xc2 && left > 1 && (unsigned char)at[1] < 0xa0);
    return control ? 0 : om_utf8_size(at, left);
}

struct shown {
    char text[4 * SHOWN_CHARS + sizeof("…")];
};

// A value of the file as a message shows it.
static struct shown
show(const char *data, size_t size)
{
    struct shown shown;
    size_t used = 0, at = 0;
    for (int n = 0; at < size && n < SHOWN_CHARS; n++) {
        size_t length = character(data + at, size - at);
        if (length)
            memcpy(shown.text + used, data + at, length);
        else
            shown.text[used] = '?';
        used += length ? length : 1;
        at += length ? length : 1;
    }
    strcpy(shown.text + used, at < size ? "…" : "");
    return shown;
}

static struct shown
show_column(const struct om_csv *self)
{
    return show(self->column, self->column_size);
}

static void
list_name(struct om_csv *self, const char *data, size_t size)
{
    static const char more[] = ", …";
    char item[sizeof(struct shown) + 8];
    int length = snprintf(item, sizeof(item), "%s\"%s\"", self->columns ? ", " : "",
                          show(data, size).text);
    bool fits = self->columns < SHOWN_NAMES && !self->names_cut &&
                self->names_size + (size_t)length + sizeof(more) < sizeof(self->names);
    if (fits) {
        strcpy(self->names + self->names_size, item);
        self->names_size += (size_t)length;
    } else if (!self->names_cut) {
        strcpy(self->names + self->names_size, more);
        self->names_cut = true;
    }
}

static void
on_name(struct om_csv *self, const char *data, size_t size)
{
    if (size == self->column_size && memcmp(data, self->column, size) == 0) {
        self->target_twice = self->target != SIZE_MAX;
        self->target = self->columns;
    }
    if (memchr(data, ';', size) || memchr(data, '\t', size))
        self->separator = memchr(data, ';', size) ? ';' : '\t';
    list_name(self, data, size);
    if (++self->columns > OM_CSV_COLUMNS_MAX)
        fail(self, OM_EINVAL, "the file has more than %d columns", OM_CSV_COLUMNS_MAX);
}

static void
end_header(struct om_csv *self)
{
    self->in_body = true;
    self->blank_line = 0;
    if (self->target == SIZE_MAX && self->columns == 1 && self->separator) {
        fail(self, OM_EINVAL,
             "the columns are separated by %s: save the file with commas",
             self->separator == ';' ? "semicolons" : "tabs");
    } else if (self->target == SIZE_MAX) {
        self->column_unknown = self->rc == OM_OK;
        fail(self, OM_EINVAL, "there is no column \"%s\": the file has %s",
             show_column(self).text, self->names);
    } else if (self->target_twice) {
        fail(self, OM_EINVAL, "two columns are named \"%s\": give each its own name",
             show_column(self).text);
    }
}

static bool
is_not_finite(const char *text)
{
    static const char *const words[] = { "nan", "inf", "infinity" };
    text += *text == '+' || *text == '-';
    for (size_t i = 0; i < OM_COUNT(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static void
keep(struct om_csv *self, double value)
{
    if (self->count == OM_CSV_ROWS_MAX) {
        fail(self, OM_ETOOBIG, "the file has more than %d rows", OM_CSV_ROWS_MAX);
        return;
    }
    if (self->count == self->capacity) {
        size_t capacity = self->capacity ? 2 * self->capacity : 256;
        double *values = realloc(self->values, capacity * sizeof(*values));
        if (!values) {
            fail(self, OM_EINTERNAL, "there is not enough memory for this file");
            return;
        }
        self->values = values;
        self->capacity = capacity;
    }
    self->values[self->count++] = value;
}

// `text` has a zero behind its last byte.
static void
on_value(struct om_csv *self, const char *text, size_t size)
{
    long long line = self->line;
    if (size == 0) {
        fail(self, OM_EINVAL, "line %lld: column \"%s\" is empty", line,
             show_column(self).text);
        return;
    }
    // These are the characters of decimal numbers: strtod takes hexadecimal ones too.
    char *end;
    double value = 0;
    bool decimal = strspn(text, "0123456789+-.eE") == size;
    if (decimal)
        value = strtod_l(text, &end, self->locale);
    if (decimal && end == text + size && isfinite(value)) {
        keep(self, value);
        return;
    }
    const char *problem = "is not a number";
    if (is_not_finite(text) || (decimal && end == text + size))
        problem = "is not a finite number";
    else if (strspn(text, "0123456789+-.,") == size && memchr(text, ',', size))
        problem = "is not a number: write a point before decimals and no commas";
    fail(self, OM_EINVAL, "line %lld: \"%s\" in column \"%s\" %s", line,
         show(text, size).text, show_column(self).text, problem);
}

static void
on_cell(void *data, size_t size, void *context)
{
    struct om_csv *self = context;
    self->line_used = true;
    if (self->rc != OM_OK)
        return;
    // In a file of one column an empty line may be a missing value.
    if (self->in_body && self->columns == 1 && self->blank_line)
        fail(self, OM_EINVAL, "line %lld is empty", (long long)self->blank_line);
    if (!self->in_body)
        on_name(self, data, size);
    else if (self->cell == self->target)
        on_value(self, data, size);
    self->cell++;
}

static void
on_row(int terminator, void *context)
{
    struct om_csv *self = context;
    (void)terminator;
    if (self->rc == OM_OK && !self->in_body)
        end_header(self);
    else if (self->rc == OM_OK && self->cell != self->columns)
        fail(self, OM_EINVAL, "line %lld has %zu columns, the header has %zu",
             (long long)self->line, self->cell, self->columns);
    self->cell = 0;
}

// Give libcsv some bytes of one line.
static void
parse(struct om_csv *self, const char *data, size_t size)
{
    if (csv_parse(&self->parser, data, size, on_cell, on_row, self) != size) {
        if (csv_error(&self->parser) == CSV_EPARSE)
            fail(self, OM_EINVAL,
                 "line %lld: a quote is in the wrong place: put quotes around whole "
                 "values, and write one inside as two",
                 (long long)self->line);
        fail(self, OM_EINTERNAL, "there is not enough memory for this file");
    }
    if (self->parser.entry_pos > OM_CSV_CELL_MAX)
        fail(self, OM_ETOOBIG,
             "line %lld: a value is longer than %d bytes: is a quote before it not "
             "closed?",
             (long long)self->line, OM_CSV_CELL_MAX);
}

static void
end_line(struct om_csv *self)
{
    if (!self->line_used && self->parser.entry_pos == 0 && !self->blank_line)
        self->blank_line = self->line;
    self->line++;
    self->line_used = false;
}

// Step over a byte order mark, which may come in pieces.
static void
skip_mark(struct om_csv *self, struct om_str *bytes)
{
    while (self->mark_size < MARK_OVER && bytes->size > 0) {
        if (*bytes->data != mark[self->mark_size]) {
            size_t matched = self->mark_size;
            self->mark_size = MARK_OVER;
            if (matched == 0 && (*bytes->data == '\xff' || *bytes->data == '\xfe'))
                fail(self, OM_EINVAL, "the file is UTF-16: save it as UTF-8");
            parse(self, mark, matched);
            return;
        }
        self->mark_size++;
        bytes->data++;
        bytes->size--;
    }
}

enum om_rc
om_csv_feed(struct om_csv *self, struct om_str bytes)
{
    self->bytes += (int64_t)bytes.size;
    if (self->bytes > OM_CSV_BYTES_MAX)
        fail(self, OM_ETOOBIG, "the file is larger than %d bytes", OM_CSV_BYTES_MAX);
    skip_mark(self, &bytes);
    while (bytes.size > 0 && self->rc == OM_OK) {
        size_t size = 0;
        char last;
        do
            last = bytes.data[size++];
        while (last != '\n' && last != '\r' && size < bytes.size && size < PIECE_BYTES);
        parse(self, bytes.data, size);
        bool pair = last == '\n' && size == 1 && self->after_cr;
        if ((last == '\n' && !pair) || last == '\r')
            end_line(self);
        self->after_cr = last == '\r';
        bytes.data += size;
        bytes.size -= size;
    }
    return self->rc;
}

enum om_rc
om_csv_finish(struct om_csv *self, size_t min_rows, double **values, size_t *count)
{
    *values = NULL;
    *count = 0;
    if (self->rc == OM_OK && csv_fini(&self->parser, on_cell, on_row, self) != 0)
        fail(self, OM_EINVAL, "a quote is opened and never closed");
    if (!self->in_body)
        fail(self, OM_EINVAL,
             "the file is empty: it needs a header row with the columns' names");
    if (self->count < min_rows)
        fail(self, OM_EINVAL, "the file has %zu rows of data, at least %zu are needed",
             self->count, min_rows);
    if (self->rc != OM_OK)
        return self->rc;
    *values = self->values;
    *count = self->count;
    self->values = NULL;
    self->count = self->capacity = 0;
    return OM_OK;
}

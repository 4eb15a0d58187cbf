// csv_table.h - reads one column of numbers from a CSV file (RFC 4180) with a header row.
//
// Bytes are fed as they come and only the wanted column is kept, so memory is bounded by
// the rows, not the file. Commas separate; quotes, CRLF, and a UTF-8 byte order mark are
// understood. Numbers are read as in C, whatever the locale. One thread.
#pragma once
#include "rc.h"

enum {
    OM_CSV_COLUMNS_MAX = 1000,
    OM_CSV_ROWS_MAX = 10 * 1000 * 1000,
    OM_CSV_CELL_MAX = 64 * 1024,
    OM_CSV_BYTES_MAX = 1 << 30,
};

struct om_csv;

// Read the column named `column`, which is copied. NULL: no memory.
struct om_csv *om_csv_create(struct om_str column);

// Read on. OM_EINVAL, OM_ETOOBIG: the reason is in om_csv_why(), and stays.
OM_MUST_CHECK enum om_rc om_csv_feed(struct om_csv *self, struct om_str bytes);

// The file has ended: check that at least `min_rows` values were read, and give them
// away. The caller frees *values. Outcomes as of om_csv_feed().
OM_MUST_CHECK enum om_rc om_csv_finish(struct om_csv *self, size_t min_rows,
                                       double **values, size_t *count);

// What is wrong and how to mend it, as valid UTF-8: names the line as an editor counts
// them, the column, and the value, cut to 40 characters. "" if nothing is wrong.
const char *om_csv_why(const struct om_csv *self);

// Is it the name of the column that is wrong, and not the file?
bool om_csv_column_unknown(const struct om_csv *self);

void om_csv_destroy(struct om_csv **self_p);

#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "csv_table.h"

struct result {
    enum om_rc rc;
    double *values;
    size_t count;
    char why[1024];
    bool column_unknown;
};

// Read `text` in pieces of `piece` bytes.
static struct result
read_csv(const char *column, struct om_str text, size_t piece, size_t min_rows)
{
    struct result result = { 0 };
    OM_AUTO(om_csv_destroy) struct om_csv *csv = om_csv_create(om_str(column));
    cr_assert(csv);
    for (size_t at = 0; at < text.size && result.rc == OM_OK; at += piece) {
        size_t size = text.size - at < piece ? text.size - at : piece;
        result.rc = om_csv_feed(csv, (struct om_str){ text.data + at, size });
    }
    if (result.rc == OM_OK)
        result.rc = om_csv_finish(csv, min_rows, &result.values, &result.count);
    strcpy(result.why, om_csv_why(csv));
    result.column_unknown = om_csv_column_unknown(csv);
    return result;
}

static void
expect_values(const char *text, const double *wanted, size_t count)
{
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct result got = read_csv("y", om_str(text), piece, 0);
        cr_assert_eq(got.rc, OM_OK, "%s: %s", text, got.why);
        cr_assert_eq(got.count, count, "%s: %zu values", text, got.count);
        for (size_t i = 0; i < count; i++)
            cr_expect_eq(got.values[i], wanted[i], "%s: value %zu", text, i);
        free(got.values);
    }
}

Test(csv_table, reads_the_column_however_the_bytes_are_cut)
{
    static const double wanted[] = { 1, -2.5, 3e2 };
    static const char *const texts[] = {
        "x,y\na,1\nb,-2.5\nc,3e2\n",
        "x,y\r\na,1\r\nb,-2.5\r\nc,3e2\r\n",
        "x,y\ra,1\rb,-2.5\rc,3e2\r",
        "\xef\xbb\xbfy,x\n1,a\n-2.5,b\n3e2,c",
        "y\n1\n-2.5\n3e2\n\n\n",
        "\"x\",\"y\"\n\"a, \"\"b\"\"\n\",1\nb,\"-2.5\"\nc, +300.0 \n",
        "x,y\n\na,1\n\nb,-2.5\n\nc,.3e3\n",
        "y,x;z\n1,\n-2.5,\n300.,\n",
    };
    for (size_t i = 0; i < OM_COUNT(texts); i++)
        expect_values(texts[i], wanted, OM_COUNT(wanted));
}

Test(csv_table, says_what_is_wrong_and_where)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "", "the file is empty: it needs a header row with the columns' names" },
        { "\n\n", "the file is empty: it needs a header row with the columns' names" },
        { "\xef\xbb\xbf",
          "the file is empty: it needs a header row with the columns' names" },
        { "a,b\n1,2\n", "there is no column \"y\": the file has \"a\", \"b\"" },
        { "Y\n1\n", "there is no column \"y\": the file has \"Y\"" },
        { "y,x,y\n1,2,3\n", "two columns are named \"y\": give each its own name" },
        { "x;y\n1;2\n",
          "the columns are separated by semicolons: save the file with commas" },
        { "x\ty\n1\t2\n",
          "the columns are separated by tabs: save the file with commas" },
        { "\xff\xfey\n1", "the file is UTF-16: save it as UTF-8" },
        { "x,y\n1,2\n3,abc\n", "line 3: \"abc\" in column \"y\" is not a number" },
        { "x,y\n\n\n3,abc\n", "line 4: \"abc\" in column \"y\" is not a number" },
        { "x,y\n\"a\nb\",1\nc,?\n", "line 4: \"?\" in column \"y\" is not a number" },
        { "x,y\r\n1,2\r\n3,abc\r\n", "line 3: \"abc\" in column \"y\" is not a number" },
        { "y\n0x10\n", "line 2: \"0x10\" in column \"y\" is not a number" },
        { "y\n1 2\n", "line 2: \"1 2\" in column \"y\" is not a number" },
        { "y\n1e\n", "line 2: \"1e\" in column \"y\" is not a number" },
        { "y\n--1\n", "line 2: \"--1\" in column \"y\" is not a number" },
        { "y\n\"1,5\"\n", "line 2: \"1,5\" in column \"y\" is not a number: "
                          "write a point before decimals and no commas" },
        { "y\nNaN\n", "line 2: \"NaN\" in column \"y\" is not a finite number" },
        { "y\n-inf\n", "line 2: \"-inf\" in column \"y\" is not a finite number" },
        { "y\n1e999\n", "line 2: \"1e999\" in column \"y\" is not a finite number" },
        { "x,y\n1,\n", "line 2: column \"y\" is empty" },
        { "x,y\n1,\"\"\n", "line 2: column \"y\" is empty" },
        { "y\n1\n\n2\n", "line 3 is empty" },
        { "x,y\n1,2\n3\n", "line 3 has 1 columns, the header has 2" },
        { "x,y\n1,2,3\n", "line 2 has 3 columns, the header has 2" },
        { "x,y\n1,2\"3\n",
          "line 2: a quote is in the wrong place: put quotes around whole "
          "values, and write one inside as two" },
        { "x,y\n1,\"2\n", "a quote is opened and never closed" },
        { "y\n1\n2\n", "the file has 2 rows of data, at least 3 are needed" },
        { "y\n\x01\xff\xc3\xa9\xed\xa0\x80\n",
          "line 2: \"??é???\" in column \"y\" is not a number" },
        { "y\n0123456789012345678901234567890123456789a\n",
          "line 2: \"0123456789012345678901234567890123456789…\" in column \"y\" is not "
          "a "
          "number" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        for (size_t piece = 1; piece < 50; piece += 7) {
            struct result got = read_csv("y", om_str(rows[i].text), piece, 3);
            cr_expect_eq(got.rc, OM_EINVAL, "%s", rows[i].text);
            cr_expect_str_eq(got.why, rows[i].why);
            cr_expect_null(got.values);
        }
}

Test(csv_table, tells_a_wrong_column_from_a_wrong_file)
{
    cr_expect(read_csv("y", om_str("x\n1\n"), 9, 0).column_unknown);
    cr_expect_not(read_csv("y", om_str("y\nabc\n"), 9, 0).column_unknown);
}

Test(csv_table, lists_only_the_first_columns)
{
    char text[20000] = "c0";
    for (int i = 1; i < 900; i++)
        sprintf(text + strlen(text), ",c%d", i);
    strcat(text, "\n");
    struct result got = read_csv("y", om_str(text), 4096, 0);
    cr_expect(strstr(got.why, "\"c0\", \"c1\""), "%s", got.why);
    cr_expect(strstr(got.why, "\"c19\", …"), "%s", got.why);
    cr_expect_not(strstr(got.why, "\"c20\""));

    char *wide = calloc(1, 3000);
    memset(wide, ',', OM_CSV_COLUMNS_MAX);
    cr_expect_str_eq(read_csv("y", om_str(wide), 4096, 0).why,
                     "the file has more than 1000 columns");
    free(wide);
}

Test(csv_table, refuses_a_cell_that_never_ends)
{
    size_t size = OM_CSV_CELL_MAX + 40000;
    char *text = malloc(size);
    memset(text, 'a', size);
    memcpy(text, "y\n\"", 3);
    for (size_t piece = 1000; piece <= size; piece += size - 1000) {
        struct result got = read_csv("y", (struct om_str){ text, size }, piece, 0);
        cr_expect_eq(got.rc, OM_ETOOBIG);
        cr_expect(strstr(got.why, "is a quote before it not closed?"), "%s", got.why);
    }
    free(text);
}

Test(csv_table, takes_bytes_with_zeros_for_text)
{
    static const char text[] = "y\n1\0002\n";
    struct result got = read_csv("y", (struct om_str){ text, sizeof(text) - 1 }, 3, 0);
    cr_expect_str_eq(got.why, "line 2: \"1?2\" in column \"y\" is not a number");
}

Test(csv_table, keeps_its_first_failure)
{
    OM_AUTO(om_csv_destroy) struct om_csv *csv = om_csv_create(om_str("y"));
    double *values;
    size_t count;
    cr_expect_eq(om_csv_feed(csv, om_str("y\na\n")), OM_EINVAL);
    cr_expect_eq(om_csv_feed(csv, om_str("1\n2\n")), OM_EINVAL);
    cr_expect_eq(om_csv_finish(csv, 0, &values, &count), OM_EINVAL);
    cr_expect_str_eq(om_csv_why(csv), "line 2: \"a\" in column \"y\" is not a number");
    cr_expect_null(values);
}

Test(csv_table, reads_numbers_with_a_point_in_any_locale)
{
    // Debian's minimal images have C.UTF-8 only; where there is a locale with commas, it
    // is used.
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        setlocale(LC_ALL, "C.UTF-8");
    static const double wanted[] = { 1.5 };
    expect_values("y\n1.5\n", wanted, 1);
}

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fingerprint.h"

static const char *
title_of(const char *text)
{
    static char out[OM_TITLE_MAX + 1];
    size_t size = om_error_title(om_str(text), out);
    cr_assert_eq(size, strlen(out));
    return out;
}

Test(fingerprint, takes_out_what_differs_from_one_time_to_the_next)
{
    static const struct {
        const char *text, *title;
    } rows[] = {
        { "", "" },
        { "disk full", "disk full" },
        { "task task_01m7z5svr0fvss58fhk4ps3z7y failed", "task <id> failed" },
        { "no order 0af76519-16cd-43dd-8448-eb211c80319c here", "no order <id> here" },
        { "trace 985ee563bafcbef028ed43556cf9bbe5", "trace <id>" },
        { "at 0x7ffd3c1a20 in worker", "at <hex> in worker" },
        { "commit c86c6a9f lost", "commit <hex> lost" },
        { "order 17 of 42", "order <n> of <n>" },
        { "took 12ms", "took <n>ms" },
        { "took 3.75 s, not -1e-5", "took <n> s, not <n>" },
        { "1,024 bytes", "<n> bytes" },
        { "rows [1, 2, 3] are bad", "rows [<n>] are bad" },
        { "no user 'ann' in \"eu\"", "no user <str> in <str>" },
        { "can't read the user's file", "can't read the user's file" },
        { "it said \"a \\\"b\\\" c\" then left", "it said <str> then left" },
        { "open /var/lib/omni/a.csv: denied", "open <path>: denied" },
        { "open ./a: denied", "open <path>: denied" },
        { "in data/orders.csv", "in <path>" },
        { "open C:\\data\\a.csv", "open <path>" },
        { "read/write of application/json", "read/write of application/json" },
        { "GET https://api.example.com/v1/x?id=5 failed", "GET <url> failed" },
        { "connect to 10.0.0.7:5432 refused", "connect to <addr> refused" },
        { "connect to fe80::1:2 refused", "connect to <addr> refused" },
        { "connect to ::1 refused", "connect to <addr> refused" },
        { "port:8080 is taken", "port:<n> is taken" },
        { "mail to ann@example.com", "mail to <addr>" },
        { "at 2026-11-21T16:33:48.123Z it ended", "at <time> it ended" },
        { "at 2026-11-21 it ended", "at <time> it ended" },
        { "at 16:33:48 it ended", "at <time> it ended" },
        { "code=17, id=abc", "code=<n>, id=abc" },
        { "key dGhpcyBpcyBhIHNlY3JldA0123== is bad", "key <id> is bad" },
        { "ValueError: bad value: 17", "ValueError: bad value: <n>" },
        { "utf-8 is not latin1", "utf-<n> is not latin<n>" },
        { "  two\n\tlines\x01 here  ", "two lines here" },
        { "gr\xc3\xb6\xc3\x9f"
          "er \xff than",
          "gr\xc3\xb6\xc3\x9f"
          "er ? than" },
        { "test_of_something_that_is_long", "test_of_something_that_is_long" },
        { "10.", "<n>." },
        { "...", "..." },
        { "://", "<url>" },
        { "'", "'" },
        { "a:", "a:" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        cr_expect_str_eq(title_of(rows[i].text), rows[i].title, "%s", rows[i].text);
}

Test(fingerprint, is_the_same_for_the_same_error_and_differs_for_others)
{
    static const char *const groups[][3] = {
        { "user 'ann' has 3 of 5 seats", "user 'bob@x.org' has 17 of 20 seats" },
        { "no file file_01m7z5svr0fvss58fhk4ps3z7y",
          "no file file_01m7z5sywzes0b3gj5htc1r6fy" },
        { "timeout after 30 s", "timeout after 2.5 s", "timeout after 1e3 s" },
        { "ids 1, 2 are gone", "ids 7 are gone", "ids 1, 2, 3, 4 are gone" },
        { "connection refused", "connection refused " },
        { "connection reset" },
        { "KeyError: 'user'", "KeyError: 'order'" },
        { "IndexError: list index out of range" },
    };
    char seen[OM_COUNT(groups)][OM_TITLE_MAX + 1];
    for (size_t i = 0; i < OM_COUNT(groups); i++) {
        strcpy(seen[i], title_of(groups[i][0]));
        for (size_t k = 1; k < 3 && groups[i][k]; k++)
            cr_expect_str_eq(title_of(groups[i][k]), seen[i], "%s", groups[i][k]);
        for (size_t k = 0; k < i; k++)
            cr_expect_str_neq(seen[i], seen[k]);
    }
}

#define HEAD "Traceback (most recent call last):\n"
#define OWN(file, line, function)                                                        \
    "  File \"/app/" file "\", line " line ", in " function "\n    x = load(y)\n"
#define LIBRARY                                                                          \
    "  File \"/usr/lib/python3.11/json/decoder.py\", line 355, in raw_decode\n"          \
    "    raise JSONDecodeError(\"Expecting value\", s, err.value) from None\n"

Test(fingerprint, of_a_traceback_is_the_exception_and_our_innermost_functions)
{
    static const struct {
        const char *text, *title;
    } rows[] = {
        { HEAD OWN("main.py", "3", "main") OWN("orders.py", "17", "parse") LIBRARY
          "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n",
          "json.decoder.JSONDecodeError in orders.py:parse < main.py:main" },
        { HEAD OWN("main.py", "99", "main") OWN("orders.py", "1", "parse") LIBRARY
          "json.decoder.JSONDecodeError: Extra data: line 9 column 2 (char 7)",
          "json.decoder.JSONDecodeError in orders.py:parse < main.py:main" },
        { HEAD LIBRARY "ValueError: x", "ValueError in decoder.py:raw_decode" },
        { HEAD OWN("a.py", "1", "a") OWN("b.py", "1", "b") OWN("c.py", "1", "c")
              OWN("d.py", "1", "<lambda>") "KeyError: 5",
          "KeyError in d.py:<lambda> < c.py:c < b.py:b" },
        { HEAD OWN("a.py", "1",
                   "a") "KeyError: 5\n\nDuring handling of the above "
                        "exception, another exception occurred:\n\n" HEAD OWN(
                            "b.py", "1", "b") "RuntimeError: no\nmore words",
          "RuntimeError in b.py:b" },
        { "ValueError: no order 17\n  File \"orders.py\", line 12, in parse",
          "ValueError in orders.py:parse" },
        { HEAD OWN("a.py", "1", "a"), "exception in a.py:a" },
        { HEAD "  File \"", "Traceback (most recent call last): File \"" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        cr_expect_str_eq(title_of(rows[i].text), rows[i].title, "row %zu", i);
}

Test(fingerprint, is_bounded_and_valid_whatever_comes)
{
    static const char *const parts[] = { "'",
                                         "\"",
                                         "/",
                                         ":",
                                         "::",
                                         "0x",
                                         "1",
                                         "f",
                                         "-",
                                         ".",
                                         "@",
                                         "=",
                                         "\n",
                                         "  File \"",
                                         "\", line ",
                                         ", in ",
                                         "\xc3",
                                         "\xb6",
                                         "\xe2\x82\xac",
                                         "\\",
                                         HEAD,
                                         "task_",
                                         "://",
                                         " ",
                                         "e",
                                         "\0" };
    char text[4096], out[OM_TITLE_MAX + 1];
    srand(7);
    for (int round = 0; round < 3000; round++) {
        size_t size = 0, count = (size_t)rand() % 200;
        for (size_t i = 0; i < count; i++) {
            const char *part = parts[(size_t)rand() % OM_COUNT(parts)];
            size_t part_size = *part ? strlen(part) : 1;
            memcpy(text + size, part, part_size);
            size += part_size;
        }
        char *exact = malloc(size + 1); // so that a read behind it is seen
        memcpy(exact, text, size);
        exact = realloc(exact, size ? size : 1);
        size_t written = om_error_title((struct om_str){ exact, size }, out);
        free(exact);
        cr_assert_leq(written, OM_TITLE_MAX);
        cr_assert_eq(strlen(out), written);
        for (size_t i = 0; i < written; i++)
            cr_assert((unsigned char)out[i] >= ' ');
    }
}

Test(fingerprint, of_parts_depends_on_where_one_ends)
{
    static const struct om_str rows[][3] = {
        { { "ab", 2 }, { "c", 1 }, { "", 0 } },
        { { "a", 1 }, { "bc", 2 }, { "", 0 } },
        { { "ab", 2 }, { "", 0 }, { "c", 1 } },
        { { NULL, 0 }, { "ab", 2 }, { "c", 1 } },
    };
    uint8_t seen[OM_COUNT(rows)][OM_FINGERPRINT], again[OM_FINGERPRINT];
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        om_fingerprint(rows[i], 3, seen[i]);
        om_fingerprint(rows[i], 3, again);
        cr_expect_eq(memcmp(seen[i], again, sizeof(again)), 0);
        for (size_t k = 0; k < i; k++)
            cr_expect_neq(memcmp(seen[i], seen[k], sizeof(again)), 0);
    }
}

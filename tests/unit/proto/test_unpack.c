#include <criterion/criterion.h>
#include <float.h>
#include <stdlib.h>

#include "pack.h"
#include "unpack.h"

#define BYTES(literal)                                                                   \
    {                                                                                    \
        literal, sizeof(literal) - 1                                                     \
    }

// A copy of exact size lets the address sanitizer see a read past the end.
static bool
next(struct om_str bytes, struct om_token *token, size_t *left)
{
    char *copy = malloc(bytes.size ? bytes.size : 1);
    cr_assert(copy);
    memcpy(copy, bytes.data, bytes.size);
    struct om_str rest = { copy, bytes.size };
    bool read = om_token_next(&rest, token);
    *left = rest.size;
    free(copy);
    return read;
}

Test(unpack, reads_every_kind_of_token)
{
    static const struct {
        struct om_str bytes;
        struct om_token token;
    } rows[] = {
        { BYTES("\xc0"), { .type = OM_TOKEN_NIL } },
        { BYTES("\xc2"), { .type = OM_TOKEN_BOOL } },
        { BYTES("\xc3"), { .type = OM_TOKEN_BOOL, .integer = 1 } },
        { BYTES("\x00"), { .type = OM_TOKEN_INT } },
        { BYTES("\x7f"), { .type = OM_TOKEN_INT, .integer = 127 } },
        { BYTES("\xff"), { .type = OM_TOKEN_INT, .integer = -1 } },
        { BYTES("\xe0"), { .type = OM_TOKEN_INT, .integer = -32 } },
        { BYTES("\xcc\xff"), { .type = OM_TOKEN_INT, .integer = 255 } },
        { BYTES("\xcd\xff\xfe"), { .type = OM_TOKEN_INT, .integer = 65534 } },
        { BYTES("\xce\xff\xff\xff\xfe"),
          { .type = OM_TOKEN_INT, .integer = 4294967294 } },
        { BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"),
          { .type = OM_TOKEN_INT, .integer = INT64_MAX } },
        { BYTES("\xcf\x80\0\0\0\0\0\0\0"),
          { .type = OM_TOKEN_LARGE, .integer = INT64_MIN } },
        { BYTES("\xd0\x80"), { .type = OM_TOKEN_INT, .integer = -128 } },
        { BYTES("\xd0\x05"), { .type = OM_TOKEN_INT, .integer = 5 } },
        { BYTES("\xd1\x80\x00"), { .type = OM_TOKEN_INT, .integer = -32768 } },
        { BYTES("\xd2\x80\0\0\0"), { .type = OM_TOKEN_INT, .integer = INT32_MIN } },
        { BYTES("\xd3\x80\0\0\0\0\0\0\0"),
          { .type = OM_TOKEN_INT, .integer = INT64_MIN } },
        { BYTES("\xca\x3f\x00\0\0"), { .type = OM_TOKEN_FLOAT, .number = 0.5 } },
        { BYTES("\xcb\xbf\xf8\0\0\0\0\0\0"), { .type = OM_TOKEN_FLOAT, .number = -1.5 } },
        { BYTES("\xa0"), { .type = OM_TOKEN_STR } },
        { BYTES("\xa1x"), { .type = OM_TOKEN_STR, .size = 1 } },
        { BYTES("\xd9\x01x"), { .type = OM_TOKEN_STR, .size = 1 } },
        { BYTES("\xda\x00\x01x"), { .type = OM_TOKEN_STR, .size = 1 } },
        { BYTES("\xdb\0\0\0\x01x"), { .type = OM_TOKEN_STR, .size = 1 } },
        { BYTES("\xc4\x01x"), { .type = OM_TOKEN_BIN, .size = 1 } },
        { BYTES("\xc5\x00\x01x"), { .type = OM_TOKEN_BIN, .size = 1 } },
        { BYTES("\xc6\0\0\0\x01x"), { .type = OM_TOKEN_BIN, .size = 1 } },
        { BYTES("\xc7\x01\x05x"), { .type = OM_TOKEN_EXT, .size = 1 } },
        { BYTES("\xc8\x00\x01\x05x"), { .type = OM_TOKEN_EXT, .size = 1 } },
        { BYTES("\xc9\0\0\0\x01\x05x"), { .type = OM_TOKEN_EXT, .size = 1 } },
        { BYTES("\xd4\x05x"), { .type = OM_TOKEN_EXT, .size = 1 } },
        { BYTES("\xd5\x05xx"), { .type = OM_TOKEN_EXT, .size = 2 } },
        { BYTES("\xd6\x05xxxx"), { .type = OM_TOKEN_EXT, .size = 4 } },
        { BYTES("\xd7\x05xxxxxxxx"), { .type = OM_TOKEN_EXT, .size = 8 } },
        { BYTES("\xd8\x05xxxxxxxxxxxxxxxx"), { .type = OM_TOKEN_EXT, .size = 16 } },
        { BYTES("\x92xx"), { .type = OM_TOKEN_ARRAY, .size = 2 } },
        { BYTES("\xdc\x00\x02xx"), { .type = OM_TOKEN_ARRAY, .size = 2 } },
        { BYTES("\xdd\0\0\0\x02xx"), { .type = OM_TOKEN_ARRAY, .size = 2 } },
        { BYTES("\x81xx"), { .type = OM_TOKEN_MAP, .size = 1 } },
        { BYTES("\xde\x00\x01xx"), { .type = OM_TOKEN_MAP, .size = 1 } },
        { BYTES("\xdf\0\0\0\x01xx"), { .type = OM_TOKEN_MAP, .size = 1 } },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct om_token token;
        const struct om_token *wanted = &rows[i].token;
        size_t left;
        cr_assert(next(rows[i].bytes, &token, &left), "row %zu", i);
        cr_expect(token.type == wanted->type && token.size == wanted->size &&
                      token.integer == wanted->integer && token.number == wanted->number,
                  "row %zu", i);
        size_t behind = wanted->type == OM_TOKEN_MAP ? 2 * wanted->size : wanted->size;
        cr_expect_eq(left, behind, "row %zu", i);
        // A byte less is refused: each row ends with what its head promises.
        struct om_str cut = { rows[i].bytes.data, rows[i].bytes.size - 1 };
        cr_expect_not(next(cut, &token, &left), "row %zu, cut", i);
    }
}

Test(unpack, refuses_what_is_no_token)
{
    static const struct om_str rows[] = {
        BYTES(""),
        BYTES("\xc1"), // never used
        BYTES("\xc1xxxxxxxxxxxxxxxx"),
        BYTES("\xbfx"),
        BYTES("\x9fx"),
        BYTES("\x82xxx"), // two pairs, three values
        BYTES("\xdb\xff\xff\xff\xffx"),
        BYTES("\xc6\xff\xff\xff\xffx"),
        BYTES("\xc9\xff\xff\xff\xff\x05x"),
        BYTES("\xdd\xff\xff\xff\xffx"),
        BYTES("\xdf\xff\xff\xff\xffx"),
        BYTES("\xdf\x80\0\0\0xx"),
        BYTES("\xd8\x05xxx"),
        BYTES("\xc7\x00"), // an ext without its type
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct om_token token;
        size_t left;
        cr_expect_not(next(rows[i], &token, &left), "row %zu", i);
    }
}

// The shortest form, and the value that comes back.
Test(unpack, reads_the_integers_that_were_packed)
{
    static const struct {
        int64_t value;
        size_t size;
    } rows[] = {
        { 0, 1 },
        { 127, 1 },
        { 128, 2 },
        { 255, 2 },
        { 256, 3 },
        { 65535, 3 },
        { 65536, 5 },
        { UINT32_MAX, 5 },
        { 4294967296, 9 },
        { INT64_MAX, 9 },
        { -1, 1 },
        { -32, 1 },
        { -33, 2 },
        { -128, 2 },
        { -129, 3 },
        { INT16_MIN, 3 },
        { INT16_MIN - 1, 5 },
        { INT32_MIN, 5 },
        { INT32_MIN - INT64_C(1), 9 },
        { INT64_MIN, 9 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct om_token token;
        size_t left;
        om_pack_i64(&buf, rows[i].value);
        cr_expect_eq(buf.size, rows[i].size, "row %zu", i);
        cr_assert(next(om_buf_str(&buf), &token, &left), "row %zu", i);
        cr_expect(token.type == OM_TOKEN_INT && token.integer == rows[i].value &&
                      left == 0,
                  "row %zu", i);
    }
}

Test(unpack, reads_the_numbers_that_were_packed)
{
    static const struct {
        double value;
        size_t size;
    } rows[] = { { 0, 5 },     { -0.5, 5 },    { 0.1, 9 },
                 { 1e300, 9 }, { DBL_MAX, 9 }, { FLT_MAX, 5 } };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct om_token token;
        size_t left;
        om_pack_f64(&buf, rows[i].value);
        cr_expect_eq(buf.size, rows[i].size, "row %zu", i);
        cr_assert(next(om_buf_str(&buf), &token, &left), "row %zu", i);
        cr_expect(token.type == OM_TOKEN_FLOAT && token.number == rows[i].value,
                  "row %zu", i);
    }
}

Test(unpack, reads_the_sizes_that_were_packed)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536 };
    static void (*const pack[])(struct om_buf *, size_t) = { om_pack_array, om_pack_map };
    static const enum om_token_type types[] = { OM_TOKEN_ARRAY, OM_TOKEN_MAP };
    static char bytes[2 * 65536];
    for (size_t i = 0; i < OM_COUNT(sizes); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct om_token token;
        struct om_str text = { bytes, sizes[i] }, rest;
        om_pack_str(&buf, text);
        rest = om_buf_str(&buf);
        cr_expect(om_token_next(&rest, &token) && token.type == OM_TOKEN_STR);
        cr_expect(om_str_eq(rest, text), "%zu", sizes[i]);
        om_buf_reset(&buf);
        om_pack_bin(&buf, text);
        rest = om_buf_str(&buf);
        cr_expect(om_token_next(&rest, &token) && token.type == OM_TOKEN_BIN);
        cr_expect(om_str_eq(rest, text), "%zu", sizes[i]);
        for (size_t k = 0; k < OM_COUNT(pack); k++) {
            om_buf_reset(&buf);
            pack[k](&buf, sizes[i]);
            om_buf_put(&buf, bytes, sizes[i] * (k + 1));
            rest = om_buf_str(&buf);
            cr_expect(om_token_next(&rest, &token) && token.type == types[k] &&
                          token.size == sizes[i],
                      "%zu", sizes[i]);
        }
    }
}

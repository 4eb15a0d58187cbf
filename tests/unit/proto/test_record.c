#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "random_record.h"

// One field of each type, with a range that can be missed on both sides.
#define SAMPLE_ITEM(F, M) F(M, I64, n, REQUIRED, 0, 9, NULL, "a digit")
REC_DECLARE(sample_item, SAMPLE_ITEM);
REC_DEFINE(sample_item, SAMPLE_ITEM);
#define SAMPLE(F, M)                                                                     \
    F(M, I64, integer, OPTIONAL, -5, 5, NULL, "")                                        \
    F(M, F64, number, OPTIONAL, -0.5, 0.5, NULL, "")                                     \
    F(M, BOOL, flag, OPTIONAL, 0, 1, NULL, "")                                           \
    F(M, STR, text, REQUIRED, 1, 3, NULL, "")                                            \
    F(M, BIN, bytes, OPTIONAL, 2, 2, NULL, "")                                           \
    F(M, NUMS, nums, OPTIONAL, 1, 2, NULL, "")                                           \
    F(M, STRS, strs, OPTIONAL, 0, 2, NULL, "")                                           \
    F(M, RECS, recs, OPTIONAL, 0, 2, &sample_item_rec, "")                               \
    F(M, MAP, map, INTERNAL, 0, 2, NULL, "")
REC_DECLARE(sample, SAMPLE);
REC_DEFINE(sample, SAMPLE);

static enum om_rc
decode(const char *bytes, size_t size, struct sample *out, const struct rec_field **field)
{
    // A copy of exact size lets the address sanitizer see a read past the end.
    char *copy = malloc(size ? size : 1);
    cr_assert(copy);
    memcpy(copy, bytes, size);
    enum om_rc rc = rec_decode(&sample_rec, (struct om_str){ copy, size }, out, field);
    free(copy);
    return rc;
}

static struct om_str
member_str(const void *record, const struct rec_field *field)
{
    struct om_str text;
    memcpy(&text, (const char *)record + field->offset, sizeof(text));
    return text;
}

static bool
members_equal(const struct rec_field *field, const void *a, const void *b)
{
    switch (field->type) {
    case REC_I64:
    case REC_F64:
        return memcmp((const char *)a + field->offset, (const char *)b + field->offset,
                      8) == 0;
    case REC_BOOL:
        return *((const bool *)a + field->offset) == *((const bool *)b + field->offset);
    default:
        return om_str_eq(member_str(a, field), member_str(b, field));
    }
}

// A record of type `type` with random values, and its bytes.
static void
fill(struct random_record *random, const struct rec *type, void *record,
     struct om_buf *buf)
{
    om_buf_reset(buf);
    random_record_fill(random, type, 0, record);
    rec_encode(type, record, buf);
    cr_assert_not(buf->failed);
}

Test(record, of_every_type_survives_encoding)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 2);
    for (int round = 0; round < 200; round++)
        for (size_t t = 0; t < random_record_type_count; t++) {
            const struct rec *type = random_record_types[t];
            uint64_t in[256], out[256];
            const struct rec_field *field;
            cr_assert_leq(type->size, sizeof(in));
            fill(&random, type, in, &buf);
            cr_assert_eq(rec_check(type, in, &field), OM_OK, "%s", type->name);
            cr_assert_eq(rec_decode(type, om_buf_str(&buf), out, &field), OM_OK, "%s.%s",
                         type->name, field ? field->name : "");
            cr_assert_eq(in[0], out[0], "%s: presence", type->name);
            for (size_t i = 0; i < type->count; i++)
                cr_assert(members_equal(&type->fields[i], in, out), "%s.%s", type->name,
                          type->fields[i].name);
        }
    random_record_finish(&random);
}

Test(record, of_every_type_can_be_moved_with_its_bytes)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 8);
    for (size_t t = 0; t < random_record_type_count; t++) {
        const struct rec *type = random_record_types[t];
        uint64_t in[256], out[256];
        fill(&random, type, in, &buf);
        char *bytes = malloc(buf.size), *copy = malloc(buf.size);
        cr_assert(bytes && copy);
        memcpy(bytes, buf.data, buf.size);
        memcpy(copy, buf.data, buf.size);
        cr_assert_eq(rec_decode(type, (struct om_str){ bytes, buf.size }, out, NULL),
                     OM_OK);
        rec_rebase(type, out, bytes, copy);
        free(bytes);
        cr_expect_eq(in[0], out[0]);
        for (size_t i = 0; i < type->count; i++)
            cr_expect(members_equal(&type->fields[i], in, out), "%s.%s", type->name,
                      type->fields[i].name);
        free(copy);
    }
    random_record_finish(&random);
}

Test(record, of_every_type_is_refused_when_cut)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 3);
    for (size_t t = 0; t < random_record_type_count; t++) {
        const struct rec *type = random_record_types[t];
        uint64_t record[256];
        fill(&random, type, record, &buf);
        // Long values are cut at fewer places: every byte of 4 KiB, then every 97th.
        for (size_t size = 0; size < buf.size; size += size < 4096 ? 1 : 97) {
            char *copy = malloc(size ? size : 1);
            memcpy(copy, buf.data, size);
            cr_assert_eq(rec_decode(type, (struct om_str){ copy, size }, record, NULL),
                         OM_EPROTO, "%s at %zu of %zu", type->name, size, buf.size);
            free(copy);
        }
    }
    random_record_finish(&random);
}

Test(record, survives_any_changed_byte)
{
    struct random_record random;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    random_record_init(&random, 4);
    for (int round = 0; round < 20000; round++) {
        const struct rec *type =
            random_record_types[random_record_bits(&random) % random_record_type_count];
        uint64_t record[256];
        fill(&random, type, record, &buf);
        char *copy = malloc(buf.size);
        memcpy(copy, buf.data, buf.size);
        for (int i = 0; i < 3; i++)
            copy[random_record_bits(&random) % buf.size] =
                (char)random_record_bits(&random);
        if (rec_decode(type, (struct om_str){ copy, buf.size }, record, NULL) == OM_OK)
            cr_expect_eq(rec_check(type, record, NULL), OM_OK, "%s", type->name);
        free(copy);
    }
    random_record_finish(&random);
}

Test(record, ignores_keys_it_does_not_know)
{
    static const char *const values[] = {
        "\xc0", // nil
        "\xc3", // true
        "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        "\x93\x01\x81\xa1x\x90\xa1y", // [1, {x: []}, "y"]
        "\xd6\x05"
        "abcd", // ext
        "\xc7\x01\x05"
        "a", // ext of given size
        "\xc4\x02"
        "ab", // bin
    };
    for (size_t i = 0; i < OM_COUNT(values); i++) {
        size_t size = i == 2 ? 9 : strlen(values[i]);
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct sample out;
        om_pack_map(&buf, 2);
        om_pack_str(&buf, OM_LIT("later"));
        om_buf_put(&buf, values[i], size);
        om_pack_str(&buf, OM_LIT("text"));
        om_pack_str(&buf, OM_LIT("abc"));
        cr_expect_eq(decode(buf.data, buf.size, &out, NULL), OM_OK, "value %zu", i);
        cr_expect_eq(out.has, UINT64_C(1) << sample_F_text);
    }
}

Test(record, takes_a_key_for_its_bytes_and_not_a_string_in_c)
{
    struct sample out;
    const struct rec_field *field;
    static const char bytes[] = "\x81\xa5text\0\xa1x";
    cr_expect_eq(decode(bytes, sizeof(bytes) - 1, &out, &field), OM_EINVAL);
    cr_expect_str_eq(field->name, "text", "it is missing");
}

Test(record, refuses_bytes_that_are_not_one_map)
{
#define BYTES(literal)                                                                   \
    {                                                                                    \
        literal, sizeof(literal) - 1                                                     \
    }
    static const struct om_str rows[] = {
        BYTES(""),
        BYTES("\xc0"),
        BYTES("\x90"),
        BYTES("\xa1x"),
        BYTES("\x81\xa4text\xa1x\xc0"),          // a byte more
        BYTES("\x82\xa4text\xa1x"),              // a pair less
        BYTES("\x82\xa4text\xa1x\xa4text\xa1x"), // a key twice
        BYTES("\x82\xa4text\xa1x\x01\xa1x"),     // a key that is a number
        BYTES("\x82\xa4text\xa1x\x90\xa1x"),     // a key that is an array
        BYTES("\x82\xa4text\xa1x\xa1k\xc1"),     // the type that is never used
        BYTES("\x82\xa4text\xa1x\xa1k\x91"),     // an array without its item
        BYTES("\x82\xa4text\xa1x\xa1k\xa5"
              "abcd"),
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct sample out;
        cr_expect_eq(decode(rows[i].data, rows[i].size, &out, NULL), OM_EPROTO, "row %zu",
                     i);
    }
}

Test(record, refuses_counts_beyond_the_bytes_that_remain)
{
    static const struct om_str rows[] = {
        BYTES("\xdf\xff\xff\xff\xff"), // the record itself
        BYTES("\xde\xff\xff"),
        BYTES("\x81\xdb\xff\xff\xff\xff"),      // a key
        BYTES("\x81\xa1k\xdf\xff\xff\xff\xff"), // an unknown map
        BYTES("\x81\xa1k\xdd\xff\xff\xff\xff"),
        BYTES("\x81\xa1k\xdd\x80\x00\x00\x00"),
        BYTES("\x81\xa1k\xdb\xff\xff\xff\xff"),
        BYTES("\x81\xa1k\xc6\xff\xff\xff\xff"),
        BYTES("\x81\xa1k\xc9\xff\xff\xff\xff\x05"),
        BYTES("\x81\xa1k\x92\xdf\x7f\xff\xff\xff\xc0"), // one inside
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct sample out;
        cr_expect_eq(decode(rows[i].data, rows[i].size, &out, NULL), OM_EPROTO, "row %zu",
                     i);
    }
}

// {text: "x", k: [[[...]]]}
static enum om_rc
decode_nested(size_t depth, bool maps)
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    struct sample out;
    om_pack_map(&buf, 2);
    om_pack_str(&buf, OM_LIT("text"));
    om_pack_str(&buf, OM_LIT("x"));
    om_pack_str(&buf, OM_LIT("k"));
    for (size_t i = 0; i < depth; i++) {
        if (maps)
            om_pack_map(&buf, 1), om_pack_nil(&buf);
        else
            om_pack_array(&buf, 1);
    }
    om_pack_nil(&buf);
    return decode(buf.data, buf.size, &out, NULL);
}

Test(record, bounds_the_depth_of_what_it_skips)
{
    for (int maps = 0; maps < 2; maps++) {
        cr_expect_eq(decode_nested(REC_DEPTH_MAX, maps), OM_OK);
        cr_expect_eq(decode_nested(REC_DEPTH_MAX + 1, maps), OM_EPROTO);
        cr_expect_eq(decode_nested(1000000, maps), OM_EPROTO);
    }
}

Test(record, names_the_field_whose_value_is_wrong)
{
    static const struct {
        const char *field;
        struct om_str value;
    } rows[] = {
        { "integer", BYTES("\xa1x") },
        { "integer", BYTES("\xcb\x3f\xf0\0\0\0\0\0\0") }, // 1.0
        { "integer", BYTES("\x06") },
        { "integer", BYTES("\xfa") }, // -6
        { "integer", BYTES("\xcf\x80\0\0\0\0\0\0\0") },
        { "integer", BYTES("\xc0") },
        { "number", BYTES("\xa1x") },
        { "number", BYTES("\x01") },
        { "number", BYTES("\xff") },                     // -1
        { "number", BYTES("\xcb\x7f\xf8\0\0\0\0\0\0") }, // NaN
        { "number", BYTES("\xcb\x7f\xf0\0\0\0\0\0\0") }, // infinity
        { "flag", BYTES("\x01") },
        { "text", BYTES("\xa0") },
        { "text", BYTES("\xa4"
                        "abcd") },
        { "text", BYTES("\x01") },
        { "bytes", BYTES("\xc4\x01"
                         "a") },
        { "bytes", BYTES("\xc4\x03"
                         "abc") },
        { "bytes", BYTES("\xd5\x01"
                         "ab") }, // ext
        { "nums", BYTES("\x90") },
        { "nums", BYTES("\x93\x01\x02\x03") },
        { "nums", BYTES("\x81\x01\x02") },
        { "strs", BYTES("\x93\xa0\xa0\xa0") },
        { "strs", BYTES("\xa1x") },
        { "recs", BYTES("\x93\x80\x80\x80") },
        { "recs", BYTES("\x80") },
        { "map", BYTES("\x90") },
        { "map", BYTES("\x83\x01\x01\x02\x02\x03\x03") },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        bool required = strcmp(rows[i].field, "text") == 0;
        const struct rec_field *field;
        struct sample out;
        om_pack_map(&buf, required ? 1 : 2);
        om_pack_str(&buf, om_str(rows[i].field));
        om_buf_put(&buf, rows[i].value.data, rows[i].value.size);
        if (!required) {
            om_pack_str(&buf, OM_LIT("text"));
            om_pack_str(&buf, OM_LIT("abc"));
        }
        cr_expect_eq(decode(buf.data, buf.size, &out, &field), OM_EINVAL, "row %zu", i);
        cr_expect(field && strcmp(field->name, rows[i].field) == 0, "row %zu: %s", i,
                  field ? field->name : "none");
        cr_expect_eq(out.has, 0);
    }
}

Test(record, names_the_field_that_is_missing)
{
    static const char bytes[] = "\x81\xa7integer\x01";
    const struct rec_field *field;
    struct sample out;
    cr_expect_eq(decode(bytes, sizeof(bytes) - 1, &out, &field), OM_EINVAL);
    cr_assert(field);
    cr_expect_str_eq(field->name, "text");
}

Test(record, reads_a_number_written_as_an_integer)
{
    static const char bytes[] = "\x82\xa6number\x00\xa4text\xa1x";
    struct sample out;
    cr_assert_eq(decode(bytes, sizeof(bytes) - 1, &out, NULL), OM_OK);
    cr_expect(REC_HAS(&out, sample, number));
    cr_expect_eq(out.number, 0);
}

Test(record, filled_by_a_program_is_checked_the_same_way)
{
    const struct rec_field *field;
    struct sample in = { 0 };
    cr_expect_eq(rec_check(&sample_rec, &in, &field), OM_EINVAL);
    cr_expect_str_eq(field->name, "text");
    REC_SET(&in, sample, text, OM_LIT("x"));
    cr_expect_eq(rec_check(&sample_rec, &in, &field), OM_OK);
    cr_expect_null(field);
    REC_SET(&in, sample, number, (double)NAN);
    cr_expect_eq(rec_check(&sample_rec, &in, &field), OM_EINVAL);
    cr_expect_str_eq(field->name, "number");
    REC_SET(&in, sample, number, 0.25);
    REC_SET(&in, sample, nums, OM_LIT("\x93\x01\x02\x03"));
    cr_expect_eq(rec_check(&sample_rec, &in, &field), OM_EINVAL);
    cr_expect_str_eq(field->name, "nums");
}

Test(record, writes_absent_lists_as_empty_ones)
{
    struct sample in = { 0 }, out;
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    REC_SET(&in, sample, text, OM_LIT("x"));
    REC_SET(&in, sample, strs, ((struct om_str){ 0 }));
    REC_SET(&in, sample, map, ((struct om_str){ 0 }));
    rec_encode(&sample_rec, &in, &buf);
    cr_assert_eq(rec_decode(&sample_rec, om_buf_str(&buf), &out, NULL), OM_OK);
    cr_expect(om_str_eq(out.strs, OM_LIT("\x90")));
    cr_expect(om_str_eq(out.map, OM_LIT("\x80")));
}

Test(record, of_a_list_is_read_in_its_place)
{
    struct sample_item item;
    struct om_str bytes;
    struct rec_iter iter =
        rec_iter((struct om_str)BYTES("\x92\x81\xa1n\x01\x82\xa1?\xc0\xa1n\x02"));
    cr_expect(rec_next_rec(&iter, &sample_item_rec, &item, &bytes) && item.n == 1);
    cr_expect(om_str_eq(bytes, OM_LIT("\x81\xa1n\x01")));
    cr_expect(rec_next_rec(&iter, &sample_item_rec, &item, &bytes) && item.n == 2);
    cr_expect(om_str_eq(bytes, OM_LIT("\x82\xa1?\xc0\xa1n\x02")));
    cr_expect_not(rec_next_rec(&iter, &sample_item_rec, &item, &bytes));
    cr_expect(iter.left == 0);

    static const struct om_str bad[] = {
        BYTES("\x91\x80"),          // it lacks what is required
        BYTES("\x91\x81\xa1n\x0a"), // out of range
        BYTES("\x91\x81\xa1n\xa1"), // cut
        BYTES("\x91\x82\xa1n\x01\xa1n\x01"),
        BYTES("\x91\x01"),
    };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        iter = rec_iter(bad[i]);
        cr_expect_not(rec_next_rec(&iter, &sample_item_rec, &item, &bytes), "%zu", i);
        cr_expect(iter.left == 1, "it is not stepped over");
    }
}

// Keys that begin with the same eight bytes, and keys of just that length.
#define ALIKE(F, M)                                                                      \
    F(M, I64, finished_ms, OPTIONAL, 0, 9, NULL, "")                                     \
    F(M, I64, finished, OPTIONAL, 0, 9, NULL, "")                                        \
    F(M, I64, finished_at, OPTIONAL, 0, 9, NULL, "")                                     \
    F(M, I64, finishe, OPTIONAL, 0, 9, NULL, "")
REC_DECLARE(alike, ALIKE);
REC_DEFINE(alike, ALIKE);

Test(record, tells_keys_apart_that_begin_alike)
{
    static const char *const keys[] = { "finishe",      "finished", "finished_at",
                                        "finished_ms",  "finish",   "finished_",
                                        "finished_mss", "" };
    for (size_t i = 0; i < OM_COUNT(keys); i++) {
        OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
        struct alike out;
        om_pack_map(&buf, 1);
        om_pack_str(&buf, om_str(keys[i]));
        om_pack_i64(&buf, 1);
        cr_assert_eq(rec_decode(&alike_rec, om_buf_str(&buf), &out, NULL), OM_OK);
        uint64_t wanted = 0;
        for (size_t f = 0; f < alike_rec.count; f++)
            if (strcmp(alike_rec.fields[f].name, keys[i]) == 0)
                wanted = UINT64_C(1) << f;
        cr_expect_eq(out.has, wanted, "%s", keys[i]);
    }
}

Test(record, lists_are_walked_item_by_item)
{
    double number;
    struct om_str text, raw;
    struct rec_iter iter =
        rec_iter((struct om_str)BYTES("\x93\x01\xff\xcb\x3f\xe0\0\0\0\0\0\0"));
    cr_expect(iter.left == 3);
    cr_expect(rec_next_f64(&iter, &number) && number == 1);
    cr_expect(rec_next_f64(&iter, &number) && number == -1);
    cr_expect(rec_next_f64(&iter, &number) && number == 0.5);
    cr_expect_not(rec_next_f64(&iter, &number));
    cr_expect(iter.left == 0);

    iter = rec_iter((struct om_str)BYTES("\x93\xa1x\xc4\x01y\x91\xc0"));
    cr_expect_not(rec_next_f64(&iter, &number));
    cr_expect(iter.left == 3, "it is not stepped over");
    cr_expect(rec_next_str(&iter, &text) && om_str_eq(text, OM_LIT("x")));
    cr_expect(rec_next_str(&iter, &text) && om_str_eq(text, OM_LIT("y")));
    cr_expect_not(rec_next_str(&iter, &text));
    cr_expect(rec_next_raw(&iter, &raw) && om_str_eq(raw, OM_LIT("\x91\xc0")));
    cr_expect_not(rec_next_raw(&iter, &raw));

    cr_expect(rec_iter((struct om_str){ 0 }).left == 0);
    cr_expect(rec_iter(OM_LIT("\x01")).left == 0);
    cr_expect(rec_iter(OM_LIT("\xdd\xff\xff\xff\xff")).left == 0);
}

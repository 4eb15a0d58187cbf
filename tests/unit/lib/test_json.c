#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "json.h"
#include "ops.h"

#define INNER_FIELDS(F, M)                                                               \
    F(M, STR, word, REQUIRED, 1, 8, NULL, "a word")                                      \
    F(M, I64, hidden, INTERNAL, 0, 9, NULL, "not shown")
REC_DECLARE(inner, INNER_FIELDS);
REC_DEFINE(inner, INNER_FIELDS);

#define SAMPLE_FIELDS(F, M)                                                              \
    F(M, STR, text, REQUIRED, 1, 8, NULL, "some text")                                   \
    F(M, I64, count, OPTIONAL, 1, 10, NULL, "how many")                                  \
    F(M, F64, share, OPTIONAL, 0, 1, NULL, "a share")                                    \
    F(M, BOOL, flag, OPTIONAL, 0, 1, NULL, "yes or no")                                  \
    F(M, NUMS, values, OPTIONAL, 1, 4, NULL, "values")                                   \
    F(M, STRS, names, OPTIONAL, 0, 2, NULL, "names")                                     \
    F(M, RECS, items, OPTIONAL, 0, 2, &inner_rec, "items")                               \
    F(M, MAP, more, OPTIONAL, 0, 3, NULL, "anything")                                    \
    F(M, BIN, hash, OPTIONAL, 1, 4, NULL, "bytes")                                       \
    F(M, I64, secret, INTERNAL, 0, 9, NULL, "ours")
REC_DECLARE(sample, SAMPLE_FIELDS);
REC_DEFINE(sample, SAMPLE_FIELDS);

static struct om_arena arena;

static void
finish(void)
{
    om_arena_finish(&arena);
}

TestSuite(json, .fini = finish);

// Read, encode as a record, decode that, and write it as JSON again.
static void
check_round_trip(const char *in, const char *out)
{
    struct sample read, decoded;
    struct om_json_error error;
    struct om_buf packed = { 0 }, text = { 0 };
    cr_assert_eq(om_json_to_record(&sample_rec, om_str(in), &arena, &read, &error), OM_OK,
                 "%s: %s", in, error.text);
    rec_encode(&sample_rec, &read, &packed);
    cr_assert_eq(rec_decode(&sample_rec, om_buf_str(&packed), &decoded, NULL), OM_OK,
                 "%s", in);
    om_json_put_record(&text, &sample_rec, &decoded);
    cr_expect(om_str_eq(om_buf_str(&text), om_str(out)), "%s gave %.*s", in,
              (int)text.size, text.data);
    om_buf_finish(&packed);
    om_buf_finish(&text);
}

Test(json, reads_every_type_and_writes_it_back)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "{\"text\":\"a\"}", "{\"text\":\"a\"}" },
        { " { \"count\" : 10 , \"text\" : \"a\" } ", "{\"text\":\"a\",\"count\":10}" },
        { "{\"text\":\"a\",\"count\":null,\"values\":null}", "{\"text\":\"a\"}" },
        { "{\"text\":\"\\u00e4\\\"\\\\\\n\",\"share\":0.1}",
          "{\"text\":\"\xc3\xa4\\\"\\\\\\u000a\",\"share\":0.1}" },
        { "{\"text\":\"a\",\"share\":1,\"flag\":true}",
          "{\"text\":\"a\",\"share\":1,\"flag\":true}" },
        { "{\"text\":\"a\",\"flag\":false,\"values\":[1,-2.5,1e300,0]}",
          "{\"text\":\"a\",\"flag\":false,\"values\":[1,-2.5,1e+300,0]}" },
        { "{\"text\":\"a\",\"names\":[\"x\",\"\"]}",
          "{\"text\":\"a\",\"names\":[\"x\",\"\"]}" },
        { "{\"text\":\"a\",\"names\":[]}", "{\"text\":\"a\",\"names\":[]}" },
        { "{\"text\":\"a\",\"items\":[{\"word\":\"b\"},{\"word\":\"c\"}]}",
          "{\"text\":\"a\",\"items\":[{\"word\":\"b\"},{\"word\":\"c\"}]}" },
        { "{\"text\":\"a\",\"more\":{\"x\":[1,{\"y\":null}],\"z\":{},\"w\":true}}",
          "{\"text\":\"a\",\"more\":{\"x\":[1,{\"y\":null}],\"z\":{},\"w\":true}}" },
        { "{\"text\":\"a\",\"more\":{}}", "{\"text\":\"a\",\"more\":{}}" },
        { "{\"text\":\"a\",\"more\":{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}}",
          "{\"text\":\"a\",\"more\":{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}}" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        check_round_trip(cases[i].in, cases[i].out);
}

Test(json, says_which_field_is_wrong_and_how_to_mend_it)
{
    static const struct {
        const char *json, *param, *text;
    } cases[] = {
        { "", "text", "\"text\" is required: a string, some text" },
        { "{}", "text", "\"text\" is required" },
        { "{\"text\":null}", "text", "\"text\" must be a string, not null: some text" },
        { "[]", "", "the body must be a JSON object, not an array" },
        { "{\"text\":\"a\"", "", "the body is not JSON: line 1, column 11" },
        { "{\"text\":\"a\"} x", "", "the body is not JSON" },
        { "{\"text\":\"\\u0000\"}", "", "the body is not JSON" },
        { "{\"text\":\"\xff\"}", "", "the body is not JSON" },
        { "{\"text\":\"a\",\"share\":NaN}", "", "the body is not JSON" },
        { "{\"text\":\"a\",\"share\":1e999}", "", "the body is not JSON" },
        { "{\"text\":\"a\",\"count\":99999999999999999999}", "", "the body is not JSON" },
        { "{\"text\":\"a\",\"text\":\"b\"}", "", "duplicate" },
        { "{\"text\":1}", "text",
          "\"text\" must be a string, not an integer: some text" },
        { "{\"text\":\"\"}", "text", "\"text\" must have 1 to 8 bytes, not 0" },
        { "{\"text\":\"123456789\"}", "text",
          "must have 1 to 8 bytes, not 9: some text" },
        { "{\"text\":\"a\",\"count\":0}", "count", "\"count\" must be 1 to 10, not 0" },
        { "{\"text\":\"a\",\"count\":1.0}", "count",
          "\"count\" must be an integer, not a number with a fraction" },
        { "{\"text\":\"a\",\"count\":\"1\"}", "count", "an integer, not a string" },
        { "{\"text\":\"a\",\"share\":1.5}", "share",
          "\"share\" must be 0 to 1, not 1.5" },
        { "{\"text\":\"a\",\"flag\":1}", "flag", "\"flag\" must be true or false" },
        { "{\"text\":\"a\",\"values\":[]}", "values", "must have 1 to 4 items, not 0" },
        { "{\"text\":\"a\",\"values\":[1,2,3,4,5]}", "values", "1 to 4 items, not 5" },
        { "{\"text\":\"a\",\"values\":{}}", "values",
          "an array of numbers, not an object" },
        { "{\"text\":\"a\",\"values\":[1,null]}", "values",
          "\"values[1]\" must be a number, not null" },
        { "{\"text\":\"a\",\"names\":[1]}", "names", "must be a string, not an integer" },
        { "{\"text\":\"a\",\"items\":[1]}", "items[0]", "must be an object" },
        { "{\"text\":\"a\",\"items\":[{}]}", "items[0].word", "\"word\" is required" },
        { "{\"text\":\"a\",\"items\":[{\"word\":\"b\"},{\"wort\":\"c\"}]}",
          "items[1].wort", "did you mean \"word\"" },
        { "{\"text\":\"a\",\"more\":[]}", "more", "\"more\" must be an object" },
        { "{\"text\":\"a\",\"more\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4}}", "more",
          "must have 0 to 3 entries, not 4" },
        { "{\"text\":\"a\",\"more\":{\"a\":[[[[[[[[[[[[[1]]]]]]]]]]]]]}}", "more",
          "\"more\" must not be nested deeper than 12 levels" },
        { "{\"test\":\"a\"}", "test",
          "there is no field \"test\"; did you mean \"text\"?" },
        { "{\"text\":\"a\",\"nonsense\":1}", "nonsense",
          "there is no field \"nonsense\"; the fields are text, count, share" },
        { "{\"text\":\"a\",\"secret\":1}", "secret", "there is no field \"secret\"" },
        { "{\"text\":\"a\",\"hash\":\"1\"}", "hash", "there is no field \"hash\"" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct sample read;
        struct om_json_error error;
        enum om_rc rc =
            om_json_to_record(&sample_rec, om_str(cases[i].json), &arena, &read, &error);
        cr_expect_eq(rc, OM_EINVAL, "%s", cases[i].json);
        cr_expect_str_eq(error.param, cases[i].param, "%s: %s", cases[i].json,
                         error.text);
        cr_expect(strstr(error.text, cases[i].text), "%s: %s", cases[i].json, error.text);
    }
}

Test(json, takes_no_field_of_an_operation_that_asks_for_nothing)
{
    struct audit_verify_request read;
    struct om_json_error error;
    const struct rec *type = ops[OP_audit_verify].request;
    cr_expect_eq(om_json_to_record(type, OM_LIT("{}"), &arena, &read, &error), OM_OK);
    cr_expect_eq(om_json_to_record(type, OM_LIT("{\"unused\":0}"), &arena, &read, &error),
                 OM_EINVAL);
    cr_expect(strstr(error.text, "none is expected"), "%s", error.text);
}

Test(json, shows_neither_internal_nor_binary_fields)
{
    struct inner inner = { 0 };
    struct sample sample = { 0 };
    struct om_buf list = { 0 }, text = { 0 };
    REC_SET(&inner, inner, word, OM_LIT("w"));
    REC_SET(&inner, inner, hidden, 5);
    om_pack_array(&list, 1);
    rec_encode(&inner_rec, &inner, &list);
    REC_SET(&sample, sample, hash, OM_LIT("\1\2"));
    REC_SET(&sample, sample, secret, 7);
    REC_SET(&sample, sample, items, om_buf_str(&list));
    om_json_put_record(&text, &sample_rec, &sample);
    cr_expect(om_str_eq(om_buf_str(&text), OM_LIT("{\"items\":[{\"word\":\"w\"}]}")),
              "%.*s", (int)text.size, text.data);
    om_buf_finish(&list);
    om_buf_finish(&text);
}

Test(json, writes_numbers_that_read_back_the_same)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        { 0.1, "0.1" },
        { 1.0 / 3, "0.3333333333333333" },
        { 112, "112" },
        { -0.5, "-0.5" },
        { 1e21, "1e+21" },
        { 5e-324, "4.94065645841247e-324" },
        { NAN, "null" },
        { INFINITY, "null" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 0, "0" },
        { -0.0, "-0" },
        { 0.0001, "0.0001" },
        { 0.00099999, "0.00099999" },
        { 0.00001, "1e-05" },
        { 999999999999999, "999999999999999" },
        { 1e15, "1e+15" },
        { 99.999999999999986, "99.99999999999999" },
        { -1234.0625, "-1234.0625" },
        { 463.4046493966122, "463.4046493966122" },
        { 8.1, "8.1" },
        { 1e14 + 0.25, "100000000000000.25" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_buf text = { 0 };
        om_json_put_f64(&text, cases[i].value);
        om_buf_put(&text, "", 1);
        if (isfinite(cases[i].value))
            cr_expect_eq(strtod(text.data, NULL), cases[i].value, "%s", text.data);
        cr_expect_str_eq(text.data, cases[i].text);
        om_buf_finish(&text);
    }
}

Test(json, writes_strings_that_are_always_valid)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "", "\"\"" },
        { "a\tb\x7f", "\"a\\u0009b\x7f\"" },
        { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
        { "a\xff"
          "b",
          "\"a\\ufffdb\"" },
        { "\xc0\x80", "\"\\ufffd\\ufffd\"" },            // overlong
        { "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" }, // a surrogate
        { "\xe2\x82", "\"\\ufffd\\ufffd\"" },            // cut off
        { "\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_buf text = { 0 };
        om_json_put_str(&text, om_str(cases[i].in));
        cr_expect(om_str_eq(om_buf_str(&text), om_str(cases[i].out)), "%.*s",
                  (int)text.size, text.data);
        om_buf_finish(&text);
    }
}

Test(json, refuses_msgpack_that_is_broken_or_too_deep)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *json; // NULL: refused
    } cases[] = {
        { "\xc0", 1, "null" },
        { "\xc4\x01x", 3, "null" }, // binary
        { "\x82\xa1"
          "a\x01\xa1"
          "b\xc2",
          7, "{\"a\":1,\"b\":false}" },
        { "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, "1.8446744073709552e+19" },
        { "", 0, NULL },
        { "\x01\x01", 2, NULL },
        { "\x92\x01", 2, NULL },
        { "\x81\x01\x01", 3, NULL }, // a key that is no string
        { "\xdd\xff\xff\xff\xff", 5, NULL },
        { "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01",
          19, NULL },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_buf text = { 0 };
        bool good =
            om_json_put_msgpack(&text, (struct om_str){ cases[i].bytes, cases[i].size });
        cr_expect_eq(good, cases[i].json != NULL, "case %zu", i);
        if (good)
            cr_expect(om_str_eq(om_buf_str(&text), om_str(cases[i].json)), "%.*s",
                      (int)text.size, text.data);
        om_buf_finish(&text);
    }
}

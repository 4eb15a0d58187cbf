#include <criterion/criterion.h>
#include <stdio.h>

#include "trace.h"

#define ID   "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

Test(trace, context_survives_its_text)
{
    static const char text[] = "00-" ID "-" SPAN "-01";
    struct om_trace trace;
    char written[OM_TRACEPARENT_SIZE + 1], id[33];
    cr_assert_eq(om_trace_parse(om_str(text), &trace), OM_OK);
    cr_expect_eq(trace.flags, 1);
    cr_expect_eq(trace.trace_id[0], 0x0a);
    cr_expect_eq(trace.span_id[7], 0x31);
    om_trace_format(&trace, written);
    cr_expect_str_eq(written, text);
    om_trace_id_text(&trace, id);
    cr_expect_str_eq(id, ID);
}

// https://www.w3.org/TR/trace-context/#traceparent-header, and its test suite.
Test(trace, other_texts_are_no_context)
{
    static const struct {
        const char *text;
        enum om_rc rc;
    } rows[] = {
        { "00-" ID "-" SPAN "-00", OM_OK },
        { "00-" ID "-" SPAN "-ff", OM_OK }, // unknown flags
        { "01-" ID "-" SPAN "-01", OM_OK },
        { "cc-" ID "-" SPAN "-01-what-the-future-will-be-like", OM_OK },
        { "cc-" ID "-" SPAN "-01.what-the-future-will-not-be-like", OM_EINVAL },
        { "00-" ID "-" SPAN "-01-", OM_EINVAL },
        { "00-" ID "-" SPAN "-01-more", OM_EINVAL },
        { "ff-" ID "-" SPAN "-01", OM_EINVAL },
        { "", OM_EINVAL },
        { "00", OM_EINVAL },
        { "00-" ID "-" SPAN "-0", OM_EINVAL },
        { "00-" ID "-" SPAN "-1 ", OM_EINVAL },
        { " 0-" ID "-" SPAN "-01", OM_EINVAL },
        { "0-" ID "-" SPAN "-01", OM_EINVAL },
        { "00-00000000000000000000000000000000-" SPAN "-01", OM_EINVAL },
        { "00-" ID "-0000000000000000-01", OM_EINVAL },
        { "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", OM_EINVAL },
        { "00-" ID "-B7AD6B7169203331-01", OM_EINVAL },
        { "00-" ID "-" SPAN "-0A", OM_EINVAL },
        { "00_" ID "_" SPAN "_01", OM_EINVAL },
        { "00-.af7651916cd43dd8448eb211c80319c-" SPAN "-01", OM_EINVAL },
        { "zz-" ID "-" SPAN "-01", OM_EINVAL },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct om_trace trace;
        cr_expect_eq(om_trace_parse(om_str(rows[i].text), &trace), rows[i].rc, "%s",
                     rows[i].text);
        struct om_trace none = { 0 };
        cr_expect(rows[i].rc == OM_OK || memcmp(&trace, &none, sizeof(trace)) == 0);
    }
    struct om_trace trace;
    cr_expect_eq(om_trace_parse((struct om_str){ 0 }, &trace), OM_EINVAL);
}

Test(trace, unknown_flags_are_not_passed_on)
{
    struct om_trace trace;
    cr_assert_eq(om_trace_parse(OM_LIT("00-" ID "-" SPAN "-ff"), &trace), OM_OK);
    cr_expect_eq(trace.flags, 3);
}

Test(trace, child_is_another_span_of_the_same_trace)
{
    struct om_trace parent = om_trace_start(), child = om_trace_child(&parent);
    struct om_trace other = om_trace_start(), read;
    char text[OM_TRACEPARENT_SIZE + 1];
    cr_expect_arr_eq(parent.trace_id, child.trace_id, 16);
    cr_expect_arr_neq(parent.span_id, child.span_id, 8);
    cr_expect_eq(parent.flags, child.flags);
    cr_expect_arr_neq(parent.trace_id, other.trace_id, 16);
    om_trace_format(&parent, text);
    cr_expect_eq(om_trace_parse(om_str(text), &read), OM_OK);
    cr_expect_eq(parent.flags & 1, 1, "a new trace is sampled");
}

// ---- tracestate

static struct om_str
read_one(const char *header, char out[OM_TRACESTATE_MAX + 1])
{
    struct om_str one = om_str(header);
    size_t size = om_tracestate_read(&one, 1, out);
    return (struct om_str){ out, size };
}

// https://www.w3.org/TR/trace-context-2/#tracestate-header, and its test suite.
Test(tracestate, is_passed_on_in_its_usual_form)
{
    static const struct {
        const char *text, *passed;
    } rows[] = {
        { "foo=1", "foo=1" },
        { "foo=1,bar=2", "foo=1,bar=2" },
        { "foo=1 \t , \t bar=2", "foo=1,bar=2" },
        { " foo=1\t", "foo=1" },
        { "foo=1,", "foo=1" },
        { ",,foo=1,,bar=2", "foo=1,bar=2" },
        { "0a_-*/@z=1", "0a_-*/@z=1" },
        { "a=b c", "a=b c" },
        { "a= b", "a= b" },
        { "a=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~", "a=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~" },
        { "", "" },
        { " , ,", "" },
        { "foo", "" },
        { "foo=", "" },
        { "foo= ", "" },
        { "=1", "" },
        { "foo =1", "" },
        { "FOO=1", "" },
        { "foo.bar=1", "" },
        { "_foo=1", "" },
        { "@foo=1", "" },
        { "foo=1=2", "" },
        { "foo=\x01", "" },
        { "foo=h\xc3\xa9", "" },
        { "foo=\xff", "" },
        { "foo=1,bar", "" },
        { "foo=1,foo=2,bar=3", "foo=1,bar=3" },
        { "foo=1;bar=2,baz", "" },
    };
    char out[OM_TRACESTATE_MAX + 1];
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        read_one(rows[i].text, out);
        cr_expect_str_eq(out, rows[i].passed, "%s gives %s", rows[i].text, out);
    }
}

Test(tracestate, several_headers_are_one_list)
{
    char out[OM_TRACESTATE_MAX + 1];
    struct om_str headers[] = { OM_LIT("foo=1"), OM_LIT(""), OM_LIT("bar=2,baz=3") };
    om_tracestate_read(headers, OM_COUNT(headers), out);
    cr_expect_str_eq(out, "foo=1,bar=2,baz=3");
    struct om_str twice[] = { OM_LIT("foo=1"), OM_LIT("foo=1") };
    om_tracestate_read(twice, 2, out);
    cr_expect_str_eq(out, "foo=1", "of two the first stays");
}

static void
make_members(size_t count, size_t value, char *out)
{
    for (size_t i = 0; i < count; i++)
        out += sprintf(out, "%sk%zu=%0*d", i ? "," : "", i, (int)value, 1);
}

Test(tracestate, more_members_than_32_are_none)
{
    static char text[256 * 1024];
    char out[OM_TRACESTATE_MAX + 1];
    make_members(32, 1, text);
    cr_expect_gt(read_one(text, out).size, 0);
    make_members(33, 1, text);
    cr_expect_eq(read_one(text, out).size, 0);
    make_members(10000, 1, text);
    cr_expect_eq(read_one(text, out).size, 0);
}

Test(tracestate, is_cut_by_whole_members_the_long_ones_first)
{
    static char text[16 * 1024];
    char out[OM_TRACESTATE_MAX + 1];
    make_members(32, 20, text);
    size_t size = read_one(text, out).size;
    cr_expect(size > 480 && size <= OM_TRACESTATE_MAX, "%zu", size);
    cr_expect_eq(strncmp(text, out, size), 0);
    cr_expect_eq(text[size], ',');

    sprintf(text, "long=%0200d,a=%0100d,b=%0100d,c=%0100d,d=%0100d", 1, 2, 3, 4, 5);
    size = read_one(text, out).size;
    cr_expect_eq(strncmp(out, "a=", 2), 0, "%s", out);
    cr_expect_eq(size, 4 * 102 + 3);
    sprintf(text, "long=%0300d", 1);
    cr_expect_eq(read_one(text, out).size, 0, "a value has 256 characters at most");
}

Test(trace, an_attempts_span_is_known_to_who_knows_task_and_number)
{
    static const uint8_t task[16] = { 1, 2, 3 },
                         expected[8] = { 0xe1, 0xcf, 0xf9, 0xf5, 0x41, 0x4c, 0x6c, 0x1e };
    uint8_t one[8], again[8], two[8];
    om_trace_attempt(task, 1, one);
    om_trace_attempt(task, 1, again);
    om_trace_attempt(task, 2, two);
    cr_expect_arr_eq(one, again, 8);
    cr_expect_arr_neq(one, two, 8);
    cr_expect_arr_eq(one, expected, 8, "workers in other languages make the same");
}

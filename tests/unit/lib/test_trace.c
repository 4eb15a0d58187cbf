#include <criterion/criterion.h>

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

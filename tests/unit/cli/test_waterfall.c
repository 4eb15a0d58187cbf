// A trace as lines of a terminal.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "waterfall.h"

static struct waterfall waterfall;
static int wake_fd;

static void
begin(void)
{
    struct om_span_conf conf = { .queue = 8, .wake = 4, .sampler = OM_SAMPLE_ALWAYS };
    cr_assert(om_span_open(&conf, &wake_fd));
}

static void
end(void)
{
    om_span_close();
    waterfall_finish(&waterfall);
}

TestSuite(waterfall, .init = begin, .fini = end);

static struct om_trace
context(uint8_t id)
{
    struct om_trace trace = { .trace_id = { 1 }, .flags = 3 };
    trace.span_id[0] = id;
    return trace;
}

static void
add(uint8_t id, uint8_t parent, const char *name, int64_t start_us, int64_t end_us,
    const char *failed)
{
    struct om_trace trace = context(id);
    uint8_t parent_id[8] = { parent };
    struct om_span_line line = { .node = "here" };
    struct om_span *span =
        om_span_begin(&trace, parent_id, OM_SPAN_INTERNAL, start_us, false);
    om_span_name(span, "%s", name);
    om_span_int(span, OM_ATTR_ATTEMPT, id);
    if (failed)
        om_span_fail(span, om_str(failed), OM_LIT("why"));
    span->end_us = end_us;
    om_span_end(span);
    cr_assert(om_span_take(&line.span));
    cr_assert(waterfall_add(&waterfall, &line));
}

static char *
print(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    waterfall_print(&waterfall, out);
    fclose(out);
    return text;
}

Test(waterfall, is_a_tree_in_the_order_of_time)
{
    add(3, 2, "inner", 2000, 3000, NULL);
    add(4, 1, "last", 5000, 9000, "boom");
    add(1, 0, "root", 1000, 9000, NULL);
    add(2, 1, "first", 1500, 4000, NULL);
    add(2, 1, "first", 1500, 4000, NULL); // written twice
    add(9, 77, "alone", 10000, 11000, NULL);
    char *text = print();
    const char *lines[] = { "trace 0100",   "root #1",   "├ first #2",
                            "│ └ inner #3", "└ last #4", "alone #9" };
    const char *at = text;
    for (size_t i = 0; i < OM_COUNT(lines); i++) {
        at = strstr(at, lines[i]);
        cr_assert(at, "%s is not where it should be in\n%s", lines[i], text);
    }
    cr_expect(strstr(text, "5 spans, 10.00 ms"), "%s", text);
    cr_expect(strstr(text, "✗ boom: why"));
    free(text);
}

Test(waterfall, control_characters_do_not_reach_the_terminal)
{
    add(1, 0, "a\x1b[31mb\x07\xff\xc2\x9b", 1000, 2000, "x\ny");
    char *text = print();
    cr_expect(strstr(text, "a?[31mb???"), "%s", text);
    cr_expect(strstr(text, "x?y"), "%s", text);
    cr_expect_null(strchr(text, '\x1b'));
    free(text);
}

Test(waterfall, parents_in_a_circle_are_shown_once)
{
    add(1, 2, "one", 1000, 2000, NULL);
    add(2, 1, "two", 1000, 2000, NULL);
    add(3, 3, "self", 1000, 2000, NULL);
    char *text = print();
    cr_expect(strstr(text, "one") && strstr(text, "two") && strstr(text, "self"));
    free(text);
    json_t *list = waterfall_json(&waterfall);
    cr_expect_eq(json_array_size(list), 3);
    json_decref(list);
}

Test(waterfall, of_nothing_is_nothing)
{
    char *text = print();
    cr_expect_str_eq(text, "");
    free(text);
}

// Spans on their way through the queue, and who is sampled.
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "span.h"

static int wake_fd;

static void
open_queue(struct om_span_conf conf)
{
    cr_assert(om_span_open(&conf, &wake_fd));
}

static void
end(void)
{
    om_span_close();
}

TestSuite(span, .fini = end);

static const struct om_span_conf eight = { .queue = 8,
                                           .wake = 4,
                                           .sampler = OM_SAMPLE_ALWAYS };

static bool
write_one(const struct om_trace *trace, bool failed)
{
    struct om_span *span = om_span_begin(trace, NULL, OM_SPAN_INTERNAL, 1, failed);
    om_span_name(span, "one");
    om_span_end(span);
    return span != NULL;
}

static bool
is_readable(int fd)
{
    struct pollfd polled = { fd, POLLIN, 0 };
    return poll(&polled, 1, 0) == 1;
}

Test(span, comes_out_as_it_was_written)
{
    open_queue(eight);
    struct om_trace trace = om_span_root(), other = om_span_root();
    static const uint8_t parent[8] = { 1, 2, 3 };
    struct om_span *span = om_span_begin(&trace, parent, OM_SPAN_SERVER, 5, false);
    om_span_name(span, "%s /x", "GET");
    om_span_str(span, OM_ATTR_METHOD, OM_LIT("GET"));
    om_span_str(span, OM_ATTR_PATH, OM_LIT(""));
    om_span_int(span, OM_ATTR_HTTP_STATUS, -7);
    om_span_link(span, &other);
    om_span_state(span, OM_LIT("a=1"));
    om_span_fail(span, OM_LIT("boom"), OM_LIT("why"));
    om_span_end(span);

    struct om_span out;
    cr_assert(om_span_take(&out));
    cr_expect_not(om_span_take(&(struct om_span){ 0 }));
    cr_expect_arr_eq(out.trace.trace_id, trace.trace_id, 16);
    cr_expect_arr_eq(out.parent, parent, 8);
    cr_expect_arr_eq(out.link.trace_id, other.trace_id, 16);
    cr_expect_eq(strncmp(out.text + out.name.at, "GET /x", out.name.size), 0);
    cr_expect_eq(out.attr_count, 3, "an empty text is no attribute");
    cr_expect_eq(out.attrs[1].key, OM_ATTR_HTTP_STATUS);
    int64_t status;
    memcpy(&status, out.text + out.attrs[1].value.at, sizeof(status));
    cr_expect_eq(status, -7);
    cr_expect(out.failed && out.start_us == 5 && out.end_us > 5);
    cr_expect_eq(strncmp(out.text + out.state.at, "a=1", out.state.size), 0);
    cr_expect_eq(strncmp(out.text + out.why.at, "why", out.why.size), 0);
}

Test(span, without_a_place_is_dropped_and_counted)
{
    open_queue(eight);
    struct om_trace trace = om_span_root();
    struct om_span out;
    for (int i = 0; i < 8; i++)
        cr_expect(write_one(&trace, false));
    cr_expect_not(write_one(&trace, false));
    cr_expect_eq(om_span_counts().written, 8);
    cr_expect_eq(om_span_counts().dropped, 1);
    cr_assert(om_span_take(&out));
    cr_expect(write_one(&trace, false));
    for (int i = 0; i < 8; i++)
        cr_expect(om_span_take(&out), "%d", i);
    cr_expect_not(om_span_take(&out));
}

Test(span, texts_and_attributes_beyond_its_size_are_cut_and_counted)
{
    open_queue(eight);
    char text[2 * OM_SPAN_TEXT];
    memset(text, 'x', sizeof(text));
    struct om_trace trace = om_span_root();
    struct om_span *span = om_span_begin(&trace, NULL, OM_SPAN_CLIENT, 1, false), out;
    om_span_name(span, "%.*s", OM_SPAN_TEXT / 2, text);
    for (int i = 0; i < 2 * OM_SPAN_ATTRS_MAX; i++)
        om_span_int(span, OM_ATTR_PORT, i);
    om_span_str(span, OM_ATTR_PATH, (struct om_str){ text, sizeof(text) });
    om_span_fail(span, OM_LIT("code"), (struct om_str){ text, sizeof(text) });
    om_span_state(span, OM_LIT("a=1"));
    om_span_end(span);
    cr_assert(om_span_take(&out));
    cr_expect_eq(out.attr_count, OM_SPAN_ATTRS_MAX);
    cr_expect_eq(out.attrs_lost, OM_SPAN_ATTRS_MAX + 2);
    cr_expect_eq(out.text_used, OM_SPAN_TEXT);
    cr_expect_eq(out.state.size, 0, "half a tracestate would be another one");
    cr_expect(out.failed);

    span = om_span_begin(&trace, NULL, OM_SPAN_CLIENT, 1, false);
    om_span_name(span, "%.*s", (int)sizeof(text), text);
    om_span_end(span);
    cr_assert(om_span_take(&out));
    cr_expect_eq(out.name.size, OM_SPAN_TEXT - 1);
}

Test(span, has_no_name_where_its_texts_have_taken_all_the_room)
{
    char text[OM_SPAN_TEXT];
    struct om_span out;
    struct om_trace trace = om_span_root();
    open_queue(eight);
    memset(text, 'x', sizeof(text));
    struct om_span *span = om_span_begin(&trace, NULL, OM_SPAN_INTERNAL, 1, false);
    om_span_str(span, OM_ATTR_PATH, (struct om_str){ text, sizeof(text) });
    om_span_name(span, "%s", "a name");
    om_span_end(span);
    cr_assert(om_span_take(&out));
    cr_expect_eq(out.name.size, 0);
    cr_expect_eq(out.text_used, OM_SPAN_TEXT);
}

Test(span, of_an_unsampled_trace_is_written_only_if_it_failed)
{
    open_queue(
        (struct om_span_conf){ .queue = 8, .wake = 4, .sampler = OM_SAMPLE_NEVER });
    struct om_trace trace = om_span_root();
    cr_expect_eq(trace.flags & 1, 0);
    cr_expect_not(write_one(&trace, false));
    cr_expect(write_one(&trace, true));
    cr_expect_eq(om_span_counts().dropped, 0, "nobody wanted it");
    struct om_trace sampled = om_trace_start();
    cr_expect(write_one(&(struct om_trace){ .flags = 1 }, true) == false, "no trace");
    cr_expect_eq(om_span_continue(&sampled).flags & 1, 1, "its parent is");
}

Test(span, is_nothing_while_nobody_exports)
{
    struct om_trace trace = om_span_root();
    cr_expect_not(write_one(&trace, true));
    om_span_str(NULL, OM_ATTR_PATH, OM_LIT("x"));
    om_span_int(NULL, OM_ATTR_PORT, 1);
    om_span_fail(NULL, OM_LIT("x"), OM_LIT("y"));
    om_span_link(NULL, &trace);
    om_span_state(NULL, OM_LIT("a=1"));
    om_span_name(NULL, "x");
}

Test(span, ratio_samples_about_that_share_and_the_same_trace_alike)
{
    open_queue((struct om_span_conf){
        .queue = 8, .wake = 4, .sampler = OM_SAMPLE_RATIO, .ratio = 0.25 });
    int sampled = 0;
    for (int i = 0; i < 4000; i++) {
        struct om_trace trace = om_span_root();
        sampled += trace.flags & 1;
        cr_expect_eq(om_span_dice(&trace), trace.flags & 1);
        cr_expect_eq(trace.flags & 2, 2, "its id is random");
    }
    cr_expect(sampled > 850 && sampled < 1150, "%d of 4000", sampled);
    end();
    open_queue((struct om_span_conf){
        .queue = 8, .wake = 4, .sampler = OM_SAMPLE_RATIO, .ratio = 0 });
    cr_expect_eq(om_span_root().flags & 1, 0);
    end();
    open_queue((struct om_span_conf){
        .queue = 8, .wake = 4, .sampler = OM_SAMPLE_RATIO, .ratio = 1 });
    cr_expect_eq(om_span_root().flags & 1, 1);
    end();
    open_queue((struct om_span_conf){
        .queue = 8, .wake = 4, .sampler = OM_SAMPLE_ALWAYS, .ignore_parent = true });
    struct om_trace unsampled = om_trace_start();
    unsampled.flags = 2;
    cr_expect_eq(om_span_continue(&unsampled).flags, 3);
}

Test(span, exporter_is_woken_when_many_wait_or_when_it_waits_for_the_next)
{
    open_queue(eight);
    struct om_trace trace = om_span_root();
    uint64_t told;
    for (int i = 0; i < 3; i++)
        write_one(&trace, false);
    cr_expect_not(is_readable(wake_fd));
    write_one(&trace, false);
    cr_expect(is_readable(wake_fd));
    cr_assert_eq(read(wake_fd, &told, sizeof(told)), sizeof(told));
    om_span_tell_next(true);
    cr_expect_not(is_readable(wake_fd));
    write_one(&trace, false);
    cr_expect(is_readable(wake_fd));
    cr_assert_eq(read(wake_fd, &told, sizeof(told)), sizeof(told));
    write_one(&trace, false);
    cr_expect_not(is_readable(wake_fd), "it was told");
    om_span_tell_next(true);
    om_span_tell_next(false);
    write_one(&trace, false);
    cr_expect_not(is_readable(wake_fd), "it gathers them");
}

Test(span, parts_are_children_of_what_the_thread_does)
{
    open_queue(eight);
    struct om_trace trace = om_span_root();
    struct om_span out;
    struct om_str state;
    om_span_enter(&trace, OM_LIT("a=1"));
    struct om_span_part part = om_span_part_begin();
    cr_expect_arr_eq(om_span_current(&state)->span_id, part.trace.span_id, 8);
    cr_expect(om_str_eq(state, OM_LIT("a=1")));
    struct om_span *span = om_span_part_end(&part, NULL);
    om_span_end(span);
    cr_expect_arr_eq(om_span_current(NULL)->span_id, trace.span_id, 8);
    om_span_leave();
    cr_expect(om_trace_is_none(om_span_current(NULL)));
    cr_assert(om_span_take(&out));
    cr_expect_arr_eq(out.parent, trace.span_id, 8);
    cr_expect_arr_eq(out.trace.trace_id, trace.trace_id, 16);

    part = om_span_part_begin();
    cr_expect_null(om_span_part_end(&part, "failed"), "the thread does nothing");
}

// ---- many writers

enum { WRITERS = 4, EACH = 20000 };

static void *
write_many(void *context)
{
    const struct om_trace *trace = context;
    for (int i = 0; i < EACH; i++)
        write_one(trace, false);
    return NULL;
}

Test(span, many_threads_write_and_none_is_lost_unseen, .timeout = 60)
{
    open_queue(
        (struct om_span_conf){ .queue = 1024, .wake = 64, .sampler = OM_SAMPLE_ALWAYS });
    struct om_trace trace = om_span_root();
    pthread_t threads[WRITERS];
    struct om_span out;
    uint64_t taken = 0;
    for (int i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, &trace), 0);
    struct om_span_counts counts;
    do {
        counts = om_span_counts();
        while (om_span_take(&out)) {
            taken++;
            if (out.name.size != 3 || memcmp(out.text + out.name.at, "one", 3) != 0)
                cr_assert_fail("a torn span");
        }
    } while (taken + counts.dropped < WRITERS * EACH);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    counts = om_span_counts();
    cr_expect_eq(counts.written + counts.dropped, WRITERS * EACH);
    cr_expect_eq(taken, counts.written);
}

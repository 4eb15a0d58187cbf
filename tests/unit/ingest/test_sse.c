#include <criterion/criterion.h>

#include "sse.h"

Test(sse, is_for_who_asks_for_it_by_name)
{
    static const struct {
        const char *accept;
        bool wanted;
    } cases[] = {
        { "text/event-stream", true },
        { "TEXT/Event-Stream", true },
        { "application/json, text/event-stream", true },
        { "application/json;q=0.5,text/event-stream;q=0.9", true },
        { " text/event-stream ; q=1", true },
        { "text/event-stream;charset=utf-8", true },
        { "", false },
        { "*/*", false },
        { "text/*", false },
        { "application/json", false },
        { "text/event-streams", false },
        { "text/event-strea", false },
        { "x/text/event-stream", false },
        { "text/event-stream;q=0", false },
        { "text/event-stream; q=0.000", false },
        { "text/event-stream;Q=0, application/json", false },
        { "application/json;x=text/event-stream", false },
        { ",,;,", false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(sse_wanted(om_str(cases[i].accept)), cases[i].wanted, "%s",
                     cases[i].accept);
    cr_expect_not(sse_wanted((struct om_str){ 0 }));
}

Test(sse, writes_events_that_no_data_can_break)
{
    static const struct {
        struct sse_id id;
        bool has_id;
        const char *name, *data, *written;
    } cases[] = {
        { { 7, false }, true, "task", "{}", "id: 7\nevent: task\ndata: {}\n\n" },
        { { 7, true }, true, "task", "{}", "id: 7-end\nevent: task\ndata: {}\n\n" },
        { { 0, false }, true, NULL, "{}", "id: 0\ndata: {}\n\n" },
        { { 0, false }, false, "error", "{}", "event: error\ndata: {}\n\n" },
        { { 1, false }, true, NULL, "", "id: 1\ndata: \n\n" },
        { { 9000000000000000, false },
          true,
          NULL,
          "{\n\"a\":\r\n1\r}",
          "id: 9000000000000000\ndata: { \"a\":  1 }\n\n" },
        { { 1, false },
          true,
          NULL,
          "1\n\nid: 2\ndata: 3",
          "id: 1\ndata: 1  id: 2 data: 3\n\n" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
        sse_put(&out, cases[i].has_id ? &cases[i].id : NULL, cases[i].name,
                om_str(cases[i].data));
        cr_expect(om_str_eq(om_buf_str(&out), om_str(cases[i].written)), "%.*s",
                  (int)out.size, out.data);
    }
}

Test(sse, leaves_alone_what_was_written_before)
{
    OM_AUTO(om_buf_finish) struct om_buf out = { 0 };
    sse_put_comment(&out);
    sse_put(&out, NULL, "a", OM_LIT("x"));
    cr_expect(om_str_eq(om_buf_str(&out), OM_LIT(":\n\nevent: a\ndata: x\n\n")));
}

Test(sse, reads_back_the_ids_it_wrote_and_nothing_else)
{
    static const struct {
        const char *text;
        int64_t seq; // -1: refused
        bool end;
    } cases[] = {
        { "0", 0, false },
        { "17", 17, false },
        { "17-end", 17, true },
        { "9000000000000000", 9000000000000000, false },
        { "", -1, false },
        { "-end", -1, false },
        { "-1", -1, false },
        { "17-", -1, false },
        { "17-END", -1, false },
        { "17-end-end", -1, false },
        { "+1", -1, false },
        { "1 ", -1, false },
        { "1.0", -1, false },
        { "0x1", -1, false },
        { "seven", -1, false },
        { "99999999999999999", -1, false },
        { "99999999999999999999999999999999999999999999-end", -1, false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct sse_id id = { .seq = -1 };
        cr_expect_eq(sse_last_id(om_str(cases[i].text), &id), cases[i].seq >= 0, "%s",
                     cases[i].text);
        cr_expect_eq(id.seq, cases[i].seq, "%s", cases[i].text);
        cr_expect_eq(id.end, cases[i].end, "%s", cases[i].text);
    }
}

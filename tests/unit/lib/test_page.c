#include <criterion/criterion.h>

#include "id.h"
#include "ops.h"
#include "page.h"

static void
add(struct om_page *page, const char *id)
{
    struct usage_item item = { 0 };
    REC_SET(&item, usage_item, meter, om_str(id));
    REC_SET(&item, usage_item, unit, OM_LIT("call"));
    REC_SET(&item, usage_item, quantity, OM_LIT("1"));
    om_page_add(page, om_str(id), &item);
}

Test(page, holds_as_many_as_asked_for_and_says_that_there_are_more)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    OM_AUTO(om_page_finish) struct om_page page = om_page(&usage_item_rec, 2);
    struct usage_query_reply reply = { 0 };
    add(&page, "c");
    add(&page, "b");
    cr_expect(!page.has_more);
    add(&page, "a");
    OM_PAGE_REPLY(&page, &arena, usage_query_reply, &reply);
    cr_expect(reply.has_more);
    cr_expect(om_str_eq(reply.first_id, OM_LIT("c")));
    cr_expect(om_str_eq(reply.last_id, OM_LIT("b")));
    cr_expect(rec_iter(reply.data).left == 2);
}

Test(page, without_objects_has_no_ids)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    OM_AUTO(om_page_finish) struct om_page page = om_page(&usage_item_rec, 0);
    struct usage_query_reply reply = { 0 };
    cr_expect(page.limit == OM_PAGE_DEFAULT);
    OM_PAGE_REPLY(&page, &arena, usage_query_reply, &reply);
    cr_expect(!reply.has_more && !REC_HAS(&reply, usage_query_reply, first_id));
    cr_expect(reply.data.data && rec_iter(reply.data).left == 0);
    cr_expect(rec_check(&usage_query_reply_rec, &reply, NULL) == OM_OK);
}

Test(page, turns_round_what_was_added_from_the_last_to_the_first)
{
    OM_AUTO(om_arena_finish) struct om_arena arena = { 0 };
    OM_AUTO(om_page_finish) struct om_page page = om_page(&usage_item_rec, 3);
    struct usage_query_reply reply = { 0 };
    static const char *const ids[] = { "a", "b", "c", "d" }, *const wanted[] = { "c", "b",
                                                                                 "a" };
    page.turned = true;
    for (size_t i = 0; i < OM_COUNT(ids); i++)
        add(&page, ids[i]);
    OM_PAGE_REPLY(&page, &arena, usage_query_reply, &reply);
    cr_expect(reply.has_more);
    cr_expect(om_str_eq(reply.first_id, OM_LIT("c")));
    cr_expect(om_str_eq(reply.last_id, OM_LIT("a")));
    struct rec_iter iter = rec_iter(reply.data);
    struct usage_item item;
    struct om_str bytes;
    for (size_t i = 0; i < OM_COUNT(wanted); i++) {
        cr_assert(rec_next_rec(&iter, &usage_item_rec, &item, &bytes));
        cr_expect(om_str_eq(item.meter, om_str(wanted[i])), "%zu", i);
    }
    cr_expect_eq(iter.left, 0);
}

Test(page, knows_which_ids_are_asked_for)
{
    char a[OM_TYPEID_MAX], b[OM_TYPEID_MAX];
    struct om_uuid ids[] = { om_id_new(1), om_id_new(1) };
    om_typeid_encode(OM_ID_TEAM, &ids[0], a);
    om_typeid_encode(OM_ID_TEAM, &ids[1], b);
    const struct {
        const char *after, *before, *order;
        int low, high; // index of an id; -1: none
        bool up, turned;
    } cases[] = {
        { NULL, NULL, NULL, -1, -1, false, false },
        { NULL, NULL, "desc", -1, -1, false, false },
        { NULL, NULL, "asc", -1, -1, true, false },
        { a, NULL, NULL, -1, 0, false, false },
        { a, NULL, "asc", 0, -1, true, false },
        { NULL, a, NULL, 0, -1, true, true },
        { NULL, a, "asc", -1, 0, false, true },
        { b, a, NULL, 0, 1, false, false },
        { a, b, "asc", 0, 1, true, false },
    };
    static const struct om_uuid none = { 0 };
    struct om_uuid all;
    memset(&all, 0xff, sizeof(all));
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_page page = om_page(&usage_item_rec, 3);
        struct om_job job = { 0 };
        struct om_page_ask ask = { 0 };
        struct om_span span;
        ask.after = cases[i].after ? om_str(cases[i].after) : ask.after;
        ask.before = cases[i].before ? om_str(cases[i].before) : ask.before;
        ask.order = cases[i].order ? om_str(cases[i].order) : ask.order;
        cr_assert_eq(om_page_span(&page, &job, OM_ID_TEAM, ask, &span), OM_OK);
        cr_expect(om_uuid_eq(&span.low, cases[i].low < 0 ? &none : &ids[cases[i].low]),
                  "case %zu", i);
        cr_expect(om_uuid_eq(&span.high, cases[i].high < 0 ? &all : &ids[cases[i].high]),
                  "case %zu", i);
        cr_expect_eq(span.up, cases[i].up, "case %zu", i);
        cr_expect_eq(page.turned, cases[i].turned, "case %zu", i);
    }
}

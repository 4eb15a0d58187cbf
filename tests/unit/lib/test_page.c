#include <criterion/criterion.h>

#include "ops.h"
#include "page.h"

static void
add(struct om_page *page, const char *id)
{
    struct usage_item item = { 0 };
    REC_SET(&item, usage_item, meter, om_str(id));
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

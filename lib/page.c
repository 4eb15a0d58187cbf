#include <stdio.h>
#include <stdlib.h>

#include "page.h"

struct om_page
om_page(const struct rec *item, int64_t limit)
{
    return (struct om_page){ .item = item, .limit = limit > 0 ? limit : OM_PAGE_DEFAULT };
}

void
om_page_add(struct om_page *page, struct om_str id, const void *item)
{
    page->has_more = page->count == (size_t)page->limit;
    if (page->has_more)
        return;
    rec_encode(page->item, item, &page->items);
    snprintf(page->last_id, sizeof(page->last_id), "%.*s", (int)id.size, id.data);
    if (page->count++ == 0)
        memcpy(page->first_id, page->last_id, sizeof(page->first_id));
}

struct om_str
om_page_take(struct om_page *page, struct om_arena *arena)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, page->count);
    om_buf_put(&list, page->items.data, page->items.size);
    if (page->items.failed || list.failed)
        abort(); // as the arena does: the size is bounded by the limit
    struct om_str taken = { om_arena_strdup(arena, om_buf_str(&list)), list.size };
    om_buf_finish(&list);
    return taken;
}

void
om_page_finish(struct om_page *page)
{
    om_buf_finish(&page->items);
}

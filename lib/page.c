#include <stdio.h>
#include <stdlib.h>

#include "id.h"
#include "page.h"

struct om_page
om_page(const struct rec *item, int64_t limit)
{
    return (struct om_page){ .item = item, .limit = limit > 0 ? limit : OM_PAGE_DEFAULT };
}

enum om_rc
om_page_order(struct om_page *page, struct om_job *job, struct om_page_ask ask,
              bool *oldest_first, bool *up)
{
    *oldest_first = om_str_eq(ask.order, OM_LIT("asc"));
    if (ask.order.data && !*oldest_first && !om_str_eq(ask.order, OM_LIT("desc")))
        return om_job_fail(job, OM_EINVAL, "order", "order: must be asc or desc");
    // Those right before an id are the nearest to it.
    page->turned = ask.before.data && !ask.after.data;
    *up = *oldest_first != page->turned;
    return OM_OK;
}

static enum om_rc
read_end(struct om_job *job, const char *prefix, const char *name, struct om_str text,
         struct om_uuid *out)
{
    if (!text.data || om_typeid_decode(prefix, text, out) == OM_OK)
        return OM_OK;
    return om_job_fail(job, OM_EINVAL, name,
                       "%s: an id begins with %s_; give the first_id or the last_id of "
                       "another page",
                       name, prefix);
}

enum om_rc
om_page_span(struct om_page *page, struct om_job *job, const char *prefix,
             struct om_page_ask ask, struct om_span *span)
{
    bool oldest_first;
    memset(&span->low, 0, sizeof(span->low));
    memset(&span->high, 0xff, sizeof(span->high));
    enum om_rc rc = om_page_order(page, job, ask, &oldest_first, &span->up);
    if (!rc)
        rc = read_end(job, prefix, "after", ask.after,
                      oldest_first ? &span->low : &span->high);
    if (!rc)
        rc = read_end(job, prefix, "before", ask.before,
                      oldest_first ? &span->high : &span->low);
    return rc;
}

void
om_page_add(struct om_page *page, struct om_str id, const void *item)
{
    page->has_more = page->count == (size_t)page->limit;
    if (page->has_more)
        return;
    rec_encode(page->item, item, &page->items);
    char *newest = page->turned ? page->first_id : page->last_id;
    char *oldest = page->turned ? page->last_id : page->first_id;
    snprintf(newest, sizeof(page->last_id), "%.*s", (int)id.size, id.data);
    if (page->count++ == 0)
        memcpy(oldest, newest, sizeof(page->first_id));
}

// Append the objects from the last to the first.
static void
put_turned(const struct om_page *page, struct om_buf *list)
{
    struct om_buf all = { 0 };
    om_pack_array(&all, page->count);
    om_buf_put(&all, page->items.data, page->items.size);
    struct om_str *each = calloc(page->count + 1, sizeof(*each));
    if (all.failed || !each)
        abort(); // as below
    struct rec_iter iter = rec_iter(om_buf_str(&all));
    size_t count = 0;
    while (count < page->count && rec_next_raw(&iter, &each[count]))
        count++;
    while (count-- > 0)
        om_buf_put(list, each[count].data, each[count].size);
    free(each);
    om_buf_finish(&all);
}

struct om_str
om_page_take(struct om_page *page, struct om_arena *arena)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, page->count);
    if (page->turned)
        put_turned(page, &list);
    else
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

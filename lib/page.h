// page.h - a page of a listing: at most `limit` objects, and whether there are more.
//
//   OM_AUTO(om_page_finish) struct om_page page = om_page(&key_item_rec, request->limit);
//   ... query page.limit + 1 rows, newest first ...
//   while (om_rows_next(rows) && !page.has_more) {
//       ...
//       om_page_add(&page, item.id, &item);
//   }
//   OM_PAGE_REPLY(&page, call->job->arena, key_list_reply, reply);
#pragma once
#include "arena.h"
#include "record.h"

enum { OM_PAGE_DEFAULT = 20 };

struct om_page {
    const struct rec *item;
    int64_t limit;
    size_t count;
    bool has_more; // an object was added to a full page
    struct om_buf items;
    char first_id[64], last_id[64];
};

// An empty page; a limit of 0 is the default.
struct om_page om_page(const struct rec *item, int64_t limit);

// Append an object, or, to a full page, note that there are more.
void om_page_add(struct om_page *page, struct om_str id, const void *item);

// The objects as a RECS field, in the arena.
struct om_str om_page_take(struct om_page *page, struct om_arena *arena);

void om_page_finish(struct om_page *page);

// Fill in a reply made by PAGE_REPLY of ops.h. Borrows from the page and the arena.
#define OM_PAGE_REPLY(page, arena, NAME, reply)                                          \
    do {                                                                                 \
        REC_SET(reply, NAME, object, OM_LIT("list"));                                    \
        REC_SET(reply, NAME, data, om_page_take(page, arena));                           \
        REC_SET(reply, NAME, has_more, (page)->has_more);                                \
        if ((page)->count > 0) {                                                         \
            REC_SET(reply, NAME, first_id,                                               \
                    om_str(om_arena_strdup(arena, om_str((page)->first_id))));           \
            REC_SET(reply, NAME, last_id,                                                \
                    om_str(om_arena_strdup(arena, om_str((page)->last_id))));            \
        }                                                                                \
    } while (0)

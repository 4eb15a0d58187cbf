// page.h - a page of a listing: at most `limit` objects, and whether there are more.
//
//   OM_AUTO(om_page_finish) struct om_page page = om_page(&key_item_rec, request->limit);
//   om_page_span(&page, call->job, OM_ID_KEY, OM_PAGE_ASK(request), &span);
//   ... query page.limit + 1 rows of the span ...
//   while (om_rows_next(rows) && !page.has_more) {
//       ...
//       om_page_add(&page, item.id, &item);
//   }
//   OM_PAGE_REPLY(&page, call->job->arena, key_list_reply, reply);
#pragma once
#include "arena.h"
#include "db.h"
#include "record.h"
#include "work.h"

enum { OM_PAGE_DEFAULT = 20 };

struct om_page {
    const struct rec *item;
    int64_t limit;
    size_t count;
    bool has_more; // an object was added to a full page
    bool turned;   // the objects are added from the last to the first
    struct om_buf items;
    char first_id[64], last_id[64];
};

// An empty page; a limit of 0 is the default.
struct om_page om_page(const struct rec *item, int64_t limit);

// What is asked for of a listing, as LIST_REQUEST has it: the newest first, or of the
// order "asc" the oldest; those that follow `after`, or the ones right before `before`.
struct om_page_ask {
    struct om_str after, before, order;
};
#define OM_PAGE_ASK(request)                                                             \
    (struct om_page_ask)                                                                 \
    {                                                                                    \
        (request)->after, (request)->before, (request)->order                            \
    }

// The ids the objects of a page have: between `low` and `high`, without them. They are to
// be queried upwards, or downwards.
struct om_span {
    struct om_uuid low, high;
    bool up;
};

// Read what is asked for, of ids with that prefix. OM_EINVAL: the job has failed with a
// reason.
OM_MUST_CHECK enum om_rc om_page_span(struct om_page *page, struct om_job *job,
                                      const char *prefix, struct om_page_ask ask,
                                      struct om_span *span);

// The same where objects have no ids of that kind: is the oldest first, and are the
// objects to be queried upwards?
OM_MUST_CHECK enum om_rc om_page_order(struct om_page *page, struct om_job *job,
                                       struct om_page_ask ask, bool *oldest_first,
                                       bool *up);

// The statements of a listing, which differ in their order, and the one for a span.
#define OM_PAGE_SQL(name, text, key, limit)                                              \
    OM_SQL(name##_up, text " ORDER BY " key " LIMIT " limit);                            \
    OM_SQL(name##_down, text " ORDER BY " key " DESC LIMIT " limit)
#define OM_PAGE_QUERY(name, up) ((up) ? &sql_##name##_up : &sql_##name##_down)

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

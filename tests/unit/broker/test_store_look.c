// A list that finds little looks at so many tasks and says where it stopped: whoever goes
// on from there finds each task once.
#include <stdlib.h>

#include "store_suite.h"

TestSuite(store_look, .init = store_begin, .fini = store_end, .timeout = 60);

enum { COUNT = 40000, WINDOW = 400, RARE = 13331 };

static bool
is_rare(int64_t seq)
{
    return seq % RARE == 1;
}

// Tasks of one tenant; of those that are to succeed, many have rows.
static void
fill(bool succeed)
{
    for (int64_t first = 1; first <= COUNT; first += WINDOW) {
        OM_AUTO(batch_destroy) struct batch *batch = batch_create();
        for (int64_t seq = first; seq < first + WINDOW; seq++) {
            struct change_task *task = &batch_task(batch, seq, 1)->task;
            task->kind = is_rare(seq) ? OM_LIT("rare") : OM_LIT("usual");
            if (first / WINDOW % 2)
                task->retain_ms = 1; // it has a row
            if (succeed)
                batch_result(batch, seq, STATE_SUCCEEDED);
        }
        cr_assert_eq(store_commit(fx.store, batch), OM_OK);
        cr_assert_eq(store_settle(fx.store), OM_OK);
    }
}

static struct read *
ask(enum read_kind kind, enum task_state state, struct om_str task_kind,
    const struct om_uuid *after)
{
    struct read *read = calloc(1, sizeof(*read));
    cr_assert(read);
    read->kind = kind;
    read->tenant = fixture_id(1);
    read->state = state;
    read->id = *after;
    read->limit = 10;
    read->task_kind = task_kind;
    cr_assert(!task_kind.data || read_keep(read, &read->task_kind));
    store_read(fx.store, read);
    return read;
}

// Go through all pages. Returns how many there were.
static int
expect_rare(enum read_kind kind, enum task_state state)
{
    struct om_uuid after = { 0 };
    int64_t seq = COUNT;
    int pages = 0;
    for (bool more = true; more; pages++) {
        OM_AUTO(read_destroy)
        struct read *read = ask(kind, state, OM_LIT("rare"), &after);
        cr_assert_eq(read->rc, OM_OK);
        for (size_t i = 0; i < read->count; i++) {
            while (!is_rare(seq))
                seq--;
            cr_expect_eq(read->tasks[i].seq, seq--);
        }
        more = !om_uuid_is_zero(&read->cut);
        after = read->cut;
    }
    cr_expect_leq(seq, 0, "all were found");
    return pages;
}

Test(store_look, among_those_that_succeeded)
{
    fill(true);
    cr_expect_gt(expect_rare(READ_LIST, STATE_SUCCEEDED), 1);
    cr_expect_gt(expect_rare(READ_LIST, STATE_NONE), 1);
}

Test(store_look, among_those_that_are_open)
{
    fill(false);
    cr_expect_gt(expect_rare(READ_OPEN, STATE_NONE), 1);
    cr_expect_gt(expect_rare(READ_LIST, STATE_NONE), 1);
    struct om_uuid after = { 0 };
    OM_AUTO(read_destroy)
    struct read *read = ask(READ_LIST, STATE_SUCCEEDED, (struct om_str){ 0 }, &after);
    cr_expect(read->rc == OM_OK && read->count == 0);
    cr_expect_not(om_uuid_is_zero(&read->cut), "of a million it would take too long");
}

Test(store_look, a_page_that_is_full_was_not_cut_short)
{
    fill(true);
    struct om_uuid after = { 0 };
    OM_AUTO(read_destroy)
    struct read *read = ask(READ_LIST, STATE_NONE, OM_LIT("usual"), &after);
    cr_expect_eq(read->count, 10);
    cr_expect(om_uuid_is_zero(&read->cut));
}

// What is set, and what started under it, is found again.
#include "store_suite.h"

static struct found {
    size_t settings, starts;
    struct change_setting setting;
    struct change_start start;
    char name[2][64];
} found;

TestSuite(store_setting, .init = store_begin, .fini = store_end);

static void
keep_name(struct om_str *name, char out[64])
{
    cr_assert_lt(name->size, 64);
    if (name->size)
        memcpy(out, name->data, name->size);
    name->data = out;
}

static void
on_setting(void *context, const struct change_setting *setting)
{
    (void)context;
    found.settings++;
    found.setting = *setting;
    keep_name(&found.setting.name, found.name[0]);
}

static void
on_start(void *context, const struct change_start *start)
{
    (void)context;
    found.starts++;
    found.start = *start;
    keep_name(&found.start.name, found.name[1]);
}

static void
on_number(void *context, int64_t number)
{
    (void)context;
    (void)number;
}

static void
on_shard(void *context, uint8_t shard, int64_t seq)
{
    (void)context;
    (void)shard;
    (void)seq;
}

static void
on_cursor(void *context, unsigned subscription, uint8_t shard, int64_t seq)
{
    (void)context;
    (void)subscription;
    (void)shard;
    (void)seq;
}

static enum om_rc
on_task(void *context, const struct stored_task *task)
{
    (void)context;
    (void)task;
    return OM_OK;
}

// Open the store anew and see what is there.
static void
look(void)
{
    const struct store_loader loader = { .task_seq = on_number,
                                         .shard = on_shard,
                                         .cursor = on_cursor,
                                         .setting = on_setting,
                                         .start = on_start,
                                         .task = on_task };
    fixture_reopen(&fx);
    found = (struct found){ 0 };
    cr_assert_eq(store_load(fx.store, &loader), OM_OK);
}

static void
commit(const struct change *change)
{
    OM_AUTO(batch_destroy) struct batch *batch = batch_create();
    batch->changes[batch->count++] = *change;
    cr_assert_eq(store_commit(fx.store, batch), OM_OK);
}

static void
purge(int64_t now_ms)
{
    cr_assert_eq(store_settle(fx.store), OM_OK);
    store_purge(fx.store, now_ms, 1);
    cr_assert_eq(store_settle(fx.store), OM_OK);
}

static struct change
set_key(const char *name)
{
    return (struct change){
        .kind = CHANGE_SETTING,
        .setting = { .tenant = fixture_id(1), .scope = SETTING_KEY, .name = om_str(name) }
    };
}

Test(store_setting, the_last_one_of_a_name_is_loaded)
{
    struct change change = set_key("acme");
    change.setting.concurrency = 3;
    commit(&change);
    change.setting.concurrency = 4;
    change.setting.rate = 5;
    change.setting.rate_ms = 6000;
    change.setting.paused = true;
    change.setting.purge_seq = 7;
    change.setting.weight = 8;
    commit(&change);
    look();
    cr_assert_eq(found.settings, 1);
    cr_expect(om_str_eq(found.setting.name, OM_LIT("acme")));
    cr_expect(om_uuid_eq(&found.setting.tenant, &change.setting.tenant));
    cr_expect_eq(found.setting.scope, SETTING_KEY);
    cr_expect_eq(found.setting.concurrency, 4);
    cr_expect_eq(found.setting.rate, 5);
    cr_expect_eq(found.setting.rate_ms, 6000);
    cr_expect(found.setting.paused);
    cr_expect_eq(found.setting.purge_seq, 7);
    cr_expect_eq(found.setting.weight, 8);
}

Test(store_setting, one_that_sets_nothing_leaves_no_row)
{
    struct change change = set_key("acme"), other = set_key("other");
    change.setting.concurrency = 3;
    other.setting.concurrency = 1;
    commit(&change);
    commit(&other);
    change.setting.concurrency = 0;
    commit(&change);
    look();
    cr_assert_eq(found.settings, 1);
    cr_expect(om_str_eq(found.setting.name, OM_LIT("other")));
}

Test(store_setting, starts_are_kept_until_their_window_is_over)
{
    struct change change = { .kind = CHANGE_START,
                             .start = { .tenant = fixture_id(1),
                                        .scope = SETTING_QUEUE,
                                        .name = OM_LIT("reports"),
                                        .at_ms = 1000,
                                        .count = 3,
                                        .until_ms = 5000 } };
    commit(&change);
    look();
    cr_assert_eq(found.starts, 1);
    cr_expect_eq(found.start.scope, SETTING_QUEUE);
    cr_expect_eq(found.start.at_ms, 1000);
    cr_expect_eq(found.start.count, 3);
    purge(5000);
    look();
    cr_expect_eq(found.starts, 1);
    purge(5001);
    look();
    cr_expect_eq(found.starts, 0);
}

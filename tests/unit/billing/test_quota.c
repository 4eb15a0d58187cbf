// Quotas: windows and blocks, as billing keeps them.
#include "quota_fixture.h"

Test(quota, grants_no_more_than_the_limit_however_it_is_shared)
{
    int64_t granted = 0;
    struct got got;
    limit_to("api_calls_month", 1000);
    for (int i = 0; i < 200; i++) {
        char id[16];
        snprintf(id, sizeof(id), "req_%d", i);
        got = lease(id, "api_calls_month", 300, 1);
        granted += got.granted;
        if (got.granted == 0)
            break;
        cr_assert(got.granted <= 250, "one edge leaves something for the others");
    }
    cr_expect_eq(granted, 1000);
    cr_expect_eq(got.granted, 0);
    cr_expect_str_eq(got.name, "");
    cr_expect_eq(got.leased, 1000, "it may come back");
    cr_expect_eq(got.limit, 1000);
    cr_expect_eq(got.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
}

Test(quota, gives_again_what_comes_back)
{
    limit_to("api_calls_month", 10);
    struct got one = lease("req_1", "api_calls_month", 10, 10);
    cr_expect_eq(one.granted, 10);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 1).granted, 0);
    settle(one.name, 4);
    cr_expect_eq(lease("req_3", "api_calls_month", 6, 6).granted, 6);
    cr_expect_eq(lease("req_4", "api_calls_month", 1, 1).granted, 0);
}

Test(quota, counts_a_block_and_its_usage_once_whichever_comes_first)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 50, 50);
    count_calls(30, clock_ms); // of the block
    cr_expect_eq(lease("req_2", "api_calls_month", 50, 50).granted, 50);
    settle(one.name, 40);
    cr_expect_eq(lease("req_3", "api_calls_month", 11, 11).granted, 0);
    struct got three = lease("req_4", "api_calls_month", 10, 10);
    cr_expect_eq(three.granted, 10);
    settle(three.name, 0);
    count_calls(10, clock_ms); // the rest of the first block
    cr_expect_eq(lease("req_5", "api_calls_month", 11, 11).granted, 0);
    cr_expect_eq(lease("req_6", "api_calls_month", 10, 10).granted, 10);
    cr_expect_eq(show(QUOTA_API_CALLS).used, 40);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 60);
}

Test(quota, lets_the_block_of_a_dead_edge_expire_into_what_was_metered)
{
    limit_to("api_calls_month", 100);
    cr_expect_eq(lease("req_1", "api_calls_month", 80, 80).granted, 80);
    count_calls(25, clock_ms);
    cr_expect_eq(lease("req_2", "api_calls_month", 21, 21).granted, 0);
    clock_ms += MINUTE;
    billing_tick(&billing, 0);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 0);
    cr_expect_eq(lease("req_3", "api_calls_month", 76, 76).granted, 0);
    cr_expect_eq(lease("req_4", "api_calls_month", 75, 75).granted, 75);
}

Test(quota, counts_what_was_never_in_a_block)
{
    limit_to("api_calls_month", 100);
    count_calls(90, clock_ms);
    cr_expect_eq(lease("req_1", "api_calls_month", 11, 11).granted, 0);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 10).granted, 10);
}

Test(quota, forgets_use_that_was_never_metered_after_some_minutes)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 100, 100);
    settle(one.name, 100);
    cr_expect_eq(lease("req_2", "api_calls_month", 1, 1).granted, 0);
    clock_ms += 3 * MINUTE;
    cr_expect_eq(lease("req_3", "api_calls_month", 100, 100).granted, 100,
                 "the truth is what is metered");
}

Test(quota, keeps_use_in_mind_that_events_may_be_late_for_after_a_restart)
{
    limit_to("api_calls_month", 100);
    settle(lease("req_1", "api_calls_month", 100, 100).name, 100);
    clock_ms += 3 * MINUTE;
    om_db_close(&billing.db);
    billing.db = call_open_db(&folder, "billing", billing_schema);
    billing.began_ms = clock_ms;
    cr_expect_eq(lease("req_2", "api_calls_month", 1, 1).granted, 0);
}

Test(quota, begins_anew_with_the_window)
{
    limit_to("ml_inference_day", 10);
    limit_to("api_calls_month", 10);
    clock_ms = NOVEMBER + 30 * (int64_t)DAY - 30 * S;
    struct got day = lease("req_1", "ml_inference_day", 10, 10);
    struct got month = lease("req_1", "api_calls_month", 10, 10);
    cr_expect_eq(day.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(month.resets_ms, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(day.expires_ms, day.resets_ms, "no block lasts into the next window");
    clock_ms += 30 * S;
    cr_expect_eq(lease("req_2", "ml_inference_day", 10, 10).granted, 10);
    cr_expect_eq(lease("req_2", "api_calls_month", 10, 10).granted, 10);
    settle(day.name, 10); // late: it has expired
    cr_expect_eq(show(QUOTA_INFERENCE).leased, 10);
}

Test(quota, counts_late_events_in_their_own_window)
{
    limit_to("ml_inference_day", 10);
    clock_ms = NOVEMBER + DAY + S;
    meter("a", "ml_inference", 9, NOVEMBER + DAY - S);
    meter("b", "ml_inference", 3, NOVEMBER + DAY);
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3);
    struct got got = lease("req_1", "ml_inference_day", 7, 7);
    cr_expect_eq(got.granted, 7);
    meter("c", "ml_inference", 9, NOVEMBER + DAY - S);
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3);
}

Test(quota, sums_up_what_was_metered_before_anyone_asked)
{
    limit_to("api_calls_month", 100);
    for (int day = 0; day < 30; day++)
        count_calls(2, NOVEMBER + day * (int64_t)DAY);
    count_calls(50, NOVEMBER - 1);
    count_calls(50, NOVEMBER + 30 * (int64_t)DAY);
    cr_expect_eq(show(QUOTA_API_CALLS).used, 60);
    cr_expect_eq(lease("req_1", "api_calls_month", 41, 41).granted, 0);
    cr_expect_eq(lease("req_2", "api_calls_month", 40, 40).granted, 40);
}

Test(quota, gives_a_call_that_is_repeated_the_same_block)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 20, 1);
    struct got two = lease("req_1", "api_calls_month", 20, 1);
    cr_expect_eq(one.granted, 20);
    cr_expect_eq(two.granted, 20);
    cr_expect(two.limited);
    cr_expect_str_eq(one.name, two.name);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 20);
    for (int times = 0; times < 3; times++)
        settle(one.name, 5);
    cr_expect_eq(lease("req_2", "api_calls_month", 96, 96).granted, 0);
    cr_expect_eq(lease("req_3", "api_calls_month", 95, 95).granted, 95);
}

Test(quota, loses_nothing_when_it_starts_again)
{
    limit_to("api_calls_month", 100);
    struct got one = lease("req_1", "api_calls_month", 50, 50);
    count_calls(10, clock_ms);
    om_db_close(&billing.db);
    billing.db = call_open_db(&folder, "billing", billing_schema);
    cr_expect_eq(lease("req_2", "api_calls_month", 51, 51).granted, 0);
    settle(one.name, 10);
    cr_expect_eq(lease("req_3", "api_calls_month", 90, 90).granted, 90);
}

Test(quota, knows_a_tenant_by_its_own_blocks_and_limits)
{
    limit_to("api_calls_month", 10);
    struct got one = lease("req_1", "api_calls_month", 10, 10);
    tenant = om_id_new(9);
    cr_expect_eq(show(QUOTA_API_CALLS).leased, 0);
    cr_expect_eq(show(QUOTA_API_CALLS).limit, 10000);
    settle(one.name, 0); // another tenant's: nothing happens
    cr_expect_eq(lease("req_1", "api_calls_month", 100, 100).granted, 100);
}

Test(quota, has_the_limits_of_the_plan_until_the_tenant_has_its_own)
{
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 500);
    limit_to("ml_inference_day", 7);
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 7);
    cr_expect(show(QUOTA_INFERENCE).overridden);
    limit_to("ml_inference_day", -1);
    cr_expect_eq(show(QUOTA_INFERENCE).limit, 500);
    cr_expect(!REC_HAS(&(struct quota_item){ 0 }, quota_item, overridden));
}

OM_SQL(tallies, "SELECT count(*) FROM quota_tally");

static int64_t
count_tallies(void)
{
    struct om_txn *txn = om_db_begin_read(billing.db);
    struct om_rows *rows = om_db_query(txn, &sql_tallies);
    cr_assert(om_rows_next(rows));
    int64_t count = om_row_i64(rows, 0);
    om_rows_close(&rows);
    om_db_rollback(&txn);
    return count;
}

Test(quota, forgets_windows_that_are_long_over_but_not_what_there_is)
{
    limit_to("ml_inference_day", 10);
    limit_to("storage_bytes", 10);
    settle(lease("req_1", "ml_inference_day", 3, 3).name, 3);
    settle(lease("req_2", "storage_bytes", 3, 3).name, 3);
    meter("a", "ml_inference", 3, clock_ms);
    clock_ms += 39 * (int64_t)DAY;
    billing_tick(&billing, 0);
    cr_expect_eq(count_tallies(), 2);
    clock_ms += 2 * (int64_t)DAY;
    billing_tick(&billing, 0);
    cr_expect_eq(count_tallies(), 1);
    clock_ms -= 41 * (int64_t)DAY;
    cr_expect_eq(show(QUOTA_INFERENCE).used, 3, "it is summed up again");
}

Test(quota, gives_storage_back_when_a_file_is_deleted)
{
    limit_to("storage_bytes", 1000);
    struct got one = lease("req_1", "storage_bytes", 700, 700);
    cr_expect_eq(one.granted, 700);
    cr_expect(settle_for(one.name, 600, "file_1") == OM_OK);
    cr_expect_eq(lease("req_2", "storage_bytes", 400, 400).granted, 0);
    meter("file_1/storage_bytes", "storage_bytes", 600, clock_ms);
    cr_expect_eq(show(QUOTA_STORAGE).used, 600);
    cr_expect_eq(show(QUOTA_STORAGE).leased, 0);
    struct got two = lease("req_3", "storage_bytes", 400, 400);
    cr_expect_eq(two.granted, 400);
    settle(two.name, 0); // the upload failed
    meter("file_1/storage_bytes_removed", "storage_bytes_removed", 600, clock_ms);
    cr_expect_eq(show(QUOTA_STORAGE).used, 0);
    cr_expect_eq(lease("req_4", "storage_bytes", 1000, 1000).granted, 1000);
}

Test(quota, does_not_wait_for_usage_that_has_come_already)
{
    limit_to("storage_bytes", 1000);
    struct got one = lease("req_1", "storage_bytes", 700, 700);
    meter("file_1/storage_bytes", "storage_bytes", 600, clock_ms);
    cr_expect(settle_for(one.name, 600, "file_1") == OM_OK);
    cr_expect_eq(lease("req_2", "storage_bytes", 400, 400).granted, 400);
}

Test(quota, holds_a_training_until_its_model_is_counted)
{
    limit_to("custom_models", 2);
    struct got one = lease("req_1", "custom_models", 1, 1);
    struct got two = lease("req_2", "custom_models", 1, 1);
    cr_expect(settle_for(one.name, 1, "task_a") == OM_OK);
    cr_expect(settle_for(two.name, 1, "task_b") == OM_OK);
    clock_ms += 30 * MINUTE;
    cr_expect_eq(lease("req_3", "custom_models", 1, 1).granted, 0);
    meter("task_a/1/custom_model", "custom_model", 1, clock_ms);
    cr_expect_eq(lease("req_4", "custom_models", 1, 1).granted, 0);
    meter("task_b/3/custom_model", "custom_model", 0, clock_ms); // failed for good
    cr_expect_eq(lease("req_5", "custom_models", 1, 1).granted, 1);
}

static uint64_t seed;

static int64_t
draw(int64_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(seed >> 33) % below;
}

// Edges that take blocks, use some of each, crash or settle, and whose usage is metered
// late: in the end no more was used than the limit, and all of it can be.
Test(quota, never_lets_more_be_used_than_the_limit)
{
    enum { LIMIT = 60, BLOCKS = 8, STEPS = 150, RUNS = 12 };
    struct {
        char name[65];
        int64_t granted, used;
    } blocks[BLOCKS];
    for (unsigned run = 1; run <= RUNS; run++) {
        seed = run;
        tenant = om_id_new(9);
        om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
        limit_to("api_calls_month", LIMIT);
        memset(blocks, 0, sizeof(blocks));
        int64_t used = 0, metered = 0;
        for (int step = 0; step < STEPS; step++) {
            int64_t i = draw(BLOCKS);
            char id[32];
            snprintf(id, sizeof(id), "req_%u_%d", run, step);
            if (blocks[i].granted == 0) {
                struct got got = lease(id, "api_calls_month", 1 + draw(20), 1);
                blocks[i].granted = got.granted;
                memcpy(blocks[i].name, got.name, sizeof(got.name));
            } else if (draw(3) == 0) {
                settle(blocks[i].name, blocks[i].used);
                memset(&blocks[i], 0, sizeof(blocks[i]));
            } else if (blocks[i].used < blocks[i].granted) {
                blocks[i].used++;
                used++;
            }
            if (draw(4) == 0 && metered < used) {
                int64_t part = 1 + draw(used - metered);
                count_calls(part, clock_ms);
                metered += part;
            }
            cr_assert_leq(used, LIMIT, "run %u step %d", run, step);
        }
        for (int i = 0; i < BLOCKS; i++)
            if (blocks[i].granted > 0)
                settle(blocks[i].name, blocks[i].used);
        count_calls(used - metered, clock_ms);
        cr_expect_eq(show(QUOTA_API_CALLS).used, used);
        if (used < LIMIT)
            cr_expect_eq(
                lease("req_last", "api_calls_month", LIMIT - used, LIMIT - used).granted,
                LIMIT - used, "run %u", run);
    }
}

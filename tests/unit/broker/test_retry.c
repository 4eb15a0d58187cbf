#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"

enum { SLICE = 100 };

static char header_bytes[256];
static size_t header_size;

static void
open_bench(struct bench *bench, const struct core_conf *conf)
{
    if (conf)
        bench_init_conf(bench, conf);
    else
        bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    struct wire_msg header = { 0 };
    struct om_buf buf = { 0 };
    struct om_uuid any = bench_task(bench, 1);
    WIRE_SET(&header, id, OM_LIT("s"));
    WIRE_SET(&header, task, bench_task_text(&any));
    WIRE_SET(&header, queue, OM_LIT("own"));
    WIRE_SET(&header, kind, OM_LIT("k"));
    wire_encode(WIRE_SUBMIT, &header, &buf);
    header_size = buf.size;
    memcpy(header_bytes, buf.data, buf.size);
    om_buf_finish(&buf);
}

static void
retry_many(struct bench *bench, int64_t limit, const char *code)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("r1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, limit, limit);
    WIRE_SET(&msg, queue, OM_LIT("own"));
    if (code)
        WIRE_SET(&msg, code, om_str(code));
    bench_send(bench, BENCH_CLIENT, &bench_local, WIRE_RETRY_MANY, &msg, NULL);
}

// Answer the next read with `count` failed tasks of that code, numbered from `first`.
static struct om_uuid
answer(struct bench *bench, size_t count, uint32_t first, const char *code)
{
    struct read *read = core_next_read(bench->core);
    cr_assert(read, "nothing is read");
    cr_assert_eq(read->kind, READ_LIST);
    cr_expect_eq(read->state, STATE_FAILED);
    cr_expect(om_str_eq(read->queue, OM_LIT("own")));
    cr_assert_leq(count, read->limit);
    read->tasks = calloc(count + 1, sizeof(*read->tasks));
    cr_assert(read->tasks);
    struct om_uuid id = { 0 };
    for (size_t i = 0; i < count; i++) {
        uint32_t number = first + (uint32_t)i;
        uint8_t entropy[10] = { 0 };
        memcpy(entropy + 4, &number, sizeof(number));
        id = om_uuid_make(bench->now.wall_ms, entropy, 1);
        read->tasks[i] = (struct stored_task){ .seq = 1000 + number,
                                               .id = id,
                                               .queue = OM_LIT("own"),
                                               .kind = OM_LIT("k"),
                                               .header = { header_bytes, header_size },
                                               .state = STATE_FAILED,
                                               .code = om_str(code) };
        cr_assert_eq(om_typeid_decode(OM_ID_TENANT, BENCH_TENANT, &read->tasks[i].tenant),
                     OM_OK);
    }
    read->count = count;
    core_read_done(bench->core, bench->now, &read);
    return id;
}

Test(retry_many, reopens_in_slices_and_answers_when_all_is_on_disk)
{
    struct bench bench;
    open_bench(&bench, NULL);
    retry_many(&bench, 250, "boom");
    struct om_uuid last = answer(&bench, SLICE, 0, "boom");
    answer(&bench, 30, SLICE, "boom");
    bench_expect_nothing(&bench);
    cr_assert_null(core_next_read(bench.core));
    struct batch *batch = core_take_batch(bench.core);
    cr_assert(batch);
    cr_expect_eq(batch->changes[0].kind, CHANGE_REOPEN);
    cr_expect_eq(batch->changes[1].mark.kind, MARK_REOPEN);
    core_committed(bench.core, bench.now, &batch, OM_OK);
    while (bench_commit(&bench, OM_OK))
        ;
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_RETRIED);
    cr_expect_eq(msg->sent, 130);
    cr_expect_not(WIRE_HAS(msg, after));
    cr_expect_eq(bench_get_state(&bench, &last), STATE_READY);
    bench_finish(&bench);
}

// A read that looked at many and found few says where it stopped.
Test(retry_many, goes_on_where_a_read_was_cut_short)
{
    struct bench bench;
    open_bench(&bench, NULL);
    retry_many(&bench, 10, "boom");
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    struct om_uuid cut = bench_task(&bench, 77);
    read->cut = cut;
    core_read_done(bench.core, bench.now, &read);
    bench_expect_nothing(&bench);
    read = core_next_read(bench.core);
    cr_assert(read && read->kind == READ_LIST);
    cr_expect(om_uuid_eq(&read->id, &cut));
    core_read_done(bench.core, bench.now, &read);
    cr_expect_eq(bench_expect(&bench, BENCH_CLIENT, WIRE_RETRIED)->sent, 0);
    bench_finish(&bench);
}

// So does a list, which sends what it has.
Test(retry_many, a_list_that_was_cut_short_says_where_it_goes_on)
{
    struct bench bench;
    open_bench(&bench, NULL);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("l"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, limit, 5);
    WIRE_SET(&msg, status, OM_LIT("complete"));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_LIST, &msg, NULL);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    read->cut = bench_task(&bench, 77);
    struct om_uuid cut = read->cut;
    core_read_done(bench.core, bench.now, &read);
    const struct wire_msg *tasks = bench_expect(&bench, BENCH_CLIENT, WIRE_TASKS);
    cr_expect(om_str_eq(tasks->after, bench_task_text(&cut)));
    bench_finish(&bench);
}

Test(retry_many, stops_at_the_limit_and_says_where_to_go_on)
{
    struct bench bench;
    open_bench(&bench, NULL);
    retry_many(&bench, 2, NULL);
    struct om_uuid last = answer(&bench, 2, 0, "boom");
    bench_commit(&bench, OM_OK);
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_RETRIED);
    cr_expect_eq(msg->sent, 2);
    cr_expect(om_str_eq(msg->after, bench_task_text(&last)));
    bench_finish(&bench);
}

Test(retry_many, leaves_alone_what_does_not_match)
{
    struct bench bench;
    open_bench(&bench, NULL);
    retry_many(&bench, 10, "boom");
    answer(&bench, 3, 0, "other");
    bench_commit(&bench, OM_OK);
    cr_expect_eq(bench_expect(&bench, BENCH_CLIENT, WIRE_RETRIED)->sent, 0);
    bench_finish(&bench);
}

Test(retry_many, stops_when_the_tenant_has_no_room_for_more_jobs)
{
    struct core_conf conf = bench_conf();
    conf.max_open_per_tenant = 2;
    struct bench bench;
    open_bench(&bench, &conf);
    retry_many(&bench, 10, NULL);
    answer(&bench, 5, 0, "boom");
    bench_commit(&bench, OM_OK);
    const struct wire_msg *msg = bench_expect(&bench, BENCH_CLIENT, WIRE_RETRIED);
    cr_expect_eq(msg->sent, 2);
    cr_expect(WIRE_HAS(msg, after));
    retry_many(&bench, 10, NULL);
    answer(&bench, 3, 2, "boom");
    cr_expect(
        om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR), OM_LIT("queue_full")));
    bench_finish(&bench);
}

Test(retry_many, fails_when_the_store_cannot_be_read_or_the_limit_is_none)
{
    struct bench bench;
    open_bench(&bench, NULL);
    retry_many(&bench, 10, NULL);
    struct read *read = core_next_read(bench.core);
    cr_assert(read);
    read->rc = OM_EDB;
    core_read_done(bench.core, bench.now, &read);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("storage_error")));
    retry_many(&bench, 0, NULL);
    cr_expect(om_str_eq(bench_refusal(&bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("invalid_request")));
    retry_many(&bench, 5, NULL); // is under way when the broker stops
    bench_finish(&bench);
}

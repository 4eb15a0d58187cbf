#include "../services/call.h"
#include "clock.h"
#include "fake_broker.h"
#include "id.h"
#include "misfire.h"
#include "tick.h"

enum { MINUTE = 60 * 1000 };

static struct call_folder folder;
static struct scheduler scheduler;
static struct call call;
static struct om_buf payload;
static struct om_uuid tenant;
static struct fake_broker broker;

OM_SQL(fires, "SELECT nominal_ms, task, state, coalesce(code, ''), retry_ms FROM fire "
              "ORDER BY nominal_ms");
OM_SQL(make_due, "UPDATE schedule SET next_ms = $1");

static void
start_scheduler(void)
{
    scheduler = (struct scheduler){ 0 };
    scheduler.db = call_open_db(&folder, "scheduler", scheduler_schema);
    struct om_link_conf conf = { .endpoint = broker.endpoint,
                                 .node = "test",
                                 .role = ROLE_SCHEDULER };
    const char *why;
    cr_assert(om_client_create(&conf, &scheduler.sender.client, &why) == OM_OK, "%s",
              why);
}

// As kill -9 does it: nothing is told to anybody.
static void
stop_scheduler(void)
{
    om_client_destroy(&scheduler.sender.client);
    om_db_close(&scheduler.db);
}

static void
open_all(void)
{
    folder = call_folder_make();
    broker_open(&broker);
    tenant = om_id_new(9);
    start_scheduler();
}

static void
close_all(void)
{
    stop_scheduler();
    broker_close(&broker);
    call_finish(&call);
    om_buf_finish(&payload);
    call_folder_remove(&folder);
}

TestSuite(scheduler, .init = open_all, .fini = close_all, .timeout = 60);

static struct schedule_create_request
request_of(const char *cron, const char *queue, const char *misfire)
{
    struct schedule_create_request request = { 0 };
    om_buf_reset(&payload);
    om_pack_map(&payload, 1);
    om_pack_str(&payload, OM_LIT("n"));
    om_pack_i64(&payload, 7);
    REC_SET(&request, schedule_create_request, cron, om_str(cron));
    REC_SET(&request, schedule_create_request, queue, om_str(queue));
    REC_SET(&request, schedule_create_request, kind, OM_LIT("report"));
    REC_SET(&request, schedule_create_request, payload, om_buf_str(&payload));
    if (misfire)
        REC_SET(&request, schedule_create_request, misfire, om_str(misfire));
    return request;
}

static enum om_rc
create(const char *id, const struct schedule_create_request *request,
       struct schedule_create_reply *reply)
{
    return call_op(&call, scheduler_routes, &scheduler, OP_schedule_create, tenant, id,
                   request, reply);
}

// A schedule made now, of which `next_ms` is the next time.
static void
create_due(const char *cron, const char *misfire, int64_t next_ms)
{
    struct schedule_create_request request = request_of(cron, "reports", misfire);
    struct schedule_create_reply reply;
    cr_assert(create("", &request, &reply) == OM_OK);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(scheduler.db);
    om_db_exec(txn, &sql_make_due, DB_I64(next_ms));
    cr_assert(om_db_commit(&txn) == OM_OK);
}

struct fired {
    int64_t nominal_ms, state, retry_ms;
    struct om_uuid task;
    char code[64];
};

static size_t
list_fires(struct fired *out, size_t max)
{
    size_t count = 0;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(scheduler.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_fires);
    for (; om_rows_next(rows); count++) {
        cr_assert(count < max);
        out[count] = (struct fired){ .nominal_ms = om_row_i64(rows, 0),
                                     .state = om_row_i64(rows, 2),
                                     .retry_ms = om_row_i64(rows, 4),
                                     .task = om_row_uuid(rows, 1) };
        struct om_str code = om_row_str(rows, 3);
        snprintf(out[count].code, sizeof(out[count].code), "%.*s", (int)code.size,
                 code.data);
    }
    return count;
}

// ---- routes

Test(scheduler, has_a_route_for_every_operation_it_owns)
{
    call_expect_routes(scheduler_routes, QUEUE_SCHEDULER);
}

Test(scheduler, makes_a_schedule_once_a_request)
{
    struct schedule_create_request request = request_of("*/5 * * * *", "reports", NULL);
    struct schedule_create_reply first, again;
    int64_t now_ms = om_clock_wall_ms();
    cr_assert(create("req_1", &request, &first) == OM_OK);
    cr_expect(om_str_eq(first.misfire, OM_LIT("latest")));
    cr_expect(first.next_ms > now_ms && first.next_ms <= now_ms + 5 * MINUTE + 1000);
    cr_expect(first.next_ms % (5 * MINUTE) == 0);
    cr_expect(!REC_HAS(&first, schedule_create_reply, last_ms));
    char id[OM_TYPEID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)first.id.size, first.id.data);
    cr_assert(create("req_1", &request, &again) == OM_OK);
    cr_expect(om_str_eq(again.id, om_str(id)));
    cr_assert(create("req_2", &request, &again) == OM_OK);
    cr_expect(!om_str_eq(again.id, om_str(id)));
}

static const struct {
    const char *cron, *queue, *misfire;
    enum om_rc rc;
    const char *param, *text;
} bad[] = {
    { "61 * * * *", "reports", NULL, OM_EINVAL, "cron", "minute \"61\"" },
    { "0 0 30 2 *", "reports", NULL, OM_EINVAL, "cron", "never" },
    { "@daily", "omni.training", NULL, OM_EFORBIDDEN, "queue", "platform" },
    { "@daily", "omni.", NULL, OM_EFORBIDDEN, "queue", "platform" },
    { "@daily", "Reports", NULL, OM_EINVAL, "queue", "a-z" },
    { "@daily", "a b", NULL, OM_EINVAL, "queue", "a-z" },
    { "@daily", "reports", "never", OM_EINVAL, "misfire", "skip, latest or all" },
};

Test(scheduler, names_the_field_that_is_wrong)
{
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct schedule_create_request request =
            request_of(bad[i].cron, bad[i].queue, bad[i].misfire);
        struct schedule_create_reply reply;
        cr_expect(create("", &request, &reply) == bad[i].rc, "%s", bad[i].text);
        cr_expect_str_eq(call.job.param, bad[i].param);
        cr_expect(strstr(call.job.text, bad[i].text), "%s", call.job.text);
    }
}

static size_t
list_size(void)
{
    struct schedule_list_request request = { 0 };
    struct schedule_list_reply reply;
    cr_assert(call_op(&call, scheduler_routes, &scheduler, OP_schedule_list, tenant, "",
                      &request, &reply) == OM_OK);
    return rec_iter(reply.data).left;
}

static enum om_rc
delete_schedule(const char *id)
{
    struct schedule_delete_request request = { 0 };
    struct schedule_delete_reply reply;
    REC_SET(&request, schedule_delete_request, id, om_str(id));
    return call_op(&call, scheduler_routes, &scheduler, OP_schedule_delete, tenant, "",
                   &request, &reply);
}

Test(scheduler, deletes_only_a_tenants_own_schedules_and_fires_them_no_more)
{
    struct schedule_create_request request = request_of("* * * * *", "reports", NULL);
    struct schedule_create_reply made;
    cr_assert(create("", &request, &made) == OM_OK);
    char id[OM_TYPEID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    int64_t next_ms = made.next_ms;
    struct om_uuid owner = tenant;
    tenant = om_id_new(9);
    cr_expect(list_size() == 0);
    cr_expect(delete_schedule(id) == OM_ENOTFOUND);
    tenant = owner;
    cr_expect(list_size() == 1);
    cr_expect(delete_schedule(id) == OM_OK);
    cr_expect(delete_schedule(id) == OM_ENOTFOUND);
    cr_expect(delete_schedule("nonsense") == OM_ENOTFOUND);
    cr_expect(list_size() == 0);
    struct fired fires[1];
    cr_assert(fire_due(scheduler.db, next_ms + MINUTE, &next_ms) == OM_OK);
    cr_expect(next_ms == INT64_MAX && list_fires(fires, 1) == 0);
}

// ---- fires

Test(scheduler, fires_each_time_once_whatever_the_clock_does)
{
    struct fired fires[8];
    int64_t next_ms;
    create_due("* * * * *", NULL, 10 * MINUTE);
    const int64_t clock_ms[] = {
        10 * MINUTE - 1,  10 * MINUTE, 10 * MINUTE, 9 * MINUTE,
        10 * MINUTE + 30, 11 * MINUTE, 10 * MINUTE, 11 * MINUTE
    };
    for (size_t i = 0; i < OM_COUNT(clock_ms); i++) {
        cr_assert(fire_due(scheduler.db, clock_ms[i], &next_ms) == OM_OK);
        if (i == 4) { // and when it starts again
            stop_scheduler();
            start_scheduler();
        }
    }
    cr_expect(next_ms == 12 * MINUTE);
    cr_assert(list_fires(fires, 8) == 2);
    cr_expect(fires[0].nominal_ms == 10 * MINUTE && fires[1].nominal_ms == 11 * MINUTE);
    cr_expect(!om_uuid_eq(&fires[0].task, &fires[1].task));
    cr_expect(om_uuid_shard(&fires[0].task) == om_uuid_shard(&tenant));
}

Test(scheduler, fires_what_its_policy_wants_after_a_time_out_of_work)
{
    const struct {
        const char *policy;
        size_t count;
    } cases[] = { { "latest", 1 }, { "skip", 0 }, { "all", 5 } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct fired fires[8];
        int64_t next_ms;
        if (i > 0) {
            close_all();
            open_all();
        }
        create_due("0 * * * *", cases[i].policy, 60 * MINUTE);
        cr_assert(fire_due(scheduler.db, (5 * 60 + 7) * MINUTE, &next_ms) == OM_OK);
        cr_expect(next_ms == 6 * 60 * MINUTE);
        cr_assert(list_fires(fires, 8) == cases[i].count, "%s", cases[i].policy);
        if (cases[i].count)
            cr_expect(fires[cases[i].count - 1].nominal_ms == 5 * 60 * MINUTE);
    }
}

Test(scheduler, fires_many_schedules_in_turns)
{
    struct schedule_create_request request = request_of("* * * * *", "reports", NULL);
    struct schedule_create_reply made;
    for (int i = 0; i < FIRE_DUE_MAX + 5; i++)
        cr_assert(create("", &request, &made) == OM_OK);
    int64_t now_ms = made.next_ms + MINUTE, next_ms;
    static struct fired fires[FIRE_DUE_MAX + 5];
    cr_assert(fire_due(scheduler.db, now_ms, &next_ms) == OM_OK);
    cr_expect(next_ms <= now_ms && list_fires(fires, OM_COUNT(fires)) == FIRE_DUE_MAX);
    cr_assert(fire_due(scheduler.db, now_ms, &next_ms) == OM_OK);
    cr_expect(next_ms > now_ms && list_fires(fires, OM_COUNT(fires)) == FIRE_DUE_MAX + 5);
}

// ---- submits

// Make a schedule and fire it once, by a clock that is ahead: ticks find nothing due.
static struct fired
fire_once(void)
{
    struct schedule_create_request request = request_of("0 0 1 1 *", "reports", NULL);
    struct schedule_create_reply made;
    struct fired fire;
    int64_t next_ms;
    cr_assert(create("", &request, &made) == OM_OK);
    cr_assert(fire_due(scheduler.db, made.next_ms, &next_ms) == OM_OK);
    cr_assert(list_fires(&fire, 1) == 1);
    return fire;
}

// Tick until a SUBMIT reaches the broker.
static void
expect_submit(void)
{
    int64_t end_ms = om_clock_mono_ms() + 10000;
    for (;;) {
        om_client_process(scheduler.sender.client);
        scheduler_tick(&scheduler, om_clock_mono_ms());
        if (broker_recv(&broker, 10)) {
            if (broker.msg.type == WIRE_HELLO)
                broker_welcome(&broker);
            if (broker.msg.type == WIRE_SUBMIT)
                return;
        }
        cr_assert(om_clock_mono_ms() < end_ms, "no SUBMIT came");
    }
}

// Answer the SUBMIT, and tick until the answer is stored.
static struct fired
answer(enum wire_type type, const char *code)
{
    char id[64];
    struct wire_msg msg = { 0 };
    snprintf(id, sizeof(id), "%.*s", (int)broker.msg.id.size, broker.msg.id.data);
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, task, broker.msg.task);
    if (code)
        WIRE_SET(&msg, code, om_str(code));
    broker_send(&broker, type, &msg, NULL);
    int64_t end_ms = om_clock_mono_ms() + 10000;
    while (!scheduler.sender.answered) {
        om_client_process(scheduler.sender.client);
        broker_recv(&broker, 5);
        cr_assert(om_clock_mono_ms() < end_ms, "the answer was not heard");
    }
    scheduler_tick(&scheduler, om_clock_mono_ms());
    struct fired fire;
    cr_assert(list_fires(&fire, 1) == 1);
    return fire;
}

Test(scheduler, submits_the_same_task_until_the_broker_has_it)
{
    struct fired fire = fire_once();
    uint8_t hash[32];
    for (int start = 0; start < 3; start++) {
        expect_submit();
        struct om_uuid task;
        cr_assert(om_typeid_decode(OM_ID_TASK, broker.msg.task, &task) == OM_OK);
        cr_expect(om_uuid_eq(&task, &fire.task));
        cr_expect(om_str_eq(broker.msg.queue, OM_LIT("reports")));
        cr_expect(om_str_eq(broker.msg.kind, OM_LIT("report")));
        cr_expect(om_str_eq(broker.msg.ctype, OM_LIT("application/json")));
        cr_expect(om_str_eq(broker.body, OM_LIT("{\"n\":7}")));
        om_sha256(OM_LIT("reports\0report\0{\"n\":7}"), hash);
        cr_expect(memcmp(broker.msg.hash.data, hash, 32) == 0);
        if (start < 2) {
            stop_scheduler();
            start_scheduler();
        }
    }
    cr_expect(answer(WIRE_SUBMITTED, NULL).state == FIRE_SUBMITTED);
}

Test(scheduler, submits_what_was_fired_before_its_schedule_was_deleted)
{
    struct schedule_create_request request = request_of("* * * * *", "reports", NULL);
    struct schedule_create_reply made;
    cr_assert(create("", &request, &made) == OM_OK);
    char id[OM_TYPEID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    int64_t next_ms = made.next_ms;
    cr_assert(fire_due(scheduler.db, next_ms, &next_ms) == OM_OK);
    cr_assert(delete_schedule(id) == OM_OK);
    expect_submit();
    cr_expect(answer(WIRE_SUBMITTED, NULL).state == FIRE_SUBMITTED);
}

Test(scheduler, gives_up_a_task_that_is_refused_for_good)
{
    fire_once();
    expect_submit();
    struct fired fire = answer(WIRE_REJECT, "id_reused");
    cr_expect(fire.state == FIRE_FAILED);
    cr_expect_str_eq(fire.code, "id_reused");
}

Test(scheduler, sends_a_task_later_that_finds_its_queue_full)
{
    int64_t now_ms = om_clock_wall_ms();
    fire_once();
    expect_submit();
    struct fired fire = answer(WIRE_REJECT, "queue_full");
    cr_expect(fire.state == FIRE_PENDING && fire.retry_ms > now_ms);
}

Test(scheduler, forgets_old_fires_and_deleted_schedules_but_no_pending_ones)
{
    struct fired fire;
    int64_t next_ms;
    create_due("0 0 1 1 *", NULL, 10 * MINUTE);
    cr_assert(fire_due(scheduler.db, 10 * MINUTE, &next_ms) == OM_OK);
    cr_assert(fire_clean(scheduler.db, 11 * MINUTE + FIRE_KEEP_MS) == OM_OK);
    cr_assert(list_fires(&fire, 1) == 1);
    struct fire_outcome done = { .task = fire.task, .state = FIRE_SUBMITTED };
    cr_assert(fire_store(scheduler.db, &done, 1) == OM_OK);
    cr_assert(fire_clean(scheduler.db, 9 * MINUTE + FIRE_KEEP_MS) == OM_OK);
    cr_expect(list_fires(&fire, 1) == 1);
    cr_assert(fire_clean(scheduler.db, 11 * MINUTE + FIRE_KEEP_MS) == OM_OK);
    cr_expect(list_fires(&fire, 1) == 0);
    cr_expect(list_size() == 1);
}

// Groups of errors: counted exactly however often events come, bounded for each tenant,
// and each tenant's own.
#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "json.h"
#include "scheduler.h"

enum { MOST = 5, SHARD = 7, HOUR_MS = 3600000 };
#define KEEP_MS   (INT64_C(30) * 24 * HOUR_MS)
#define TRACE_ID  "0af7651916cd43dd8448eb211c80319c"
#define OUR_TRACE "00-" TRACE_ID "-b7ad6b7169203331-01"

static struct call_folder folder;
static struct scheduler scheduler;
static struct call call;
static struct om_uuid a, b;
static int64_t now_ms, seq;

static void
open_all(void)
{
    folder = call_folder_make();
    scheduler.db = call_open_db(&folder, "scheduler", scheduler_schema);
    scheduler.errors = (struct error_conf){ .groups_max = MOST, .keep_ms = KEEP_MS };
    a = om_id_new(SHARD);
    b = om_id_new(SHARD);
    now_ms = om_clock_wall_ms();
    seq = 0;
}

static void
close_all(void)
{
    om_db_close(&scheduler.db);
    call_finish(&call);
    call_folder_remove(&folder);
}

TestSuite(error_group, .init = open_all, .fini = close_all, .timeout = 60);

// ---- events

static struct error_event
job_error(const char *text)
{
    struct error_event error = { 0 };
    REC_SET(&error, error_event, source, OM_LIT("job"));
    REC_SET(&error, error_event, queue, OM_LIT("shop"));
    REC_SET(&error, error_event, kind, OM_LIT("bill"));
    REC_SET(&error, error_event, code, OM_LIT("handler_failed"));
    REC_SET(&error, error_event, text, om_str(text));
    REC_SET(&error, error_event, task_id, OM_LIT("task_01m7z5svr0fvss58fhk4ps3z7y"));
    REC_SET(&error, error_event, attempt, 1);
    return error;
}

static struct error_event
http_error(const char *text)
{
    struct error_event error = { 0 };
    REC_SET(&error, error_event, source, OM_LIT("http"));
    REC_SET(&error, error_event, route, OM_LIT("GET /v1/files/{id}"));
    REC_SET(&error, error_event, code, OM_LIT("unavailable"));
    REC_SET(&error, error_event, text, om_str(text));
    REC_SET(&error, error_event, trace_id, OM_LIT(TRACE_ID));
    REC_SET(&error, error_event, request_id, OM_LIT("req_01m7z5svr0fvss58fhk4ps3z7y"));
    return error;
}

// A run of events being written.
struct run {
    struct wire_logged events[64];
    char tenants[64][OM_TYPEID_MAX], ids[64][64];
    struct om_buf bodies[64];
    size_t count;
};

static struct wire_logged *
put_body(struct run *run, struct om_uuid tenant, int64_t at_ms)
{
    size_t i = run->count++;
    struct wire_logged *event = &run->events[i];
    om_typeid_encode(OM_ID_TENANT, &tenant, run->tenants[i]);
    snprintf(run->ids[i], sizeof(run->ids[i]), "e/%lld", (long long)++seq);
    *event = (struct wire_logged){ .seq = seq,
                                   .topic = OM_LIT(ERROR_TOPIC),
                                   .id = om_str(run->ids[i]),
                                   .tenant = om_str(run->tenants[i]),
                                   .at = at_ms,
                                   .body = om_buf_str(&run->bodies[i]) };
    return event;
}

static struct wire_logged *
put(struct run *run, struct om_uuid tenant, struct error_event error, int64_t at_ms)
{
    rec_encode(&error_event_rec, &error, &run->bodies[run->count]);
    return put_body(run, tenant, at_ms);
}

static void
apply(struct run *run)
{
    cr_assert_eq(error_apply(&scheduler.errors, scheduler.db, SHARD, run->events,
                             run->count, now_ms),
                 OM_OK);
}

static void
finish(struct run *run)
{
    for (size_t i = 0; i < OM_COUNT(run->bodies); i++)
        om_buf_finish(&run->bodies[i]);
    *run = (struct run){ 0 };
}

static void
happen(struct om_uuid tenant, struct error_event error, int64_t at_ms)
{
    struct run run = { 0 };
    put(&run, tenant, error, at_ms);
    apply(&run);
    finish(&run);
}

// ---- looking

static struct error_group groups[32];

// The groups of the tenant with that status (NULL: any), the newest first.
static size_t
list(struct om_uuid tenant, const char *status)
{
    struct error_list_request request = { 0 };
    struct error_list_reply reply;
    struct om_str bytes;
    size_t count = 0;
    memset(groups, 0, sizeof(groups));
    REC_SET(&request, error_list_request, limit, 32);
    if (status)
        REC_SET(&request, error_list_request, status, om_str(status));
    cr_assert_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_list, tenant, "",
                         &request, &reply),
                 OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    while (rec_next_rec(&iter, &error_group_rec, &groups[count], &bytes))
        count++;
    cr_assert_eq(iter.left, 0);
    return count;
}

// Of those listed last; ids made within a millisecond have no order.
static const struct error_group *
titled(const char *title)
{
    for (size_t i = 0; i < OM_COUNT(groups); i++)
        if (om_str_eq(groups[i].title, om_str(title)))
            return &groups[i];
    cr_assert_fail("there is no group %s", title);
    return NULL;
}

static enum om_rc
change(enum op op, struct om_uuid tenant, const char *id, int64_t if_version,
       struct error_resolve_reply *reply)
{
    struct error_resolve_request request = { 0 };
    REC_SET(&request, error_resolve_request, id, om_str(id));
    if (if_version)
        REC_SET(&request, error_resolve_request, if_version, if_version);
    return call_op(&call, scheduler_routes, &scheduler, op, tenant, "", &request, reply);
}

// The id of the tenant's only group.
static const char *
only_id(struct om_uuid tenant)
{
    static char id[64];
    cr_assert_eq(list(tenant, NULL), 1);
    snprintf(id, sizeof(id), "%.*s", (int)groups[0].id.size, groups[0].id.data);
    return id;
}

#define expect_text(value, text)                                                         \
    cr_expect(om_str_eq(value, om_str(text)), "%.*s", (int)(value).size, (value).data)

// ---- counting

Test(error_group, the_same_error_with_other_ids_is_one_group_with_the_newest_sample)
{
    struct error_event again = job_error("no order 3 of 'bob'");
    REC_SET(&again, error_event, retried, true);
    REC_SET(&again, error_event, worker, OM_LIT("w2"));
    happen(a, job_error("no order 1 of 'ann'"), now_ms - 2000);
    happen(a, again, now_ms - 1000);
    happen(a, job_error("the shop is closed"), now_ms);
    cr_assert_eq(list(a, NULL), 2);
    cr_expect_eq(titled("the shop is closed")->count, 1);
    const struct error_group *group = titled("no order <n> of <str>");
    expect_text(group->message, "no order 3 of 'bob'");
    expect_text(group->worker, "w2");
    expect_text(group->status, "open");
    cr_expect_eq(group->count, 2);
    cr_expect_eq(group->retried, 1);
    cr_expect_eq(group->first_seen_ms, now_ms - 2000);
    cr_expect_eq(group->last_seen_ms, now_ms - 1000);
    call_expect_routes(scheduler_routes, QUEUE_SCHEDULER);
}

Test(error_group, a_run_that_comes_again_is_counted_once)
{
    struct run run = { 0 };
    for (int i = 0; i < 20; i++)
        put(&run, a, job_error("x"), now_ms);
    apply(&run);
    apply(&run);
    run.count = 10; // and in other pieces
    apply(&run);
    finish(&run);
    cr_assert_eq(list(a, NULL), 1);
    cr_expect_eq(groups[0].count, 20);
}

Test(error_group, an_event_an_edge_publishes_twice_is_counted_once)
{
    struct run run = { 0 };
    struct error_event many = http_error("no worker serves this queue");
    REC_SET(&many, error_event, count, 40);
    put(&run, a, many, now_ms);
    struct om_str id = run.events[0].id;
    put(&run, a, many, now_ms)->id = id;
    put(&run, b, many, now_ms)->id = id; // another tenant's, by chance
    put(&run, a, http_error("no worker serves this queue"), now_ms);
    apply(&run);
    finish(&run);
    cr_assert_eq(list(a, NULL), 1);
    cr_expect_eq(groups[0].count, 41);
    cr_assert_eq(list(b, NULL), 1);
    cr_expect_eq(groups[0].count, 40);
}

Test(error_group, the_trace_is_that_of_the_event_or_what_the_edge_said)
{
    struct run run = { 0 };
    put(&run, a, job_error("x"), now_ms)->traceparent = OM_LIT(OUR_TRACE);
    put(&run, b, http_error("y"), now_ms);
    apply(&run);
    finish(&run);
    cr_assert_eq(list(a, NULL), 1);
    expect_text(groups[0].trace_id, TRACE_ID);
    cr_assert_eq(list(b, NULL), 1);
    expect_text(groups[0].trace_id, TRACE_ID);
    cr_expect(!groups[0].task_id.data && groups[0].request_id.data);
}

Test(error_group, what_is_no_error_is_passed_over_and_holds_nothing_up)
{
    static const char *const bodies[] = { "", "x", "\x80", "\xc1\xc1" };
    struct run run = { 0 };
    for (size_t i = 0; i < OM_COUNT(bodies); i++) {
        om_buf_put(&run.bodies[run.count], bodies[i], strlen(bodies[i]));
        put_body(&run, a, now_ms);
    }
    put(&run, a, job_error("x"), now_ms)->tenant = OM_LIT("nobody");
    struct error_event strange = job_error("x");
    REC_SET(&strange, error_event, source, OM_LIT("mars"));
    put(&run, a, strange, now_ms);
    put(&run, a, job_error("x"), now_ms);
    apply(&run);
    finish(&run);
    cr_assert_eq(list(a, NULL), 1);
    cr_expect_eq(groups[0].count, 1);
}

Test(error_group, secrets_are_in_neither_title_nor_message)
{
    happen(a,
           job_error("login ann@example.com password=hunter22 key omni_live_abcdefgh12 "
                     "{\"access_token\": \"s3cr3t\"} failed"),
           now_ms);
    cr_assert_eq(list(a, NULL), 1);
    const char *const secrets[] = { "ann@", "hunter22", "abcdefgh12", "s3cr3t" };
    for (size_t i = 0; i < OM_COUNT(secrets); i++) {
        struct om_str message = groups[0].message, title = groups[0].title;
        cr_expect_null(memmem(message.data, message.size, secrets[i], strlen(secrets[i])),
                       "%.*s", (int)message.size, message.data);
        cr_expect_null(memmem(title.data, title.size, secrets[i], strlen(secrets[i])));
    }
    cr_expect(memmem(groups[0].message.data, groups[0].message.size, "failed", 6));
}

Test(error_group, hours_are_those_of_the_last_day)
{
    double hours[ERROR_HOURS], sum = 0;
    happen(a, job_error("x"), now_ms - 30 * INT64_C(3600000));
    happen(a, job_error("x"), now_ms - 2 * INT64_C(3600000));
    happen(a, job_error("x"), now_ms);
    happen(a, job_error("x"), now_ms);
    cr_assert_eq(list(a, NULL), 1);
    struct rec_iter iter = rec_iter(groups[0].hours);
    for (int i = 0; i < ERROR_HOURS; i++) {
        cr_assert(rec_next_f64(&iter, &hours[i]));
        sum += hours[i];
    }
    cr_expect_eq(sum, 3, "%g", sum);
    cr_expect_eq(hours[ERROR_HOURS - 3], 1);
    cr_expect_eq(hours[ERROR_HOURS - 1], 2);
    cr_expect_eq(groups[0].count, 4);
}

// ---- its status

Test(error_group, what_comes_again_after_it_was_resolved_is_open_and_regressed)
{
    struct error_resolve_reply reply;
    happen(a, job_error("x"), now_ms - 5000);
    const char *id = only_id(a);
    cr_assert_eq(change(OP_error_resolve, a, id, 0, &reply), OM_OK);
    expect_text(reply.status, "resolved");
    happen(a, job_error("x"), now_ms - 4000); // told of late
    cr_assert_eq(list(a, "resolved"), 1);
    cr_expect_eq(groups[0].count, 2);
    happen(a, job_error("x"), om_clock_wall_ms() + 1000);
    cr_assert_eq(list(a, "open"), 1);
    cr_expect(groups[0].regressed);
    cr_expect_eq(groups[0].count, 3);
    cr_assert_eq(change(OP_error_resolve, a, id, 0, &reply), OM_OK);
    cr_expect_not(reply.regressed);
}

Test(error_group, what_is_ignored_stays_so_and_is_counted)
{
    struct error_resolve_reply reply;
    happen(a, job_error("x"), now_ms);
    const char *id = only_id(a);
    cr_assert_eq(change(OP_error_ignore, a, id, 0, &reply), OM_OK);
    happen(a, job_error("x"), om_clock_wall_ms() + 1000);
    cr_expect_eq(list(a, "open"), 0);
    cr_assert_eq(list(a, "ignored"), 1);
    cr_expect_eq(groups[0].count, 2);
    cr_assert_eq(change(OP_error_reopen, a, id, 0, &reply), OM_OK);
    expect_text(reply.status, "open");
    cr_expect_not(reply.regressed);
}

Test(error_group, is_not_resolved_if_it_came_again_since_it_was_read)
{
    struct error_resolve_reply reply;
    happen(a, job_error("x"), now_ms);
    const char *id = only_id(a);
    int64_t version = groups[0].version;
    happen(a, job_error("x"), now_ms);
    cr_expect_eq(change(OP_error_resolve, a, id, version, &reply), OM_EMATCH);
    cr_expect_eq(change(OP_error_resolve, a, id, version + 1, &reply), OM_OK);
    cr_expect_eq(reply.version, version + 2);
}

// ---- whose it is

Test(error_group, of_another_tenant_is_not_there)
{
    struct error_get_request request = { 0 };
    struct error_get_reply reply;
    struct error_resolve_reply changed;
    happen(a, job_error("x"), now_ms);
    happen(b, job_error("x"), now_ms);
    char id[64];
    snprintf(id, sizeof(id), "%s", only_id(a));
    cr_assert_eq(list(b, NULL), 1);
    cr_expect_neq(strncmp(id, groups[0].id.data, groups[0].id.size), 0);
    REC_SET(&request, error_get_request, id, om_str(id));
    cr_expect_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_get, b, "",
                         &request, &reply),
                 OM_ENOTFOUND);
    static const enum op ops_of[] = { OP_error_resolve, OP_error_ignore,
                                      OP_error_reopen };
    for (size_t i = 0; i < OM_COUNT(ops_of); i++) {
        cr_expect_eq(change(ops_of[i], b, id, 0, &changed), OM_ENOTFOUND);
        cr_expect_eq(change(ops_of[i], a, "err_x", 0, &changed), OM_ENOTFOUND);
    }
    cr_expect_eq(list(a, "open"), 1);
    cr_expect_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_get, a, "",
                         &request, &reply),
                 OM_OK);
    cr_expect_eq(rec_iter(reply.samples).left, 1);
}

Test(error_group, operators_see_those_of_the_platform_of_all_tenants_and_no_others)
{
    struct error_list_all_request request = { 0 };
    struct error_list_all_reply reply;
    struct error_get_any_request one = { 0 };
    struct error_get_any_reply any;
    struct error_event training = job_error("x");
    REC_SET(&training, error_event, queue, OM_LIT("omni.training"));
    happen(a, job_error("of my own queue"), now_ms);
    char own[64], tenant[OM_TYPEID_MAX];
    snprintf(own, sizeof(own), "%s", only_id(a));
    happen(a, http_error("y"), now_ms);
    happen(b, training, now_ms);
    cr_assert_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_list_all, b, "",
                         &request, &reply),
                 OM_OK);
    cr_expect_eq(rec_iter(reply.data).left, 2);
    om_typeid_encode(OM_ID_TENANT, &a, tenant);
    REC_SET(&request, error_list_all_request, tenant, om_str(tenant));
    cr_assert_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_list_all, b, "",
                         &request, &reply),
                 OM_OK);
    cr_expect_eq(rec_iter(reply.data).left, 1);
    REC_SET(&one, error_get_any_request, id, om_str(own));
    cr_expect_eq(
        call_op(&call, scheduler_routes, &scheduler, OP_error_get_any, b, "", &one, &any),
        OM_ENOTFOUND);
}

Test(error_group, lists_are_filtered_and_what_is_no_filter_is_refused)
{
    struct error_list_request request = { 0 };
    struct error_list_reply reply;
    happen(a, job_error("x"), now_ms - 10000);
    happen(a, http_error("y"), now_ms);
    static const struct {
        const char *source, *queue, *status;
        int64_t since;
        enum om_rc rc;
        size_t count;
    } rows[] = {
        { "job", NULL, NULL, 0, OM_OK, 1 },      { "http", NULL, NULL, 0, OM_OK, 1 },
        { NULL, "shop", NULL, 0, OM_OK, 1 },     { NULL, "none", NULL, 0, OM_OK, 0 },
        { NULL, NULL, "open", 0, OM_OK, 2 },     { NULL, NULL, "ignored", 0, OM_OK, 0 },
        { NULL, NULL, NULL, 5000, OM_OK, 1 },    { "mars", NULL, NULL, 0, OM_EINVAL, 0 },
        { NULL, NULL, "shut", 0, OM_EINVAL, 0 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        request = (struct error_list_request){ 0 };
        if (rows[i].source)
            REC_SET(&request, error_list_request, source, om_str(rows[i].source));
        if (rows[i].queue)
            REC_SET(&request, error_list_request, queue, om_str(rows[i].queue));
        if (rows[i].status)
            REC_SET(&request, error_list_request, status, om_str(rows[i].status));
        if (rows[i].since)
            REC_SET(&request, error_list_request, since, now_ms - rows[i].since);
        enum om_rc rc = call_op(&call, scheduler_routes, &scheduler, OP_error_list, a, "",
                                &request, &reply);
        cr_expect_eq(rc, rows[i].rc, "row %zu", i);
        if (rc == OM_OK)
            cr_expect_eq(rec_iter(reply.data).left, rows[i].count, "row %zu", i);
    }
}

// ---- bounds

// An error of its own group.
static void
happen_new(struct om_uuid tenant, int number, int64_t at_ms)
{
    char text[] = "strange a";
    text[sizeof(text) - 2] = (char)('a' + number);
    happen(tenant, job_error(text), at_ms);
}

static int64_t
total(struct om_uuid tenant)
{
    int64_t sum = 0;
    size_t count = list(tenant, NULL);
    for (size_t i = 0; i < count; i++)
        sum += groups[i].count;
    return sum;
}

Test(error_group, without_room_an_error_is_counted_as_other_and_none_is_lost)
{
    for (int i = 0; i < 20; i++)
        happen_new(a, i, now_ms);
    happen_new(b, 0, now_ms);
    cr_expect_eq(total(a), 20);
    cr_assert_eq(list(a, NULL), MOST + 1);
    const struct error_group *other = titled("errors that found no group of their own");
    expect_text(other->code, "other");
    cr_expect_eq(other->count, 20 - MOST);
    expect_text(other->message, "strange t");
    cr_expect_eq(list(b, NULL), 1, "one tenant's flood is not another's");
    happen_new(a, 0, now_ms); // those that have a group keep it
    cr_assert_eq(list(a, NULL), MOST + 1);
    cr_expect_eq(titled("strange a")->count, 2);
}

Test(error_group, a_new_one_takes_the_place_of_what_is_resolved_or_not_seen_for_a_day)
{
    struct error_resolve_reply reply;
    char id[64];
    happen_new(a, 0, now_ms - ERROR_QUIET_MS - 1000);
    snprintf(id, sizeof(id), "%s", only_id(a));
    cr_assert_eq(change(OP_error_ignore, a, id, 0, &reply), OM_OK);
    happen_new(a, 1, now_ms - ERROR_QUIET_MS - 1000);
    for (int i = 2; i < MOST; i++)
        happen_new(a, i, now_ms);
    cr_assert_eq(list(a, "open"), MOST - 1);
    snprintf(id, sizeof(id), "%.*s", (int)groups[0].id.size, groups[0].id.data);
    cr_assert_eq(change(OP_error_resolve, a, id, 0, &reply), OM_OK);
    happen_new(a, 10, now_ms); // in the place of the resolved one
    cr_expect_eq(list(a, "resolved"), 0);
    cr_expect_eq(list(a, NULL), MOST);
    happen_new(a, 11, now_ms); // of the quiet one
    cr_expect_eq(list(a, NULL), MOST);
    for (size_t i = 0; i < MOST; i++)
        cr_expect_not(om_str_eq(groups[i].title, OM_LIT("strange b")));
    cr_expect_eq(list(a, "ignored"), 1, "what is ignored keeps its place");
    happen_new(a, 12, now_ms);
    cr_expect_eq(list(a, NULL), MOST + 1, "then there is no place");
}

OM_SQL(left, "SELECT (SELECT count(*) FROM error_group) + (SELECT count(*) FROM "
             "error_hour) + (SELECT count(*) FROM error_sample) + (SELECT count(*) FROM "
             "error_seen)");

static int64_t
rows_left(void)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(scheduler.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_left);
    cr_assert(om_rows_next(rows));
    return om_row_i64(rows, 0);
}

Test(error_group, samples_are_bounded_and_what_is_over_is_removed_whole)
{
    struct error_get_request request = { 0 };
    struct error_get_reply reply;
    struct error_sample sample;
    struct om_str bytes;
    bool more;
    for (int i = 0; i < 25; i++)
        happen(a, http_error("y"), now_ms - 25 + i);
    REC_SET(&request, error_get_request, id, om_str(only_id(a)));
    cr_assert_eq(call_op(&call, scheduler_routes, &scheduler, OP_error_get, a, "",
                         &request, &reply),
                 OM_OK);
    struct rec_iter iter = rec_iter(reply.samples);
    cr_assert_eq(iter.left, ERROR_SAMPLES);
    cr_assert(rec_next_rec(&iter, &error_sample_rec, &sample, &bytes));
    cr_expect_eq(sample.at_ms, now_ms - 1, "the newest first");
    cr_assert_eq(
        error_tidy(&scheduler.errors, scheduler.db, now_ms + KEEP_MS - 1000, &more),
        OM_OK);
    cr_expect_eq(list(a, NULL), 1);
    cr_assert_eq(
        error_tidy(&scheduler.errors, scheduler.db, now_ms + KEEP_MS + 1000, &more),
        OM_OK);
    cr_expect_not(more);
    cr_expect_eq(rows_left(), 0);
    cr_expect_eq(error_census(scheduler.db), OM_OK);
}

Test(error_group, much_that_is_over_is_removed_in_steps)
{
    bool more;
    scheduler.errors.groups_max = 1000;
    for (int i = 0; i < ERROR_REMOVED_MAX + 20; i++)
        happen(om_id_new(SHARD), job_error("x"), now_ms);
    int64_t then_ms = now_ms + KEEP_MS + 1000;
    cr_assert_eq(error_tidy(&scheduler.errors, scheduler.db, then_ms, &more), OM_OK);
    cr_expect(more);
    cr_expect_eq(rows_left(), 3 * 20);
    cr_assert_eq(error_tidy(&scheduler.errors, scheduler.db, then_ms, &more), OM_OK);
    cr_expect_not(more);
    cr_expect_eq(rows_left(), 0);
}

// The log of requests that failed: each tenant's own, bounded, and forgotten in time.
#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "request.h"

enum { DAY_MS = 86400000, MOST = 10 };

static struct call_folder folder;
static struct compliance compliance;
static struct call call;
static struct om_uuid a, b;

static void
open_all(void)
{
    folder = call_folder_make();
    compliance.db = call_open_db(&folder, "compliance", compliance_schema);
    compliance.request_ms = DAY_MS;
    compliance.request_max = MOST;
    a = om_id_new(1);
    b = om_id_new(2);
}

static void
close_all(void)
{
    om_db_close(&compliance.db);
    call_finish(&call);
    call_folder_remove(&folder);
}

TestSuite(request, .init = open_all, .fini = close_all, .timeout = 60);

// What is kept of a request.
struct sample {
    struct om_uuid tenant, id;
    int64_t at_ms;
    int status;
    const char *route, *code, *client_id;
};

// The id is of that time: it is what pages are ordered by.
static struct sample
sample(struct om_uuid tenant, int64_t at_ms)
{
    struct sample made = { .tenant = tenant,
                           .at_ms = at_ms,
                           .status = 404,
                           .route = "/v1/files/{id}",
                           .code = "not_found" };
    uint8_t entropy[10];
    om_random(entropy, sizeof(entropy));
    made.id = om_uuid_make(at_ms, entropy, om_uuid_shard(&tenant));
    return made;
}

static void
put(const struct sample *one, struct om_buf *out)
{
    struct request_kept kept = { 0 };
    char tenant[OM_TYPEID_MAX], id[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &one->tenant, tenant);
    om_typeid_encode(OM_ID_REQUEST, &one->id, id);
    REC_SET(&kept, request_kept, tenant, om_str(tenant));
    REC_SET(&kept, request_kept, id, om_str(id));
    REC_SET(&kept, request_kept, object, OM_LIT("request"));
    REC_SET(&kept, request_kept, created_ms, one->at_ms);
    REC_SET(&kept, request_kept, duration_us, 5);
    REC_SET(&kept, request_kept, method, OM_LIT("GET"));
    REC_SET(&kept, request_kept, route, om_str(one->route));
    REC_SET(&kept, request_kept, path, OM_LIT("/v1/files/x"));
    REC_SET(&kept, request_kept, status, one->status);
    REC_SET(&kept, request_kept, code, om_str(one->code));
    REC_SET(&kept, request_kept, key_id, OM_LIT("key_1"));
    if (one->client_id)
        REC_SET(&kept, request_kept, client_id, om_str(one->client_id));
    REC_SET(&kept, request_kept, trace_id, OM_LIT("0123456789abcdef0123456789abcdef"));
    REC_SET(&kept, request_kept, sandbox, false);
    REC_SET(&kept, request_kept, query, OM_LIT("a=1"));
    REC_SET(&kept, request_kept, headers, OM_LIT("\x90"));
    REC_SET(&kept, request_kept, body, OM_LIT("{\"a\":\"\xff\"}")); // as it came
    REC_SET(&kept, request_kept, body_bytes, 9);
    REC_SET(&kept, request_kept, body_kept, OM_LIT("whole"));
    REC_SET(&kept, request_kept, redacted, false);
    REC_SET(&kept, request_kept, reply_headers, OM_LIT("\x90"));
    REC_SET(&kept, request_kept, reply_bytes, 0);
    rec_encode(&request_kept_rec, &kept, out);
}

static enum om_rc
keep_bytes(struct om_str data, int64_t *kept)
{
    struct request_keep_request request = { 0 };
    struct request_keep_reply reply = { 0 };
    REC_SET(&request, request_keep_request, data, data);
    enum om_rc rc = call_op(&call, compliance_routes, &compliance, OP_request_keep, a, "",
                            &request, &reply);
    *kept = reply.kept;
    return rc;
}

// Keep them in one message; how many were new.
static int64_t
keep(const struct sample *samples, size_t count)
{
    int64_t kept;
    struct om_buf data = { 0 };
    om_pack_array(&data, count);
    for (size_t i = 0; i < count; i++)
        put(&samples[i], &data);
    cr_assert_eq(keep_bytes(om_buf_str(&data), &kept), OM_OK);
    om_buf_finish(&data);
    return kept;
}

static struct request_list_reply
list(struct om_uuid tenant, struct request_list_request request)
{
    struct request_list_reply reply;
    cr_assert_eq(call_op(&call, compliance_routes, &compliance, OP_request_list, tenant,
                         "", &request, &reply),
                 OM_OK);
    return reply;
}

static size_t
count_of(struct om_uuid tenant)
{
    struct request_list_request request = { 0 };
    REC_SET(&request, request_list_request, limit, 100);
    struct request_list_reply reply = list(tenant, request);
    return rec_iter(reply.data).left;
}

static enum om_rc
get(struct om_uuid tenant, const struct om_uuid *id, struct request_get_reply *reply)
{
    struct request_get_request request = { 0 };
    char text[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_REQUEST, id, text);
    REC_SET(&request, request_get_request, id, om_str(text));
    return call_op(&call, compliance_routes, &compliance, OP_request_get, tenant, "",
                   &request, reply);
}

Test(request, is_kept_once_and_given_back_as_it_was)
{
    struct request_get_reply reply;
    struct sample one = sample(a, om_clock_wall_ms());
    one.client_id = "mine";
    cr_expect_eq(keep(&one, 1), 1);
    cr_expect_eq(keep(&one, 1), 0);
    cr_assert_eq(get(a, &one.id, &reply), OM_OK);
    cr_expect(om_str_eq(reply.body, OM_LIT("{\"a\":\"\xff\"}")));
    cr_expect(om_str_eq(reply.client_id, OM_LIT("mine")));
    cr_expect_eq(reply.expires_ms, one.at_ms + DAY_MS);
    cr_expect(!REC_HAS(&reply, request_get_reply, reply_body));
}

Test(request, is_its_tenants_alone)
{
    struct request_get_reply reply;
    struct sample both[] = { sample(a, om_clock_wall_ms()),
                             sample(b, om_clock_wall_ms()) };
    cr_expect_eq(keep(both, 2), 2);
    cr_expect_eq(count_of(a), 1);
    cr_expect_eq(count_of(b), 1);
    cr_expect_eq(get(b, &both[0].id, &reply), OM_ENOTFOUND);
    cr_expect_eq(get(a, &both[1].id, &reply), OM_ENOTFOUND);
}

Test(request, a_tenant_that_fails_a_lot_loses_its_own_oldest)
{
    struct request_get_reply reply;
    int64_t now_ms = om_clock_wall_ms();
    struct sample of_b = sample(b, now_ms - 5000), first = sample(a, now_ms - 4000);
    keep(&of_b, 1);
    keep(&first, 1);
    for (int i = 0; i < 3 * MOST; i++) {
        struct sample one = sample(a, now_ms - 3000 + i);
        cr_expect_eq(keep(&one, 1), 1);
    }
    cr_expect_eq(count_of(a), MOST);
    cr_expect_eq(get(a, &first.id, &reply), OM_ENOTFOUND);
    cr_expect_eq(get(b, &of_b.id, &reply), OM_OK);
}

Test(request, are_listed_newest_first_in_pages)
{
    int64_t now_ms = om_clock_wall_ms();
    struct sample samples[5];
    struct request_list_request request = { 0 };
    for (int i = 0; i < 5; i++)
        samples[i] = sample(a, now_ms - 100 * i);
    keep(samples, 5);
    REC_SET(&request, request_list_request, limit, 2);
    char after[OM_TYPEID_MAX] = "";
    for (size_t seen = 0; seen < 5;) {
        struct request_list_reply reply = list(a, request);
        struct rec_iter iter = rec_iter(reply.data);
        struct request_summary item;
        struct om_str bytes;
        while (rec_next_rec(&iter, &request_summary_rec, &item, &bytes))
            cr_expect_eq(item.created_ms, samples[seen++].at_ms);
        cr_expect_eq(reply.has_more, seen < 5);
        snprintf(after, sizeof(after), "%.*s", (int)reply.last_id.size,
                 reply.last_id.data);
        REC_SET(&request, request_list_request, after, om_str(after));
    }
}

Test(request, are_found_by_what_they_were)
{
    int64_t now_ms = om_clock_wall_ms();
    struct sample samples[] = { sample(a, now_ms - 300), sample(a, now_ms - 200),
                                sample(a, now_ms - 100) };
    samples[1].status = 503;
    samples[1].code = "unavailable";
    samples[2].status = 400;
    samples[2].route = "/api/v1/tasks";
    samples[2].client_id = "mine";
    keep(samples, 3);
    static const struct {
        const char *status, *route, *code, *client_id;
        int64_t ago_ms;
        size_t count;
    } cases[] = {
        { "404", NULL, NULL, NULL, 0, 1 },
        { "4xx", NULL, NULL, NULL, 0, 2 },
        { "5xx", NULL, NULL, NULL, 0, 1 },
        { "503", "/api/v1/tasks", NULL, NULL, 0, 0 },
        { NULL, "/v1/files/{id}", NULL, NULL, 0, 2 },
        { NULL, NULL, "unavailable", NULL, 0, 1 },
        { NULL, NULL, NULL, "mine", 0, 1 },
        { NULL, NULL, NULL, "theirs", 0, 0 },
        { NULL, NULL, NULL, NULL, 200, 2 },
        { NULL, NULL, NULL, NULL, 9000, 3 },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct request_list_request request = { 0 };
        if (cases[i].status)
            REC_SET(&request, request_list_request, status, om_str(cases[i].status));
        if (cases[i].route)
            REC_SET(&request, request_list_request, route, om_str(cases[i].route));
        if (cases[i].code)
            REC_SET(&request, request_list_request, code, om_str(cases[i].code));
        if (cases[i].client_id)
            REC_SET(&request, request_list_request, client_id,
                    om_str(cases[i].client_id));
        if (cases[i].ago_ms)
            REC_SET(&request, request_list_request, since, now_ms - cases[i].ago_ms);
        struct request_list_reply reply = list(a, request);
        cr_expect_eq(rec_iter(reply.data).left, cases[i].count, "case %zu", i);
    }
}

Test(request, filters_and_ids_that_are_none_are_refused)
{
    static const char *const statuses[] = { "200", "xxx", "4x4", "600", "4 4" };
    for (size_t i = 0; i < OM_COUNT(statuses); i++) {
        struct request_list_request request = { 0 };
        struct request_list_reply reply;
        REC_SET(&request, request_list_request, status, om_str(statuses[i]));
        cr_expect_eq(call_op(&call, compliance_routes, &compliance, OP_request_list, a,
                             "", &request, &reply),
                     OM_EINVAL, "%s", statuses[i]);
    }
    struct request_get_request request = { 0 };
    struct request_get_reply reply;
    REC_SET(&request, request_get_request, id, OM_LIT("task_x"));
    cr_expect_eq(call_op(&call, compliance_routes, &compliance, OP_request_get, a, "",
                         &request, &reply),
                 OM_ENOTFOUND);
}

Test(request, are_forgotten_when_their_time_is_over_in_small_steps)
{
    enum { OLD = 250 };
    struct request_get_reply reply;
    int64_t now_ms = om_clock_wall_ms();
    compliance.request_max = 1000;
    struct sample old[50], young = sample(a, now_ms);
    for (int round = 0; round < OLD / 50; round++) {
        for (int i = 0; i < 50; i++)
            old[i] = sample(a, now_ms - DAY_MS - 1000 + i);
        cr_expect_eq(keep(old, 50), 50);
    }
    keep(&young, 1);
    // They are not shown from the moment on, whether they were removed or not.
    cr_expect_eq(count_of(a), 1);
    cr_expect_eq(get(a, &old[0].id, &reply), OM_ENOTFOUND);
    int steps = 1;
    while (request_tick(&compliance, 7) == 7)
        steps++;
    cr_expect_eq(steps, 3);
    compliance.request_ms = 2 * (int64_t)DAY_MS; // nothing is left that could be shown
    cr_expect_eq(count_of(a), 1);
}

Test(request, a_message_with_something_else_in_it_is_refused_whole)
{
    struct om_buf data = { 0 };
    int64_t kept;
    struct sample one = sample(a, om_clock_wall_ms());
    om_pack_array(&data, 2);
    put(&one, &data);
    om_pack_map(&data, 0);
    cr_expect_eq(keep_bytes(om_buf_str(&data), &kept), OM_EPROTO);
    om_buf_finish(&data);
    cr_expect_eq(count_of(a), 0);
}

Test(request, survives_a_restart)
{
    struct request_get_reply reply;
    struct sample one = sample(a, om_clock_wall_ms());
    keep(&one, 1);
    om_db_close(&compliance.db);
    compliance.db = call_open_db(&folder, "compliance", compliance_schema);
    cr_expect_eq(get(a, &one.id, &reply), OM_OK);
}

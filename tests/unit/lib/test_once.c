// Requests with an Idempotency-Key, as the serve loop has them answered.
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../services/call.h"
#include "clock.h"
#include "idem.h"
#include "once.h"

static const struct om_migration schema[] = {
    { 1, "things", "CREATE TABLE thing (id TEXT PRIMARY KEY);" OM_IDEM_TABLE },
    { 0 },
};

OM_SQL(thing_add, "INSERT INTO thing (id) VALUES ($1)");
OM_SQL(thing_count, "SELECT count(*) FROM thing");
OM_SQL(answer_count, "SELECT count(*) FROM idem_answer");

static struct call_folder folder;
static struct om_db *db;
static struct om_arena arena;

static void
begin(void)
{
    folder = call_folder_make();
    db = call_open_db(&folder, "test", schema);
}

static void
end(void)
{
    om_db_close(&db);
    om_arena_finish(&arena);
    call_folder_remove(&folder);
}

TestSuite(once, .init = begin, .fini = end);

static int64_t
count(const struct om_sql *sql)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, sql);
    cr_assert(om_rows_next(rows));
    return om_row_i64(rows, 0);
}

// ---- a service that makes keys, whose secrets it shows once, and deletes things

enum how { WELL, WITH_FAILURE, WITH_TWO_PARTS, WITH_PART_UNDONE, AND_DIE };

struct service {
    enum how how;
    const char *id;
    int handled;
};

static enum om_rc
add(const char *id, bool keep)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    cr_assert(txn);
    om_db_exec(txn, &sql_thing_add, DB_STR(om_str(id)));
    return keep ? om_db_commit(&txn) : OM_OK;
}

static enum om_rc
put_reply(struct om_call *call, const char *id)
{
    void *reply = om_arena_alloc(&arena, call->op->reply->size);
    if (call->op->reply == ops[OP_user_delete].reply) {
        struct user_delete_reply *deleted = reply;
        REC_SET(deleted, user_delete_reply, id, om_str(id));
        REC_SET(deleted, user_delete_reply, deleted, true);
    } else {
        struct tenant_create_reply *made = reply;
        REC_SET(made, tenant_create_reply, id, om_str(id));
        REC_SET(made, tenant_create_reply, object, OM_LIT("tenant"));
        REC_SET(made, tenant_create_reply, name, OM_LIT("Acme"));
        REC_SET(made, tenant_create_reply, slug, OM_LIT("acme"));
        REC_SET(made, tenant_create_reply, plan, OM_LIT("free"));
        REC_SET(made, tenant_create_reply, state, OM_LIT("active"));
        REC_SET(made, tenant_create_reply, sensitivity, OM_LIT("normal"));
        REC_SET(made, tenant_create_reply, prepaid, false);
        REC_SET(made, tenant_create_reply, version, 1);
        REC_SET(made, tenant_create_reply, created_ms, 1);
        REC_SET(made, tenant_create_reply, updated_ms, 1);
        REC_SET(made, tenant_create_reply, key, OM_LIT("omni_live_secret"));
    }
    rec_encode(call->op->reply, reply, &call->job->result);
    return OM_OK;
}

static enum om_rc
serve(void *context, struct om_call *call)
{
    struct service *self = context;
    self->handled++;
    enum om_rc rc = add(self->id, true);
    if (rc)
        return om_job_fail(call->job, OM_ECONFLICT, "id", "there is such a thing");
    if (self->how == WITH_FAILURE)
        return om_job_fail(call->job, OM_EINVAL, "id", "it is wrong");
    if (self->how == WITH_TWO_PARTS)
        rc = add("second", true);
    if (self->how == WITH_PART_UNDONE)
        rc = add("undone", false);
    cr_assert_eq(rc, OM_OK);
    if (self->how == AND_DIE)
        kill(getpid(), SIGKILL);
    return put_reply(call, self->id);
}

// ---- asking it

struct asked {
    union {
        struct work work;
        struct om_job job;
    };
    struct wire_msg msg;
};

static struct om_uuid
tenant(uint8_t number)
{
    struct om_uuid id = { { [15] = number } };
    return id;
}

static enum om_rc
ask(struct asked *asked, struct service *service, enum op op, struct om_uuid who,
    const char *key, char content)
{
    static char hash[32];
    const char *shown_once = op == OP_tenant_create ? "key" : NULL;
    *asked = (struct asked){ 0 };
    memset(hash, content, sizeof(hash));
    WIRE_SET(&asked->msg, idem_key, om_str(key));
    WIRE_SET(&asked->msg, hash, ((struct om_str){ hash, sizeof(hash) }));
    asked->job.msg = &asked->msg;
    asked->job.arena = &arena;
    struct om_call call = { .op = &ops[op], .tenant_id = who, .job = &asked->job };
    return om_once(db, shown_once, &call, serve, service);
}

static struct om_str
result_of(const struct asked *asked)
{
    return om_buf_str(&asked->job.result);
}

Test(once, answers_a_repeat_as_it_answered_first_and_does_nothing)
{
    struct asked first, again;
    struct service service = { .id = "a" };
    cr_assert_eq(ask(&first, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    cr_expect(!first.job.replayed);
    cr_assert_eq(ask(&again, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    cr_expect(again.job.replayed);
    cr_expect(om_str_eq(result_of(&first), result_of(&again)));
    cr_expect_eq(service.handled, 1);
    cr_expect_eq(count(&sql_thing_count), 1);
    om_buf_finish(&first.job.result);
    om_buf_finish(&again.job.result);
}

Test(once, refuses_the_key_for_other_content)
{
    struct asked first, other;
    struct service service = { .id = "a" };
    cr_assert_eq(ask(&first, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    cr_expect_eq(ask(&other, &service, OP_user_delete, tenant(1), "k", 2), OM_EREUSED);
    cr_expect_str_eq(other.job.param, "Idempotency-Key");
    cr_expect_eq(service.handled, 1);
    om_buf_finish(&first.job.result);
}

Test(once, keeps_tenants_and_keys_apart)
{
    struct asked asked;
    const struct {
        uint8_t tenant;
        const char *key, *id;
    } cases[] = { { 1, "k", "a" }, { 2, "k", "b" }, { 1, "l", "c" }, { 2, "l", "d" } };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct service service = { .id = cases[i].id };
        cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(cases[i].tenant),
                         cases[i].key, (char)i),
                     OM_OK);
        cr_expect(!asked.job.replayed, "case %zu", i);
        om_buf_finish(&asked.job.result);
    }
    cr_expect_eq(count(&sql_thing_count), 4);
}

Test(once, keeps_nothing_of_a_failure_so_that_a_repeat_tries_again)
{
    struct asked asked;
    struct service service = { .id = "a", .how = WITH_FAILURE };
    cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(1), "k", 1), OM_EINVAL);
    cr_expect_eq(count(&sql_thing_count), 0, "what it had committed is undone");
    cr_expect_eq(count(&sql_answer_count), 0);
    service.how = WELL;
    cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    cr_expect(!asked.job.replayed);
    om_buf_finish(&asked.job.result);
}

Test(once, makes_one_transaction_of_all_that_is_committed)
{
    struct asked asked;
    struct service two = { .id = "a", .how = WITH_TWO_PARTS };
    cr_assert_eq(ask(&asked, &two, OP_user_delete, tenant(1), "k", 1), OM_OK);
    om_buf_finish(&asked.job.result);
    cr_expect_eq(count(&sql_thing_count), 2);
    struct service undone = { .id = "b", .how = WITH_PART_UNDONE };
    cr_assert_eq(ask(&asked, &undone, OP_user_delete, tenant(1), "l", 1), OM_OK);
    om_buf_finish(&asked.job.result);
    cr_expect_eq(count(&sql_thing_count), 3, "only the part that was rolled back is not");
    struct service twice = { .id = "a" };
    cr_assert_eq(ask(&asked, &twice, OP_user_delete, tenant(1), "m", 1), OM_ECONFLICT);
    cr_expect_eq(count(&sql_answer_count), 2);
}

Test(once, never_keeps_what_is_shown_once_and_refuses_the_repeat_by_name)
{
    struct asked first, again;
    struct service service = { .id = "ten_1" };
    cr_assert_eq(ask(&first, &service, OP_tenant_create, tenant(1), "k", 1), OM_OK);
    cr_expect(memmem(first.job.result.data, first.job.result.size, "secret", 6));
    om_buf_finish(&first.job.result);
    cr_assert_eq(ask(&again, &service, OP_tenant_create, tenant(1), "k", 1),
                 OM_ECONFLICT);
    cr_expect(strstr(again.job.text, "ten_1"), "%s", again.job.text);
    cr_expect_eq(service.handled, 1);
    char command[128];
    snprintf(command, sizeof(command), "grep -q omni_live_secret %s/*", folder.path);
    cr_expect_neq(system(command), 0, "the secret is on disk");
}

// The process dies when the handler has committed and the serve loop has not.
Test(once, has_done_nothing_when_it_dies_before_the_answer_is_kept)
{
    struct asked asked;
    om_db_close(&db);
    pid_t child = fork();
    if (child == 0) {
        struct service service = { .id = "a", .how = AND_DIE };
        db = call_open_db(&folder, "test", schema);
        _exit(ask(&asked, &service, OP_user_delete, tenant(1), "k", 1) == OM_OK);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    db = call_open_db(&folder, "test", schema);
    cr_expect_eq(count(&sql_thing_count), 0);
    cr_expect_eq(count(&sql_answer_count), 0);
}

// And when it dies after the commit, before anybody hears the answer.
Test(once, answers_a_repeat_of_what_it_did_before_it_died)
{
    struct asked asked;
    om_db_close(&db);
    pid_t child = fork();
    if (child == 0) {
        struct service service = { .id = "a" };
        db = call_open_db(&folder, "test", schema);
        if (ask(&asked, &service, OP_user_delete, tenant(1), "k", 1) == OM_OK)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    db = call_open_db(&folder, "test", schema);
    struct service service = { .id = "b" };
    cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    cr_expect(asked.job.replayed);
    cr_expect_eq(service.handled, 0);
    cr_expect_eq(count(&sql_thing_count), 1);
    om_buf_finish(&asked.job.result);
}

// ---- time

static enum om_rc
find(const struct om_idem *request, int64_t now_ms)
{
    OM_AUTO(om_buf_finish) struct om_buf answer = { 0 };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    return om_idem_find(txn, request, now_ms, &answer);
}

static void
keep(const struct om_idem *request, struct om_str answer, int64_t until_ms)
{
    struct om_txn *txn = om_db_begin(db);
    om_idem_keep(txn, request, answer, until_ms);
    cr_assert_eq(om_db_commit(&txn), OM_OK);
}

Test(once, forgets_an_answer_after_24_hours)
{
    char hash[32] = { 1 };
    struct om_idem request = { tenant(1), OM_LIT("k"), { hash, sizeof(hash) } };
    struct asked asked;
    struct service service = { .id = "a" };
    int64_t before_ms = om_clock_wall_ms();
    memset(hash, 1, sizeof(hash));
    cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(1), "k", 1), OM_OK);
    om_buf_finish(&asked.job.result);
    int64_t after_ms = om_clock_wall_ms();
    cr_expect_eq(find(&request, before_ms + OM_IDEM_KEEP_MS - 1), OM_OK);
    cr_expect_eq(find(&request, after_ms + OM_IDEM_KEEP_MS), OM_ENOTFOUND);
    keep(&request, OM_LIT("old"), 1000); // as if it had been kept long ago
    service.id = "b";
    cr_assert_eq(ask(&asked, &service, OP_user_delete, tenant(1), "k", 2), OM_OK);
    cr_expect(!asked.job.replayed);
    om_buf_finish(&asked.job.result);
}

Test(once, says_that_a_request_is_under_way_until_its_claim_is_over)
{
    char hash[32] = { 1 };
    struct om_idem request = { tenant(1), OM_LIT("k"), { hash, sizeof(hash) } };
    keep(&request, (struct om_str){ 0 }, 1000);
    cr_expect_eq(find(&request, 999), OM_EBUSY);
    cr_expect_eq(find(&request, 1000), OM_ENOTFOUND);
    keep(&request, OM_LIT("answer"), 2000);
    struct om_txn *txn = om_db_begin(db);
    om_idem_drop(txn, &request); // too late: it was answered
    cr_assert_eq(om_db_commit(&txn), OM_OK);
    cr_expect_eq(find(&request, 1999), OM_OK);
    keep(&request, (struct om_str){ 0 }, 3000);
    txn = om_db_begin(db);
    om_idem_drop(txn, &request);
    cr_assert_eq(om_db_commit(&txn), OM_OK);
    cr_expect_eq(find(&request, 2999), OM_ENOTFOUND);
}

Test(once, purges_what_is_over_in_small_steps)
{
    char hash[32] = { 1 }, name[16];
    struct om_txn *txn = om_db_begin(db);
    for (int i = 0; i < 1200; i++) {
        snprintf(name, sizeof(name), "k%d", i);
        struct om_idem request = { tenant(1), om_str(name), { hash, sizeof(hash) } };
        om_idem_keep(txn, &request, OM_LIT("answer"), i < 1100 ? 1000 : 2000);
    }
    cr_assert_eq(om_db_commit(&txn), OM_OK);
    bool more = true;
    int steps = 0;
    for (; more; steps++)
        cr_assert_eq(om_idem_purge(db, 1000, &more), OM_OK);
    cr_expect_eq(steps, 3);
    cr_expect_eq(count(&sql_answer_count), 100);
}

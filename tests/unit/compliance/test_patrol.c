#include "../services/call.h"
#include "../services/page.h"
#include "audit.h"
#include "id.h"
#include "patrol.h"

#define INTACT   "omni_audit_chain_intact"
#define VERIFIED "omni_audit_verified_timestamp_seconds"
#define RECORDS  "omni_audit_verified_records_total"

enum { RUN = 50, LONG = 1100, SHORT = 7, TICKS_MAX = 100 };

static struct call_folder folder;
static struct compliance compliance;
static struct patrol patrol;
static struct om_buf body;
static int64_t now_ms, next_seq;

static void
open_all(void)
{
    om_metrics_init("test", ~0u);
    folder = call_folder_make();
    compliance.db = call_open_db(&folder, "compliance", compliance_schema);
    patrol_init(&patrol);
    now_ms = 1000;
    struct audit_event event = { 0 };
    REC_SET(&event, audit_event, actor, OM_LIT("key_1"));
    REC_SET(&event, audit_event, action, OM_LIT("files.read"));
    REC_SET(&event, audit_event, resource, OM_LIT(""));
    REC_SET(&event, audit_event, result, OM_LIT("success"));
    rec_encode(&audit_event_rec, &event, &body);
}

static void
close_all(void)
{
    om_db_close(&compliance.db);
    om_buf_finish(&body);
    call_folder_remove(&folder);
}

TestSuite(patrol, .init = open_all, .fini = close_all);

// Give a tenant so many records.
static void
fill(struct om_uuid tenant, int64_t count)
{
    struct wire_logged run[RUN];
    char ids[RUN][32], text[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &tenant, text);
    for (int64_t done = 0; done < count;) {
        size_t size = 0;
        for (; size < RUN && done < count; size++, done++) {
            snprintf(ids[size], sizeof(ids[0]), "evt_%d", (int)++next_seq);
            run[size] = (struct wire_logged){ .seq = next_seq,
                                              .topic = OM_LIT("audit"),
                                              .id = om_str(ids[size]),
                                              .tenant = om_str(text),
                                              .at = 1000 + next_seq,
                                              .body = om_buf_str(&body) };
        }
        cr_assert(audit_apply(&compliance, 9, run, size) == OM_OK);
    }
}

// Look until a round is over; returns how many slices it took.
static int
go_round(void)
{
    for (int ticks = 1; ticks <= TICKS_MAX; ticks++) {
        int64_t due_ms = patrol_tick(&patrol, compliance.db, now_ms);
        bool over = due_ms - now_ms >= 60000;
        now_ms = due_ms;
        if (over)
            return ticks;
    }
    cr_expect(false, "the round does not end");
    return TICKS_MAX;
}

OM_SQL(no_update_trigger, "DROP TRIGGER audit_log_no_update");
OM_SQL(update_row, "UPDATE audit_log SET action = 'files.write' WHERE seq = 7");
OM_SQL(mend_row, "UPDATE audit_log SET action = 'files.read' WHERE seq = 7");
OM_SQL(gone, "DROP TABLE audit_head");
OM_SQL(longer_head, "UPDATE audit_head SET entries = entries + 1");

static void
tamper(const struct om_sql *statement)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(compliance.db);
    om_db_exec(txn, statement);
    cr_assert(om_db_commit(&txn) == OM_OK);
}

Test(patrol, says_nothing_of_logs_it_has_not_been_round)
{
    cr_expect_eq(page_value(INTACT), -1);
    cr_expect_eq(page_value(VERIFIED), -1);
}

Test(patrol, ends_a_round_over_no_logs_at_all)
{
    cr_expect_eq(go_round(), 1);
    cr_expect_eq(page_value(INTACT), 1);
    cr_expect_gt(page_value(VERIFIED), 1e9);
}

Test(patrol, checks_every_record_of_every_tenant_a_slice_at_a_time)
{
    fill(om_id_new(9), LONG);
    fill(om_id_new(9), SHORT);
    fill(om_id_new(9), SHORT);
    int slices = go_round();
    cr_expect(slices >= 3 && slices <= 5, "%d slices of at most 500 records", slices);
    cr_expect_eq(page_value(RECORDS), LONG + 2 * SHORT);
    cr_expect_eq(page_value(INTACT), 1);
}

Test(patrol, waits_between_slices_and_rounds)
{
    fill(om_id_new(9), LONG);
    int64_t due_ms = patrol_tick(&patrol, compliance.db, now_ms);
    cr_expect_eq(due_ms, now_ms + 250);
    double seen = page_value(RECORDS);
    cr_expect_eq(patrol_tick(&patrol, compliance.db, now_ms + 249), due_ms);
    cr_expect_eq(page_value(RECORDS), seen, "it is not due");
    now_ms = due_ms;
    go_round();
    seen = page_value(RECORDS);
    patrol_tick(&patrol, compliance.db, now_ms - 1);
    cr_expect_eq(page_value(RECORDS), seen,
                 "a round begins a minute after the one before");
    go_round();
    cr_expect_eq(page_value(RECORDS), 2 * LONG, "and looks at all again");
}

Test(patrol, finds_a_record_that_was_changed_and_goes_on_with_other_tenants)
{
    fill(om_id_new(9), SHORT + 3);
    go_round();
    tamper(&sql_no_update_trigger);
    tamper(&sql_update_row);
    fill(om_id_new(9), 2);
    double seen = page_value(RECORDS);
    go_round();
    cr_expect_eq(page_value(INTACT), 0);
    cr_expect_geq(page_value(RECORDS), seen + 2, "the other tenant's");
    go_round();
    cr_expect_eq(page_value(INTACT), 0, "it stays so");
    tamper(&sql_mend_row);
    go_round();
    cr_expect_eq(page_value(INTACT), 1, "until a round finds all as they were written");
}

Test(patrol, finds_a_log_that_ends_before_its_end)
{
    fill(om_id_new(9), SHORT);
    tamper(&sql_longer_head);
    go_round();
    cr_expect_eq(page_value(INTACT), 0);
}

Test(patrol, without_its_database_says_nothing_new)
{
    fill(om_id_new(9), SHORT);
    go_round();
    double verified = page_value(VERIFIED);
    om_db_close(&compliance.db);
    compliance.db = call_open_db(&folder, "other", compliance_schema);
    tamper(&sql_gone);
    int64_t due_ms = patrol_tick(&patrol, compliance.db, now_ms);
    cr_expect_leq(due_ms - now_ms, 60000);
    cr_expect_geq(page_value(VERIFIED), verified);
}

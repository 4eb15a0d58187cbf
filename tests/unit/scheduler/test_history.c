// What is kept of the looks at the platform, and what is shown of it.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "history.h"
#include "scheduler.h"

#define LOOK_MS  INT64_C(15000)
#define BEGAN_MS (INT64_C(20000) * 24 * 60 * 60 * 1000) // midnight

OM_SQL(incidents, "SELECT component, began_ms, ended_ms FROM incident ORDER BY began_ms");
OM_SQL(counts, "SELECT SUM(good), SUM(total) FROM slo_count WHERE objective = $1");
OM_SQL(days, "SELECT COUNT(*), SUM(ready), SUM(looks) FROM program_day WHERE name = $1");
OM_SQL(rows,
       "SELECT (SELECT COUNT(*) FROM slo_count) + (SELECT COUNT(*) FROM program_day) "
       "+ (SELECT COUNT(*) FROM incident)");

static struct {
    char folder[32], url[48];
    struct om_db *db;
    struct history history;
    struct look look;
} here;

static void
add(const char *name)
{
    struct look_program *program = &here.look.programs[here.look.count++];
    snprintf(program->name, sizeof(program->name), "%s", name);
    snprintf(program->address, sizeof(program->address), "h:%zu", here.look.count);
    program->ready = program->answered = true;
}

static void
begin(void)
{
    char why[256];
    memset(&here, 0, sizeof(here));
    snprintf(here.folder, sizeof(here.folder), "/tmp/omni-test-XXXXXX");
    cr_assert(mkdtemp(here.folder));
    snprintf(here.url, sizeof(here.url), "sqlite:%s", here.folder);
    cr_assert_eq(
        om_db_open(here.url, "scheduler", scheduler_schema, &here.db, why, sizeof(why)),
        OM_OK, "%s", why);
    here.look.at_ms = BEGAN_MS;
    add("broker");
    add("ingest");
    add("billing");
}

static void
end(void)
{
    char command[64];
    om_db_close(&here.db);
    snprintf(command, sizeof(command), "rm -r %s", here.folder);
    cr_expect_eq(system(command), 0);
}

TestSuite(history, .init = begin, .fini = end);

static void
look_again(void)
{
    here.look.at_ms += LOOK_MS;
    cr_assert_eq(history_store(&here.history, here.db, &here.look), OM_OK);
}

// "billing 15000-60000 ": since BEGAN_MS.
static const char *
incidents(void)
{
    static char text[256];
    size_t size = 0;
    text[0] = '\0';
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(here.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_incidents);
    while (om_rows_next(rows)) {
        struct om_str name = om_row_str(rows, 0);
        size += (size_t)snprintf(
            text + size, sizeof(text) - size, "%.*s %lld-%lld ", (int)name.size,
            name.data, (long long)(om_row_i64(rows, 1) - BEGAN_MS),
            om_row_is_null(rows, 2) ? -1LL : (long long)(om_row_i64(rows, 2) - BEGAN_MS));
    }
    return text;
}

static struct slo_count
counted(enum slo slo)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(here.db);
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_counts, DB_I64(slo));
    cr_assert(om_rows_next(rows));
    return (struct slo_count){ om_row_i64(rows, 0), om_row_i64(rows, 1) };
}

Test(history, opens_an_incident_at_the_second_miss_and_ends_it)
{
    look_again();
    here.look.programs[2].ready = false;
    look_again();
    cr_expect_str_eq(incidents(), "", "one miss may be a restart");
    look_again();
    look_again();
    cr_expect_str_eq(incidents(), "billing 30000--1 ");
    here.look.programs[2].ready = true;
    look_again();
    cr_expect_str_eq(incidents(), "billing 30000-75000 ");
}

Test(history, an_incident_outlives_the_scheduler)
{
    here.look.programs[2].ready = false;
    look_again();
    look_again();
    here.history = (struct history){ 0 };
    look_again();
    look_again();
    cr_expect_str_eq(incidents(), "billing 15000--1 ", "one, and it goes on");
    here.look.programs[2].ready = true;
    look_again();
    cr_expect_str_eq(incidents(), "billing 15000-75000 ");
}

Test(history, a_component_is_there_while_one_of_its_programs_is)
{
    add("ingest");
    here.look.programs[1].ready = false;
    look_again();
    look_again();
    look_again();
    cr_expect_str_eq(incidents(), "");
    cr_expect_eq(counted(SLO_AVAILABILITY).good, 3);
    here.look.programs[3].ready = false;
    look_again();
    cr_expect_eq(counted(SLO_AVAILABILITY).good, 3);
    cr_expect_eq(counted(SLO_AVAILABILITY).total, 4);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(here.db);
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_days, DB_STR(OM_LIT("ingest")));
    cr_assert(om_rows_next(rows));
    cr_expect_eq(om_row_i64(rows, 0), 1);
    cr_expect_eq(om_row_i64(rows, 1), 3);
    cr_expect_eq(om_row_i64(rows, 2), 4, "once a look, not once a program");
}

Test(history, counts_what_was_answered_between_two_looks)
{
    struct slo_count *answered = &here.look.programs[1].counts.of[SLO_ERRORS];
    *answered = (struct slo_count){ 1000, 1000 };
    look_again();
    cr_expect_eq(counted(SLO_ERRORS).total, 0, "it may be of long ago");
    *answered = (struct slo_count){ 1008, 1010 };
    look_again();
    cr_expect_eq(counted(SLO_ERRORS).good, 8);
    cr_expect_eq(counted(SLO_ERRORS).total, 10);
    here.look.programs[1].answered = here.look.programs[1].ready = false;
    *answered = (struct slo_count){ 0 };
    look_again();
    here.look.programs[1].answered = here.look.programs[1].ready = true;
    *answered = (struct slo_count){ 5, 5 };
    look_again();
    cr_expect_eq(counted(SLO_ERRORS).total, 15, "it was restarted");
}

Test(history, is_forgotten_in_time)
{
    look_again();
    here.look.programs[2].ready = false;
    look_again();
    look_again();
    here.look.programs[2].ready = true;
    look_again();
    int64_t day_ms = 24 * 60 * 60 * 1000;
    cr_assert_eq(history_clean(here.db, BEGAN_MS + 30 * day_ms), OM_OK);
    cr_expect_str_neq(incidents(), "");
    cr_expect_eq(counted(SLO_AVAILABILITY).total, 4);
    cr_assert_eq(history_clean(here.db, BEGAN_MS + 91 * day_ms), OM_OK);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(here.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_rows);
    cr_assert(om_rows_next(rows));
    cr_expect_eq(om_row_i64(rows, 0), 0);
}

Test(history, shows_nothing_that_was_not_seen)
{
    char why[128];
    struct status status;
    cr_assert(
        status_open(&status, &(struct status_conf){ "", "", LOOK_MS }, why, sizeof(why)));
    struct status_get_reply shown = status_show(&status, BEGAN_MS);
    cr_expect(om_str_eq(shown.state, OM_LIT("unknown")));
    cr_assert_eq(status_tick(&status, here.db), OM_OK);
    status_close(&status);
}

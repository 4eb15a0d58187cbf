// `omni up` from start to stop, and what it says when it cannot start.
#include <arpa/inet.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "omni.h"

static struct omni omni;
static char text[64 * 1024];

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(up, .init = begin, .fini = end, .timeout = 120);

Test(up, answers_when_it_says_that_it_is_ready)
{
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/readyz"), 200);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/healthz"), 200);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/developer/keys"), 200);
    omni_stop(&omni);
}

Test(up, killed_leaves_no_process_behind_and_starts_again)
{
    cr_assert_geq(omni_processes(&omni), 10);
    omni_kill(&omni);
    omni_start(&omni);
    cr_assert_eq(omni_ask(&omni, "GET", NULL, "/developer/keys"), 200);
    omni_stop(&omni);
}

Test(up, restarts_a_child_that_dies)
{
    pid_t old = omni_child(&omni, "billing");
    kill(old, SIGKILL);
    omni_child_after(&omni, "billing", old);
    omni_stop(&omni);
}

Test(up, a_second_one_on_the_folder_says_who_has_it)
{
    char pid[32];
    const char *arguments[] = { "--data", omni.dir, "--listen", "127.0.0.1:0", NULL };
    snprintf(pid, sizeof(pid), "process %d", (int)omni.pid);
    cr_assert_eq(omni_try(&omni, arguments, text, sizeof(text)), EX_UNAVAILABLE);
    cr_assert(strstr(text, omni.dir) && strstr(text, pid), "%s", text);
    omni_stop(&omni);
}

Test(up, a_port_that_is_taken_is_named)
{
    char other[128];
    const char *port = strrchr(omni.url, '/') + 1;
    snprintf(other, sizeof(other), "%s/other", omni.folder);
    const char *arguments[] = { "--data", other, "--listen", port, NULL };
    cr_assert_eq(omni_try(&omni, arguments, text, sizeof(text)), EX_UNAVAILABLE);
    cr_assert(strstr(text, port), "%s", text);
    omni_stop(&omni);
}

Test(up, a_folder_that_cannot_be_written_is_named)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/secret/data", omni.dir);
    const char *arguments[] = { "--data", path, "--listen", "127.0.0.1:0", NULL };
    cr_assert_eq(omni_try(&omni, arguments, text, sizeof(text)), EX_CANTCREAT);
    cr_assert(strstr(text, path), "%s", text);
    omni_stop(&omni);
}

static int
schema_of(const char *database)
{
    char path[160];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    snprintf(path, sizeof(path), "%s/%s.db", omni.dir, database);
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(stmt), SQLITE_ROW);
    int schema = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return schema;
}

static void
change(const char *database, const char *statement)
{
    char path[160];
    sqlite3 *db;
    snprintf(path, sizeof(path), "%s/%s.db", omni.dir, database);
    cr_assert_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK, "%s: %s", path,
                 sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(up, a_database_newer_than_the_program_is_refused)
{
    char schema[64];
    const struct {
        const char *database, *make_newer, *make_old;
    } cases[] = {
        { "broker", "PRAGMA user_version = 9999", schema },
        { "billing", "INSERT INTO schema_migrations VALUES (9999, 'future', 0)",
          "DELETE FROM schema_migrations WHERE number = 9999" },
        { "identity", "INSERT INTO schema_migrations VALUES (9999, 'future', 0)",
          "DELETE FROM schema_migrations WHERE number = 9999" },
    };
    const char *arguments[] = { "--data", omni.dir, "--listen", "127.0.0.1:0", NULL };
    omni_stop(&omni);
    snprintf(schema, sizeof(schema), "PRAGMA user_version = %d", schema_of("broker"));
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        change(cases[i].database, cases[i].make_newer);
        int status = omni_try(&omni, arguments, text, sizeof(text));
        cr_expect(status >= EX__BASE && status <= EX__MAX, "%s: %d", cases[i].database,
                  status);
        cr_expect(strstr(text, "newer"), "%s: %s", cases[i].database, text);
        cr_expect(strstr(text, cases[i].database), "%s", text);
        cr_expect_eq(omni_processes(&omni), 0);
        change(cases[i].database, cases[i].make_old);
    }
    omni_start(&omni);
    omni_stop(&omni);
}

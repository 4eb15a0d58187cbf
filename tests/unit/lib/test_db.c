#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db.h"

static const struct om_migration schema[] = {
    { 1, "things",
      "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size REAL, "
      "body BLOB); INSERT INTO thing (name, size) VALUES ('first', 1.5)" },
    { 2, "kinds", "ALTER TABLE thing ADD COLUMN kind TEXT" },
    { 0 },
};

OM_SQL(insert, "INSERT INTO thing (name, size, body) VALUES ($1, $2, $3)");
OM_SQL(insert_swapped, "INSERT INTO thing (size, name, body) VALUES ($2, $1, $1)");
OM_SQL(list, "SELECT id, name, size, body, kind FROM thing ORDER BY id");
OM_SQL(find, "SELECT size FROM thing WHERE name = $1");
OM_SQL(count, "SELECT count(*) FROM thing");
OM_SQL(rename, "UPDATE thing SET name = 'x' || id");
OM_SQL(limit_pages, "PRAGMA max_page_count = 20");
OM_SQL(wrong, "SELECT nothing FROM nowhere");

static char folder[64], url[80], why[512];

static void
make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/omni-test-db-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(url, sizeof(url), "sqlite:%s", folder);
}

static void
remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_assert(system(command) == 0);
}

TestSuite(db, .init = make_folder, .fini = remove_folder);

static struct om_db *
open_db(const struct om_migration *migrations)
{
    struct om_db *db;
    enum om_rc rc = om_db_open(url, "test", migrations, &db, why, sizeof(why));
    cr_assert(rc == OM_OK, "%s", why);
    return db;
}

static int64_t
count_things(struct om_db *db)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_count);
    cr_assert(om_rows_next(rows));
    return om_row_i64(rows, 0);
}

static enum om_rc
insert_thing(struct om_db *db, const char *name)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    om_db_exec(txn, &sql_insert, DB_STR(om_str(name)), DB_NULL, DB_NULL);
    return om_db_commit(&txn);
}

Test(db, gives_back_what_was_stored_after_it_was_opened_anew)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    struct om_txn *txn = om_db_begin(db);
    om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("a")), DB_F64(2.5),
               DB_BIN(OM_LIT("\0\1")));
    cr_expect(om_db_changes(txn) == 1);
    om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("")), DB_I64(7), DB_BIN(OM_LIT("")));
    om_db_exec(txn, &sql_insert_swapped, DB_STR(OM_LIT("b")), DB_F64(0.5));
    cr_assert(om_db_commit(&txn) == OM_OK);
    cr_expect(!txn);
    om_db_close(&db);

    db = open_db(schema);
    txn = om_db_begin_read(db);
    struct om_rows *rows = om_db_query(txn, &sql_list);
    cr_assert(om_rows_next(rows)); // the migration's
    cr_assert(om_rows_next(rows));
    cr_expect(om_str_eq(om_row_str(rows, 1), OM_LIT("a")));
    cr_expect(om_row_f64(rows, 2) == 2.5);
    cr_expect(om_str_eq(om_row_str(rows, 3), OM_LIT("\0\1")));
    cr_expect(om_row_is_null(rows, 4) && !om_row_str(rows, 4).data);
    cr_assert(om_rows_next(rows));
    cr_expect(om_row_str(rows, 1).data && om_row_str(rows, 1).size == 0);
    cr_expect(om_row_f64(rows, 2) == 7);
    cr_expect(om_row_str(rows, 3).data && om_row_str(rows, 3).size == 0);
    cr_assert(om_rows_next(rows));
    cr_expect(om_str_eq(om_row_str(rows, 1), OM_LIT("b")) && om_row_f64(rows, 2) == 0.5);
    cr_expect(!om_rows_next(rows) && !om_rows_next(rows));
    cr_expect(om_db_rc(txn) == OM_OK);
    om_rows_close(&rows);
    cr_expect(om_db_commit(&txn) == OM_OK);
}

Test(db, keeps_nothing_of_a_transaction_whose_scope_was_left)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    {
        OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
        cr_expect(!om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("a")), DB_NULL, DB_NULL));
        OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_list);
        cr_expect(om_rows_next(rows));
    }
    cr_expect(count_things(db) == 1);
    cr_expect(insert_thing(db, "a") == OM_OK);
}

Test(db, names_a_unique_violation_and_rolls_the_whole_transaction_back)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("a")), DB_NULL, DB_NULL);
    cr_expect(om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("first")), DB_NULL, DB_NULL) ==
              OM_EDUP);
    cr_expect(om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("b")), DB_NULL, DB_NULL) ==
              OM_EDUP);
    cr_expect(!om_db_query(txn, &sql_list));
    cr_expect(om_db_commit(&txn) == OM_EDUP);
    cr_expect(strstr(om_db_error(db), "insert: UNIQUE"), "%s", om_db_error(db));
    cr_expect(count_things(db) == 1);
}

Test(db, reports_a_statement_that_cannot_run)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    cr_expect(!om_db_query(txn, &sql_wrong));
    cr_expect(om_db_rc(txn) == OM_EDB);
    cr_expect(om_db_exec(txn, &sql_insert, DB_STR((struct om_str){ 0 }), DB_NULL,
                         DB_NULL) == OM_EDB);
    cr_expect(om_db_commit(&txn) == OM_EDB);
    cr_expect(strstr(om_db_error(db), "wrong: "), "%s", om_db_error(db));
    cr_expect(insert_thing(db, NULL) == OM_EDB, "NOT NULL is no duplicate");
}

Test(db, commits_with_rows_still_open)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_find, DB_STR(OM_LIT("first")));
    cr_assert(om_rows_next(rows));
    om_db_exec(txn, &sql_rename);
    cr_expect(om_db_commit(&txn) == OM_OK);
    cr_expect(insert_thing(db, "first") == OM_OK);
}

Test(db, says_that_the_disk_is_full_and_goes_on_reading)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    struct om_txn *txn = om_db_begin(db);
    om_db_exec(txn, &sql_limit_pages);
    cr_assert(om_db_commit(&txn) == OM_OK);

    static char large[200000];
    txn = om_db_begin(db);
    om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("a")), DB_NULL, DB_NULL);
    om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("b")), DB_NULL,
               DB_BIN(((struct om_str){ large, sizeof(large) })));
    cr_expect(om_db_commit(&txn) == OM_ENOSPACE);
    cr_expect(count_things(db) == 1);
    cr_expect(insert_thing(db, "c") == OM_OK, "what fits is still stored");
}

Test(db, refuses_a_schema_newer_than_the_program)
{
    static const struct om_migration older[] = { schema[0], { 0 } };
    struct om_db *db = open_db(schema);
    om_db_close(&db);
    cr_expect(om_db_open(url, "test", older, &db, why, sizeof(why)) == OM_EUNSUPPORTED);
    cr_expect(!db);
    cr_expect(strstr(why, "newer version of Omni"), "%s", why);
}

Test(db, refuses_the_schema_of_another_program)
{
    static const struct om_migration other[] = { { 1, "others", "SELECT 1" }, { 0 } };
    struct om_db *db = open_db(schema);
    om_db_close(&db);
    cr_expect(om_db_open(url, "test", other, &db, why, sizeof(why)) == OM_EUNSUPPORTED);
    cr_expect(strstr(why, "another program"), "%s", why);
}

Test(db, applies_a_failing_migration_not_at_all_and_later_ones_once)
{
    static const struct om_migration first[] = { schema[0], { 0 } };
    static const struct om_migration broken[] = {
        schema[0],
        { 2, "kinds", "CREATE TABLE kind (id INTEGER); SELECT nonsense" },
        { 0 }
    };
    struct om_db *db = open_db(first);
    om_db_close(&db);
    cr_expect(om_db_open(url, "test", broken, &db, why, sizeof(why)) == OM_EDB);
    cr_expect(strstr(why, "schema step 2") && strstr(why, "nonsense"), "%s", why);
    db = open_db(schema);
    om_db_close(&db);
    db = open_db(schema);
    cr_expect(count_things(db) == 1);
    om_db_close(&db);
}

Test(db, keeps_a_second_process_out)
{
    struct om_db *db = open_db(schema), *second;
    cr_expect(om_db_open(url, "test", schema, &second, why, sizeof(why)) == OM_ECONFLICT);
    cr_expect(strstr(why, "in use by another process"), "%s", why);

    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(om_db_open(url, "test", schema, &second, why, sizeof(why)) == OM_ECONFLICT);
    int status;
    cr_assert(waitpid(child, &status, 0) == child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    om_db_close(&db);
    db = open_db(schema);
    om_db_close(&db);
}

Test(db, frees_the_file_when_its_process_is_killed)
{
    int ready[2];
    cr_assert(pipe(ready) == 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct om_db *db = open_db(schema);
        struct om_txn *txn = om_db_begin(db);
        om_db_exec(txn, &sql_insert, DB_STR(OM_LIT("lost")), DB_NULL, DB_NULL);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char byte;
    cr_assert(read(ready[0], &byte, 1) == 1);
    kill(child, SIGKILL);
    cr_assert(waitpid(child, NULL, 0) == child);
    close(ready[0]);
    close(ready[1]);
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    cr_expect(count_things(db) == 1);
}

Test(db, makes_files_only_its_user_can_read)
{
    OM_AUTO(om_db_close) struct om_db *db = open_db(schema);
    cr_assert(insert_thing(db, "a") == OM_OK);
    const char *names[] = { "test.db", "test.db.lock", "test.db-wal" };
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        char path[128];
        struct stat info;
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        cr_assert(stat(path, &info) == 0, "%s", path);
        cr_expect((info.st_mode & 0777) == 0600, "%s", path);
    }
}

Test(db, explains_what_cannot_be_opened)
{
    char not_there[128], not_a_db[128];
    snprintf(not_there, sizeof(not_there), "sqlite:%s/no/such", folder);
    snprintf(not_a_db, sizeof(not_a_db), "%s/text.db", folder);
    FILE *file = fopen(not_a_db, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);

    const struct {
        const char *url, *service;
        enum om_rc rc;
        const char *text;
    } bad[] = {
        { "mysql://x", "test", OM_EINVAL, "must be sqlite:DIR" },
        { "", "test", OM_EINVAL, "must be sqlite:DIR" },
        { "sqlite:", "test", OM_EINVAL, "no folder" },
        { not_there, "test", OM_EDB, "cannot make folder" },
        { url, "text", OM_EDB, "not a database" },
    };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        struct om_db *db;
        cr_expect(om_db_open(bad[i].url, bad[i].service, schema, &db, why, sizeof(why)) ==
                      bad[i].rc,
                  "%s", bad[i].url);
        cr_expect(strstr(why, bad[i].text), "%s", why);
        cr_expect(!db);
    }
}

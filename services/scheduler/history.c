#include <stdio.h>

#include "history.h"

enum { BUCKET_MS = 5 * 60 * 1000 };
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))

OM_SQL(count_add, "INSERT INTO slo_count (objective, start_ms, good, total) "
                  "VALUES ($1, $2, $3, $4) "
                  "ON CONFLICT (objective, start_ms) DO UPDATE SET "
                  "good = slo_count.good + excluded.good, "
                  "total = slo_count.total + excluded.total");
OM_SQL(day_add,
       "INSERT INTO program_day (name, day, ready, looks) VALUES ($1, $2, $3, 1) "
       "ON CONFLICT (name, day) DO UPDATE SET "
       "ready = program_day.ready + excluded.ready, "
       "looks = program_day.looks + 1");
OM_SQL(incident_open, "INSERT INTO incident (component, began_ms) "
                      "SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM incident "
                      "WHERE component = $1 AND ended_ms IS NULL)");
OM_SQL(incident_close, "UPDATE incident SET ended_ms = $2 "
                       "WHERE component = $1 AND ended_ms IS NULL");
OM_SQL(count_clean, "DELETE FROM slo_count WHERE start_ms < $1");
OM_SQL(day_clean, "DELETE FROM program_day WHERE day < $1");
OM_SQL(incident_clean, "DELETE FROM incident WHERE ended_ms < $1");

// What was known of it, or NULL.
static struct history_program *
find(struct history *self, const struct look_program *seen)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->programs[i].address, seen->address) == 0 &&
            strcmp(self->programs[i].name, seen->name) == 0)
            return &self->programs[i];
    return NULL;
}

// Only what the look names is remembered of the looks before.
static void
match(struct history *self, const struct look *look)
{
    struct history next = { .count = look->count };
    for (size_t i = 0; i < look->count; i++) {
        const struct history_program *known = find(self, &look->programs[i]);
        struct history_program *program = &next.programs[i];
        if (known)
            *program = *known;
        memcpy(program->name, look->programs[i].name, sizeof(program->name));
        memcpy(program->address, look->programs[i].address, sizeof(program->address));
    }
    *self = next;
}

static void
store_counts(struct om_txn *txn, const struct history *self, const struct look *look)
{
    struct slo_counts sum = { 0 };
    for (size_t i = 0; i < look->count; i++) {
        const struct look_program *seen = &look->programs[i];
        if (!seen->answered || !self->programs[i].counted)
            continue;
        struct slo_counts since = slo_since(&self->programs[i].counts, &seen->counts);
        slo_add(&sum, &since);
    }
    sum.of[SLO_AVAILABILITY] = (struct slo_count){
        .good = look_is_ready(look, "ingest") && look_is_ready(look, "broker"), .total = 1
    };
    for (int i = 0; i < SLO_COUNT; i++)
        if (sum.of[i].total > 0)
            om_db_exec(txn, &sql_count_add, DB_I64(i),
                       DB_I64(look->at_ms - look->at_ms % BUCKET_MS),
                       DB_I64(sum.of[i].good), DB_I64(sum.of[i].total));
}

// Several programs of one name are one component, ready when one of them is.
static void
store_component(struct om_txn *txn, const struct history_program *program,
                const struct look *look)
{
    struct om_str name = om_str(program->name);
    bool ready = look_is_ready(look, program->name);
    om_db_exec(txn, &sql_day_add, DB_STR(name), DB_I64(look->at_ms / DAY_MS),
               DB_I64(ready));
    if (ready)
        om_db_exec(txn, &sql_incident_close, DB_STR(name), DB_I64(look->at_ms));
    else if (program->misses + 1 >= HISTORY_MISSES)
        om_db_exec(txn, &sql_incident_open, DB_STR(name),
                   DB_I64(program->misses ? program->missed_ms : look->at_ms));
}

static void
remember(struct history *self, const struct look *look)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct look_program *seen = &look->programs[i];
        struct history_program *program = &self->programs[i];
        if (seen->answered) {
            program->counts = seen->counts;
            program->counted = true;
        }
        if (look_is_ready(look, program->name))
            program->misses = 0;
        else if (program->misses++ == 0)
            program->missed_ms = look->at_ms;
    }
}

enum om_rc
history_store(struct history *self, struct om_db *db, const struct look *look)
{
    if (look->count == 0)
        return OM_OK; // nobody says what there is
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    match(self, look);
    store_counts(txn, self, look);
    for (size_t i = 0; i < self->count; i++)
        if (!look_repeats(look, i))
            store_component(txn, &self->programs[i], look);
    enum om_rc rc = om_db_commit(&txn);
    if (!rc)
        remember(self, look);
    return rc;
}

enum om_rc
history_clean(struct om_db *db, int64_t now_ms)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    om_db_exec(txn, &sql_count_clean, DB_I64(now_ms - HISTORY_COUNT_DAYS * DAY_MS));
    om_db_exec(txn, &sql_day_clean, DB_I64(now_ms / DAY_MS - HISTORY_DAYS + 1));
    om_db_exec(txn, &sql_incident_clean, DB_I64(now_ms - HISTORY_DAYS * DAY_MS));
    return om_db_commit(&txn);
}

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"
#include "json.h"
#include "status.h"

enum { INCIDENTS_SHOWN = 50, LATE_LOOKS = 4 };
#define HOUR_MS (60 * 60 * INT64_C(1000))
#define DAY_MS  (24 * HOUR_MS)

OM_SQL(counts, "SELECT COALESCE(SUM(good), 0), COALESCE(SUM(total), 0) FROM slo_count "
               "WHERE objective = $1 AND start_ms >= $2");
OM_SQL(days, "SELECT day, ready, looks FROM program_day WHERE name = $1 AND day > $2 "
             "ORDER BY day");
OM_SQL(incidents, "SELECT component, began_ms, ended_ms FROM incident "
                  "ORDER BY began_ms DESC LIMIT $1");

// ---- lists of records

struct list {
    struct om_buf items;
    size_t count;
};

static void
list_add(struct list *self, const struct rec *type, const void *item)
{
    rec_encode(type, item, &self->items);
    self->count++;
}

// The list as a RECS field, in the arena.
static struct om_str
list_take(struct list *self, struct om_arena *arena)
{
    struct om_buf list = { 0 };
    om_pack_array(&list, self->count);
    om_buf_put(&list, self->items.data, self->items.size);
    if (list.failed || self->items.failed)
        abort(); // as the arena does: all is bounded
    struct om_str taken = { om_arena_strdup(arena, om_buf_str(&list)), list.size };
    om_buf_finish(&list);
    om_buf_finish(&self->items);
    return taken;
}

// ---- components

static struct om_str
day_text(int64_t day, char out[16])
{
    time_t at = (time_t)(day * (DAY_MS / 1000));
    struct tm parts;
    gmtime_r(&at, &parts);
    return (struct om_str){ out, strftime(out, 16, "%Y-%m-%d", &parts) };
}

static void
put_component(struct status *self, struct om_txn *txn, const char *name, struct list *out)
{
    struct list days = { 0 };
    int64_t ready = 0, looks = 0;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_days, DB_STR(om_str(name)),
                                       DB_I64(self->look.at_ms / DAY_MS - HISTORY_DAYS));
    while (om_rows_next(rows)) {
        char text[16];
        struct status_day day = { 0 };
        int64_t day_looks = om_row_i64(rows, 2);
        ready += om_row_i64(rows, 1);
        looks += day_looks;
        REC_SET(&day, status_day, day, day_text(om_row_i64(rows, 0), text));
        REC_SET(&day, status_day, uptime,
                (double)om_row_i64(rows, 1) / (double)(day_looks ? day_looks : 1));
        list_add(&days, &status_day_rec, &day);
    }
    struct status_component item = { 0 };
    REC_SET(&item, status_component, name, om_str(name));
    REC_SET(&item, status_component, state,
            look_is_ready(&self->look, name) ? OM_LIT("operational") : OM_LIT("down"));
    REC_SET(&item, status_component, uptime, looks ? (double)ready / (double)looks : 1);
    REC_SET(&item, status_component, days, list_take(&days, &self->arena));
    list_add(out, &status_component_rec, &item);
}

static struct om_str
put_components(struct status *self, struct om_txn *txn)
{
    struct list list = { 0 };
    const struct look *look = &self->look;
    for (size_t i = 0; i < look->count; i++)
        if (!look_repeats(look, i))
            put_component(self, txn, look->programs[i].name, &list);
    return list_take(&list, &self->arena);
}

// Nothing can be asked for without these two.
static struct om_str
overall(const struct look *look)
{
    if (!look_is_ready(look, "ingest") || !look_is_ready(look, "broker"))
        return OM_LIT("outage");
    for (size_t i = 0; i < look->count; i++)
        if (!look_is_ready(look, look->programs[i].name))
            return OM_LIT("degraded");
    return OM_LIT("operational");
}

// ---- objectives

static struct slo_count
count_since(struct om_txn *txn, enum slo slo, int64_t since_ms)
{
    struct slo_count count = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_counts, DB_I64(slo), DB_I64(since_ms));
    if (om_rows_next(rows))
        count = (struct slo_count){ om_row_i64(rows, 0), om_row_i64(rows, 1) };
    return count;
}

static void
put_objective(struct status *self, struct om_txn *txn, enum slo slo, struct list *out)
{
    static const struct {
        const char *name;
        int64_t ms;
    } windows[] = { { "1h", HOUR_MS }, { "24h", DAY_MS }, { "30d", 30 * DAY_MS } };
    const struct slo_info *info = slo_info(slo);
    struct list list = { 0 };
    struct slo_count count = { 0 };
    for (size_t i = 0; i < OM_COUNT(windows); i++) {
        struct status_window item = { 0 };
        count = count_since(txn, slo, self->look.at_ms - windows[i].ms);
        REC_SET(&item, status_window, window, om_str(windows[i].name));
        REC_SET(&item, status_window, total, count.total);
        REC_SET(&item, status_window, good, slo_good(count));
        REC_SET(&item, status_window, burn, slo_burn(slo, count));
        list_add(&list, &status_window_rec, &item);
    }
    struct status_objective item = { 0 };
    REC_SET(&item, status_objective, name, om_str(info->name));
    REC_SET(&item, status_objective, doc, om_str(info->doc));
    REC_SET(&item, status_objective, target, info->target);
    REC_SET(&item, status_objective, met, slo_good(count) >= info->target);
    REC_SET(&item, status_objective, budget_left, 1 - slo_burn(slo, count));
    REC_SET(&item, status_objective, windows, list_take(&list, &self->arena));
    list_add(out, &status_objective_rec, &item);
}

static struct om_str
put_objectives(struct status *self, struct om_txn *txn)
{
    struct list list = { 0 };
    for (int i = 0; i < SLO_COUNT; i++)
        put_objective(self, txn, (enum slo)i, &list);
    return list_take(&list, &self->arena);
}

// ---- incidents

static struct om_str
put_incidents(struct status *self, struct om_txn *txn)
{
    struct list list = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_incidents, DB_I64(INCIDENTS_SHOWN));
    while (om_rows_next(rows)) {
        struct status_incident item = { 0 };
        REC_SET(&item, status_incident, component, om_row_str(rows, 0));
        REC_SET(&item, status_incident, began_at, om_row_i64(rows, 1) / 1000);
        if (!om_row_is_null(rows, 2))
            REC_SET(&item, status_incident, ended_at, om_row_i64(rows, 2) / 1000);
        list_add(&list, &status_incident_rec, &item);
    }
    return list_take(&list, &self->arena);
}

// ---- all of it

static enum om_rc
make_shown(struct status *self, struct om_db *db)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return OM_EDB;
    om_arena_reset(&self->arena);
    struct status_get_reply *shown = &self->shown;
    *shown = (struct status_get_reply){ 0 };
    REC_SET(shown, status_get_reply, state, overall(&self->look));
    REC_SET(shown, status_get_reply, updated_at, self->look.at_ms / 1000);
    REC_SET(shown, status_get_reply, components, put_components(self, txn));
    REC_SET(shown, status_get_reply, objectives, put_objectives(self, txn));
    REC_SET(shown, status_get_reply, incidents, put_incidents(self, txn));
    return om_db_commit(&txn);
}

// The file is read at any time, so it is put there as a whole.
static bool
write_file(const struct status *self)
{
    char fresh[4096];
    if (!*self->conf.file)
        return true;
    OM_AUTO(om_buf_finish) struct om_buf json = { 0 };
    om_json_put_record(&json, &status_get_reply_rec, &self->shown);
    om_json_put(&json, "\n");
    snprintf(fresh, sizeof(fresh), "%s.new", self->conf.file);
    FILE *file = json.failed ? NULL : fopen(fresh, "we");
    if (!file)
        return false;
    bool wrote = fwrite(json.data, 1, json.size, file) == json.size;
    return fclose(file) == 0 && wrote && rename(fresh, self->conf.file) == 0;
}

bool
status_open(struct status *self, const struct status_conf *conf, char *why,
            size_t why_size)
{
    *self = (struct status){ .conf = *conf };
    REC_SET(&self->shown, status_get_reply, state, OM_LIT("unknown"));
    REC_SET(&self->shown, status_get_reply, updated_at, 0);
    static const char none[] = "\x90"; // an empty list
    REC_SET(&self->shown, status_get_reply, components, om_str(none));
    REC_SET(&self->shown, status_get_reply, objectives, om_str(none));
    REC_SET(&self->shown, status_get_reply, incidents, om_str(none));
    if (!*conf->targets)
        return true;
    self->watcher = watcher_start(conf->targets, conf->look_ms);
    if (!self->watcher)
        snprintf(why, why_size, "no memory or no thread to look at the programs");
    return self->watcher != NULL;
}

void
status_close(struct status *self)
{
    watcher_stop(&self->watcher);
    om_arena_finish(&self->arena);
}

enum om_rc
status_tick(struct status *self, struct om_db *db)
{
    struct look look;
    if (!self->watcher || !watcher_take(self->watcher, &look) || look.count == 0)
        return OM_OK;
    enum om_rc rc = history_store(&self->history, db, &look);
    if (rc)
        return rc;
    self->look = look;
    rc = make_shown(self, db);
    if (!rc && !write_file(self))
        rc = OM_ENOSPACE;
    return rc;
}

struct status_get_reply
status_show(const struct status *self, int64_t now_ms)
{
    struct status_get_reply shown = self->shown;
    if (now_ms - self->look.at_ms > LATE_LOOKS * self->conf.look_ms + 10000)
        shown.state = OM_LIT("unknown");
    return shown;
}

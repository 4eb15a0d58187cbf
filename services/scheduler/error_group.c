#include "error_group.h"

#include <stdio.h>

#include "error_stats.h"
#include "fingerprint.h"
#include "id.h"
#include "log_mask.h"
#include "ops.h"
#include "subscriber.h"
#include "trace.h"

enum { HOUR_MS = 3600000 };

const char *const error_status_names[ERROR_STATUSES] = { "open", "resolved", "ignored" };

OM_SQL(error_find, "SELECT id, status, changed_ms, version, regressed FROM error_group "
                   "WHERE tenant = $1 AND fingerprint = $2");
OM_SQL(error_count, "SELECT count(*) FROM error_group WHERE tenant = $1");
OM_SQL(error_quiet, "SELECT id FROM error_group WHERE tenant = $1 AND status = $2 "
                    "AND last_ms < $3 ORDER BY last_ms LIMIT 1");
OM_SQL(error_insert,
       "INSERT INTO error_group (id, tenant, fingerprint, status, regressed, platform, "
       "source, queue, kind, route, code, title, count, retried, first_ms, last_ms, "
       "changed_ms, version, slot) "
       "VALUES ($1, $2, $3, 0, 0, $4, $5, $6, $7, $8, $9, $10, 0, 0, $11, $11, $11, 0, "
       "0)");
OM_SQL(error_add, "UPDATE error_group SET count = count + $2, retried = retried + $3, "
                  "first_ms = CASE WHEN first_ms < $4 THEN first_ms ELSE $4 END, "
                  "last_ms = CASE WHEN last_ms > $4 THEN last_ms ELSE $4 END, "
                  "status = $5, regressed = $6, version = $7, slot = $8 WHERE id = $1");
OM_SQL(error_hour_add,
       "INSERT INTO error_hour (grp, slot, hour, count) VALUES ($1, $2, $3, $4) "
       "ON CONFLICT (grp, slot) DO UPDATE SET "
       "count = CASE WHEN error_hour.hour = excluded.hour "
       "THEN error_hour.count + excluded.count ELSE excluded.count END, "
       "hour = excluded.hour WHERE error_hour.hour <= excluded.hour");
OM_SQL(error_sample_set,
       "INSERT INTO error_sample (grp, slot, seq, at_ms, message, retried, trace_id, "
       "task_id, request_id, attempt, worker, model) "
       "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
       "ON CONFLICT (grp, slot) DO UPDATE SET seq = excluded.seq, "
       "at_ms = excluded.at_ms, message = excluded.message, "
       "retried = excluded.retried, trace_id = excluded.trace_id, "
       "task_id = excluded.task_id, request_id = excluded.request_id, "
       "attempt = excluded.attempt, worker = excluded.worker, model = excluded.model");
OM_SQL(error_saw, "INSERT INTO error_seen (tenant, id, at_ms) VALUES ($1, $2, $3) "
                  "ON CONFLICT (tenant, id) DO NOTHING");
OM_SQL(error_unsee, "DELETE FROM error_seen WHERE at_ms < $1");
OM_SQL(error_old, "SELECT id FROM error_group WHERE last_ms < $1 ORDER BY last_ms "
                  "LIMIT 1");
OM_SQL(error_remove_samples, "DELETE FROM error_sample WHERE grp = $1");
OM_SQL(error_remove_hours, "DELETE FROM error_hour WHERE grp = $1");
OM_SQL(error_remove, "DELETE FROM error_group WHERE id = $1");
OM_SQL(error_census, "SELECT status, count(*) FROM error_group GROUP BY status");

// ---- one event

// What is known of it.
struct seen {
    const struct error_conf *conf;
    int64_t now_ms, at_ms;
    struct om_uuid tenant;
    struct error_event event;
    struct om_str message; // without secrets
    char message_text[ERROR_TEXT_MAX], title[OM_TITLE_MAX + 1], trace_id[33];
    uint8_t fingerprint[OM_FINGERPRINT];
    bool platform;
};

struct group {
    struct om_uuid id;
    enum error_status status;
    int64_t changed_ms, version;
    bool regressed;
};

// A queue that is the platform's, or none.
static bool
is_platforms(const struct error_event *event)
{
    return om_str_eq(event->source, OM_LIT(ERROR_SOURCE_HTTP)) ||
           (event->queue.data && queue_find(event->queue));
}

static bool
is_known_source(struct om_str source)
{
    return om_str_eq(source, OM_LIT(ERROR_SOURCE_JOB)) ||
           om_str_eq(source, OM_LIT(ERROR_SOURCE_HTTP));
}

// False: it is not an error's event.
static bool
read_event(const struct wire_logged *logged, struct seen *seen)
{
    struct error_event *event = &seen->event;
    struct om_trace trace;
    if (om_typeid_decode(OM_ID_TENANT, logged->tenant, &seen->tenant) ||
        rec_decode(&error_event_rec, logged->body, event, NULL) ||
        !is_known_source(event->source))
        return false;
    if (!REC_HAS(event, error_event, count))
        event->count = 1;
    if (!event->trace_id.data && logged->traceparent.size &&
        om_trace_parse(logged->traceparent, &trace) == OM_OK) {
        om_trace_id_text(&trace, seen->trace_id);
        event->trace_id = om_str(seen->trace_id);
    }
    seen->at_ms = logged->at;
    seen->platform = is_platforms(event);
    size_t size = om_log_mask(event->text, seen->message_text, ERROR_TEXT_MAX);
    seen->message = (struct om_str){ seen->message_text, size };
    om_error_title(seen->message, seen->title);
    const struct om_str parts[] = { event->source, event->queue, event->route,
                                    event->kind,   event->code,  om_str(seen->title) };
    om_fingerprint(parts, OM_COUNT(parts), seen->fingerprint);
    return true;
}

static bool
find(struct om_txn *txn, const struct seen *seen, struct group *group)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(
        txn, &sql_error_find, DB_UUID(&seen->tenant),
        DB_BIN(((struct om_str){ (const char *)seen->fingerprint, OM_FINGERPRINT })));
    if (!om_rows_next(rows))
        return false;
    *group = (struct group){ .id = om_row_uuid(rows, 0),
                             .status = (enum error_status)om_row_i64(rows, 1),
                             .changed_ms = om_row_i64(rows, 2),
                             .version = om_row_i64(rows, 3),
                             .regressed = om_row_i64(rows, 4) != 0 };
    return true;
}

// ---- room for a group

static void
remove_group(struct om_txn *txn, const struct om_uuid *id)
{
    om_db_exec(txn, &sql_error_remove_samples, DB_UUID(id));
    om_db_exec(txn, &sql_error_remove_hours, DB_UUID(id));
    om_db_exec(txn, &sql_error_remove, DB_UUID(id));
}

static bool
evict(struct om_txn *txn, const struct seen *seen, enum error_status status,
      int64_t before_ms)
{
    struct om_uuid id;
    {
        OM_AUTO(om_rows_close)
        struct om_rows *rows = om_db_query(txn, &sql_error_quiet, DB_UUID(&seen->tenant),
                                           DB_I64(status), DB_I64(before_ms));
        if (!om_rows_next(rows))
            return false;
        id = om_row_uuid(rows, 0);
    }
    remove_group(txn, &id);
    error_stats_removed(ERROR_EVICTED, 1);
    return true;
}

static bool
has_room(struct om_txn *txn, const struct seen *seen)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_error_count, DB_UUID(&seen->tenant));
    if (om_rows_next(rows) && om_row_i64(rows, 0) < seen->conf->groups_max)
        return true;
    return evict(txn, seen, ERROR_RESOLVED, INT64_MAX) ||
           evict(txn, seen, ERROR_OPEN, seen->now_ms - ERROR_QUIET_MS);
}

// What finds no room is of the group of its source that says nothing more.
static void
become_other(struct seen *seen)
{
    struct error_event *event = &seen->event;
    seen->platform = om_str_eq(event->source, OM_LIT(ERROR_SOURCE_HTTP));
    event->queue = event->route = event->kind = (struct om_str){ 0 };
    event->code = OM_LIT("other");
    snprintf(seen->title, sizeof(seen->title), "errors that found no group of their own");
    memset(seen->fingerprint, 0, sizeof(seen->fingerprint));
    seen->fingerprint[0] = (uint8_t)event->source.data[0];
}

static void
insert(struct om_txn *txn, const struct seen *seen, struct group *group)
{
    const struct error_event *event = &seen->event;
    *group = (struct group){ .id = om_id_new(om_uuid_shard(&seen->tenant)) };
    om_db_exec(
        txn, &sql_error_insert, DB_UUID(&group->id), DB_UUID(&seen->tenant),
        DB_BIN(((struct om_str){ (const char *)seen->fingerprint, OM_FINGERPRINT })),
        DB_I64(seen->platform), DB_STR(event->source), DB_STR(event->queue),
        DB_STR(event->kind), DB_STR(event->route), DB_STR(event->code),
        DB_STR(om_str(seen->title)), DB_I64(seen->at_ms));
    error_stats_opened(seen->platform, false);
}

static void
find_or_make(struct om_txn *txn, struct seen *seen, struct group *group)
{
    if (find(txn, seen, group))
        return;
    if (!has_room(txn, seen)) {
        become_other(seen);
        error_stats_ungrouped(seen->event.count);
        if (find(txn, seen, group))
            return;
    }
    insert(txn, seen, group);
}

// ---- counting

static void
put_sample(struct om_txn *txn, const struct seen *seen, const struct group *group)
{
    const struct error_event *event = &seen->event;
    struct om_value attempt = DB_NULL;
    if (REC_HAS(event, error_event, attempt))
        attempt = (struct om_value)DB_I64(event->attempt);
    const struct om_value values[] = { DB_UUID(&group->id),
                                       DB_I64(group->version % ERROR_SAMPLES),
                                       DB_I64(group->version),
                                       DB_I64(seen->at_ms),
                                       DB_STR(seen->message),
                                       DB_I64(event->retried),
                                       DB_STR(event->trace_id),
                                       DB_STR(event->task_id),
                                       DB_STR(event->request_id),
                                       attempt,
                                       DB_STR(event->worker),
                                       DB_STR(event->model),
                                       { 0 } };
    om_db_exec_values(txn, &sql_error_sample_set, values);
}

static enum om_rc
add(struct om_txn *txn, struct seen *seen)
{
    struct group group;
    const struct error_event *event = &seen->event;
    find_or_make(txn, seen, &group);
    // What happened before it was resolved, and is told of late, is no relapse.
    if (group.status == ERROR_RESOLVED && seen->at_ms > group.changed_ms) {
        group.status = ERROR_OPEN;
        group.regressed = true;
        error_stats_opened(seen->platform, true);
    }
    group.version++;
    int64_t hour = seen->at_ms / HOUR_MS;
    om_db_exec(txn, &sql_error_add, DB_UUID(&group.id), DB_I64(event->count),
               DB_I64(event->retried ? event->count : 0), DB_I64(seen->at_ms),
               DB_I64(group.status), DB_I64(group.regressed), DB_I64(group.version),
               DB_I64(group.version % ERROR_SAMPLES));
    om_db_exec(txn, &sql_error_hour_add, DB_UUID(&group.id), DB_I64(hour % ERROR_HOURS),
               DB_I64(hour), DB_I64(event->count));
    put_sample(txn, seen, &group);
    error_stats_counted(event->source, event->count);
    return om_db_rc(txn);
}

struct apply {
    const struct error_conf *conf;
    int64_t now_ms;
};

static enum om_rc
apply_one(void *context, struct om_txn *txn, const struct wire_logged *logged)
{
    const struct apply *apply = context;
    struct seen seen = { .conf = apply->conf, .now_ms = apply->now_ms };
    if (!read_event(logged, &seen)) {
        error_stats_dropped(ERROR_MALFORMED);
        return OM_OK;
    }
    // What the broker tells of a job is in its log once; an edge may publish twice.
    if (!seen.event.task_id.data) {
        om_db_exec(txn, &sql_error_saw, DB_UUID(&seen.tenant), DB_STR(logged->id),
                   DB_I64(apply->now_ms));
        if (om_db_changes(txn) == 0) {
            error_stats_dropped(ERROR_REPEATED);
            return om_db_rc(txn);
        }
    }
    return add(txn, &seen);
}

enum om_rc
error_apply(const struct error_conf *conf, struct om_db *db, uint8_t shard,
            const struct wire_logged *events, size_t count, int64_t now_ms)
{
    struct apply apply = { conf, now_ms };
    error_stats_begin();
    enum om_rc rc = om_subscriber_apply(db, shard, events, count, apply_one, &apply);
    if (rc == OM_OK)
        error_stats_commit();
    return rc;
}

// ---- forgetting

// False: none is older.
static bool
remove_oldest(struct om_txn *txn, int64_t before_ms)
{
    struct om_uuid id;
    {
        OM_AUTO(om_rows_close)
        struct om_rows *rows = om_db_query(txn, &sql_error_old, DB_I64(before_ms));
        if (!om_rows_next(rows))
            return false;
        id = om_row_uuid(rows, 0);
    }
    remove_group(txn, &id);
    return true;
}

enum om_rc
error_tidy(const struct error_conf *conf, struct om_db *db, int64_t now_ms, bool *more)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    *more = false;
    if (!txn)
        return OM_EDB;
    int removed = 0;
    while (removed < ERROR_REMOVED_MAX && remove_oldest(txn, now_ms - conf->keep_ms))
        removed++;
    om_db_exec(txn, &sql_error_unsee, DB_I64(now_ms - ERROR_SEEN_MS));
    error_stats_begin();
    error_stats_removed(ERROR_EXPIRED, removed);
    enum om_rc rc = om_db_commit(&txn);
    if (rc == OM_OK) {
        error_stats_commit();
        *more = removed == ERROR_REMOVED_MAX;
    }
    return rc;
}

enum om_rc
error_census(struct om_db *db)
{
    int64_t counts[ERROR_STATUSES] = { 0 };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_error_census);
    while (om_rows_next(rows)) {
        int64_t status = om_row_i64(rows, 0);
        if (status >= 0 && status < ERROR_STATUSES)
            counts[status] = om_row_i64(rows, 1);
    }
    enum om_rc rc = om_db_commit(&txn);
    if (rc == OM_OK)
        error_stats_groups(counts);
    return rc;
}

#include "clock.h"
#include "id.h"
#include "page.h"
#include "registry.h"

enum { METRICS_MAX = 4096 }; // bytes, so that a page of models fits a message

#define MODEL_COLUMNS                                                                    \
    "id, name, version, model_type, task, training_file, metrics, bytes, sha256, blob, " \
    "created_ms"

OM_SQL(model_insert,
       "INSERT INTO model (tenant, " MODEL_COLUMNS ") "
       "SELECT $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5, $6, $7, $8, $9, $10, "
       "$11 FROM model WHERE tenant = $1 AND name = $3");
OM_SQL(model_of_task,
       "SELECT " MODEL_COLUMNS " FROM model WHERE tenant = $1 AND task = $2");
OM_SQL(model_find, "SELECT " MODEL_COLUMNS " FROM model WHERE tenant = $1 AND id = $2");
OM_PAGE_SQL(model_list,
            "SELECT " MODEL_COLUMNS
            " FROM model WHERE tenant = $1 AND id > $2 AND id < $3",
            "id", "$4");

// A row of MODEL_COLUMNS. model_create and model_get reply with a model_item too.
static void
read_model(struct om_call *call, struct om_rows *rows, struct model_item *out)
{
    REC_SET(out, model_item, id, om_call_id(call, OM_ID_MODEL, om_row_uuid(rows, 0)));
    REC_SET(out, model_item, object, OM_LIT("model"));
    REC_SET(out, model_item, name, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, model_item, version, om_row_i64(rows, 2));
    REC_SET(out, model_item, model_type, om_call_copy(call, om_row_str(rows, 3)));
    REC_SET(out, model_item, task_id, om_call_id(call, OM_ID_TASK, om_row_uuid(rows, 4)));
    if (!om_row_is_null(rows, 5))
        REC_SET(out, model_item, training_file,
                om_call_id(call, OM_ID_FILE, om_row_uuid(rows, 5)));
    REC_SET(out, model_item, metrics, om_call_copy(call, om_row_str(rows, 6)));
    REC_SET(out, model_item, bytes, om_row_i64(rows, 7));
    REC_SET(out, model_item, sha256, om_call_copy(call, om_row_str(rows, 8)));
    REC_SET(out, model_item, blob, registry_blob(call, om_row_uuid(rows, 9)));
    REC_SET(out, model_item, created_at, om_row_i64(rows, 10) / 1000);
}

// The model of the caller's tenant that `sql` finds by `id`.
static enum om_rc
find_model(struct om_call *call, struct om_txn *txn, const struct om_sql *sql,
           struct om_uuid id, struct model_item *out)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, sql, DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_ENOTFOUND;
    read_model(call, rows, out);
    return OM_OK;
}

struct ids {
    struct om_uuid task, file, blob;
};

static enum om_rc
check_create(struct registry *self, struct om_call *call,
             const struct model_create_request *request, struct ids *out)
{
    if (om_typeid_decode(OM_ID_TASK, request->task_id, &out->task) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "task_id",
                           "task_id: not the id of a task");
    if (REC_HAS(request, model_create_request, training_file) &&
        om_typeid_decode(OM_ID_FILE, request->training_file, &out->file) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "training_file",
                           "training_file: not the id of a file");
    if (request->metrics.size > METRICS_MAX)
        return om_job_fail(call->job, OM_EINVAL, "metrics",
                           "metrics: larger than %d bytes", METRICS_MAX);
    enum om_rc rc = registry_check_sha256(call, request->sha256);
    return rc ? rc
              : registry_read_blob(self, call, request->blob, request->bytes, &out->blob);
}

static enum om_rc
insert_model(struct om_call *call, struct om_txn *txn,
             const struct model_create_request *request, const struct ids *ids,
             struct model_item *out)
{
    struct om_uuid id = om_id_new(om_uuid_shard(&call->tenant_id));
    struct om_value none = DB_NULL, file = DB_UUID(&ids->file);
    enum om_rc rc = om_db_exec(
        txn, &sql_model_insert, DB_UUID(&call->tenant_id), DB_UUID(&id),
        DB_STR(request->name), DB_STR(request->model_type), DB_UUID(&ids->task),
        REC_HAS(request, model_create_request, training_file) ? file : none,
        DB_BIN(request->metrics), DB_I64(request->bytes), DB_STR(request->sha256),
        DB_UUID(&ids->blob), DB_I64(om_clock_wall_ms()));
    if (rc == OM_EDUP)
        return om_job_fail(call->job, OM_EREUSED, "blob",
                           "blob: another model has this blob");
    return rc ? rc : find_model(call, txn, &sql_model_find, id, out);
}

// A training that is repeated finds the version it made before; what the repeat wrote is
// swept.
enum om_rc
registry_model_create(void *context, struct om_call *call, const void *message,
                      void *answer)
{
    struct registry *self = context;
    const struct model_create_request *request = message;
    struct ids ids = { 0 };
    enum om_rc rc = check_create(self, call, request, &ids);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    rc = find_model(call, txn, &sql_model_of_task, ids.task, answer);
    if (rc == OM_ENOTFOUND) {
        rc = insert_model(call, txn, request, &ids, answer);
        if (!rc)
            outbox_store(&self->outbox, txn, &call->tenant_id,
                         ((const struct model_item *)answer)->id, request->bytes);
    }
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
registry_model_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct registry *self = context;
    const struct model_get_request *request = message;
    struct om_uuid id;
    enum om_rc rc = OM_ENOTFOUND;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    if (om_typeid_decode(OM_ID_MODEL, request->id, &id) == OM_OK)
        rc = find_model(call, txn, &sql_model_find, id, answer);
    if (rc == OM_ENOTFOUND)
        return om_job_fail(call->job, OM_ENOTFOUND, "id", "there is no such model");
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
registry_model_list(void *context, struct om_call *call, const void *message,
                    void *answer)
{
    struct registry *self = context;
    const struct model_list_request *request = message;
    struct model_list_reply *reply = answer;
    struct om_span span;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&model_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_MODEL, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(model_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct model_item item = { 0 };
        read_model(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    OM_PAGE_REPLY(&page, call->job->arena, model_list_reply, reply);
    return om_db_commit(&txn);
}

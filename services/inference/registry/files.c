#include "clock.h"
#include "page.h"
#include "registry.h"

// What a file may be for.
static const char *const purposes[] = { "dataset" };

#define FILE_COLUMNS "id, purpose, filename, bytes, sha256, blob, created_ms"

OM_SQL(file_insert, "INSERT INTO file (tenant, " FILE_COLUMNS ") "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING");
OM_SQL(file_find, "SELECT " FILE_COLUMNS " FROM file WHERE tenant = $1 AND id = $2");
OM_PAGE_SQL(file_list,
            "SELECT " FILE_COLUMNS " FROM file WHERE tenant = $1 AND id > $2 AND id < $3",
            "id", "$4");
OM_SQL(file_delete, "DELETE FROM file WHERE tenant = $1 AND id = $2");

static enum om_rc
no_such_file(struct om_call *call)
{
    return om_job_fail(call->job, OM_ENOTFOUND, "id", "there is no such file");
}

// A row of FILE_COLUMNS. file_create and file_get reply with a file_item too.
static void
read_file(struct om_call *call, struct om_rows *rows, struct file_item *out)
{
    REC_SET(out, file_item, id, om_call_id(call, OM_ID_FILE, om_row_uuid(rows, 0)));
    REC_SET(out, file_item, object, OM_LIT("file"));
    REC_SET(out, file_item, purpose, om_call_copy(call, om_row_str(rows, 1)));
    REC_SET(out, file_item, filename, om_call_copy(call, om_row_str(rows, 2)));
    REC_SET(out, file_item, bytes, om_row_i64(rows, 3));
    REC_SET(out, file_item, sha256, om_call_copy(call, om_row_str(rows, 4)));
    REC_SET(out, file_item, blob, registry_blob(call, om_row_uuid(rows, 5)));
    REC_SET(out, file_item, created_at, om_row_i64(rows, 6) / 1000);
}

// The file `id` of the caller's tenant; `blob` may be NULL.
static enum om_rc
find_file(struct om_call *call, struct om_txn *txn, struct om_uuid id,
          struct file_item *out, struct om_uuid *blob)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, &sql_file_find, DB_UUID(&call->tenant_id), DB_UUID(&id));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_ENOTFOUND;
    read_file(call, rows, out);
    if (blob)
        *blob = om_row_uuid(rows, 5);
    return OM_OK;
}

static enum om_rc
check_purpose(struct om_call *call, struct om_str purpose)
{
    char allowed[128] = "";
    for (size_t i = 0; i < OM_COUNT(purposes); i++) {
        if (om_str_eq(purpose, om_str(purposes[i])))
            return OM_OK;
        strcat(strcat(allowed, i ? ", " : ""), purposes[i]);
    }
    return om_job_fail(call->job, OM_EINVAL, "purpose", "purpose: must be one of: %s",
                       allowed);
}

static enum om_rc
check_create(struct registry *self, struct om_call *call,
             const struct file_create_request *request, struct om_uuid *id,
             struct om_uuid *blob)
{
    if (om_typeid_decode(OM_ID_FILE, request->id, id) != OM_OK ||
        om_uuid_shard(id) != om_uuid_shard(&call->tenant_id))
        return om_job_fail(call->job, OM_EINVAL, "id", "id: not an id for a file");
    enum om_rc rc = check_purpose(call, request->purpose);
    if (rc == OM_OK)
        rc = registry_check_sha256(call, request->sha256);
    return rc ? rc : registry_read_blob(self, call, request->blob, request->bytes, blob);
}

// The id, or the blob, is taken: by this very file?
static enum om_rc
find_same(struct om_call *call, struct om_txn *txn, struct om_uuid id,
          const struct file_create_request *request, struct file_item *out)
{
    enum om_rc rc = find_file(call, txn, id, out, NULL);
    if (rc == OM_ENOTFOUND)
        return om_job_fail(call->job, OM_EREUSED, "blob",
                           "blob: another file has this blob");
    if (rc == OM_OK &&
        (!om_str_eq(out->purpose, request->purpose) || out->bytes != request->bytes ||
         !om_str_eq(out->filename, request->filename) ||
         !om_str_eq(out->sha256, request->sha256)))
        return om_job_fail(call->job, OM_EREUSED, "id", "id: another file has this id");
    return rc;
}

enum om_rc
registry_file_create(void *context, struct om_call *call, const void *message,
                     void *answer)
{
    struct registry *self = context;
    const struct file_create_request *request = message;
    struct om_uuid id, blob;
    enum om_rc rc = check_create(self, call, request, &id, &blob);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    rc = om_db_exec(txn, &sql_file_insert, DB_UUID(&call->tenant_id), DB_UUID(&id),
                    DB_STR(request->purpose), DB_STR(request->filename),
                    DB_I64(request->bytes), DB_STR(request->sha256), DB_UUID(&blob),
                    DB_I64(om_clock_wall_ms()));
    if (rc)
        return rc;
    bool made = om_db_changes(txn) > 0;
    rc = made ? find_file(call, txn, id, answer, NULL)
              : find_same(call, txn, id, request, answer);
    if (made)
        outbox_store(&self->outbox, txn, &call->tenant_id, request->id, request->bytes);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
registry_file_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct registry *self = context;
    const struct file_get_request *request = message;
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_FILE, request->id, &id) != OM_OK)
        return no_such_file(call);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = find_file(call, txn, id, answer, NULL);
    if (rc == OM_ENOTFOUND)
        return no_such_file(call);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
registry_file_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct registry *self = context;
    const struct file_list_request *request = message;
    struct file_list_reply *reply = answer;
    struct om_span span;
    OM_AUTO(om_page_finish) struct om_page page = om_page(&file_item_rec, request->limit);
    enum om_rc rc =
        om_page_span(&page, call->job, OM_ID_FILE, OM_PAGE_ASK(request), &span);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(file_list, span.up), DB_UUID(&call->tenant_id),
                    DB_UUID(&span.low), DB_UUID(&span.high), DB_I64(page.limit + 1));
    while (om_rows_next(rows)) {
        struct file_item item = { 0 };
        read_file(call, rows, &item);
        om_page_add(&page, item.id, &item);
    }
    OM_PAGE_REPLY(&page, call->job->arena, file_list_reply, reply);
    return om_db_commit(&txn);
}

enum om_rc
registry_file_delete(void *context, struct om_call *call, const void *message,
                     void *answer)
{
    struct registry *self = context;
    const struct file_delete_request *request = message;
    struct file_delete_reply *reply = answer;
    struct om_blob_ref blob = { ROLE_REGISTRY, call->tenant_id, { { 0 } } };
    struct file_item file = { 0 };
    struct om_uuid id;
    if (om_typeid_decode(OM_ID_FILE, request->id, &id) != OM_OK)
        return no_such_file(call);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = find_file(call, txn, id, &file, &blob.id);
    if (rc)
        return rc == OM_ENOTFOUND ? no_such_file(call) : rc;
    om_db_exec(txn, &sql_file_delete, DB_UUID(&call->tenant_id), DB_UUID(&id));
    outbox_remove(&self->outbox, txn, &call->tenant_id, file.id, file.bytes);
    rc = om_db_commit(&txn);
    if (rc)
        return rc;
    // A blob that cannot be deleted now is found by the sweep.
    (void)!om_blob_delete(self->blobs, &blob);
    REC_SET(reply, file_delete_reply, id, file.id);
    REC_SET(reply, file_delete_reply, deleted, true);
    return OM_OK;
}

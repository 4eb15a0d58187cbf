#include "dataset.h"
#include "csv_table.h"

enum { CHUNK_BYTES = 64 * 1024 };

static enum om_rc
open_file(struct pool *pool, struct om_call *call, struct om_str file_id,
          struct om_blob_caller *caller, struct om_blob_reader **out)
{
    struct file_get_request request = { 0 };
    struct file_get_reply reply;
    REC_SET(&request, file_get_request, id, file_id);
    enum om_rc rc =
        pool_ask_registry(call, OP_file_get, "training_file", &request, &reply);
    if (rc != OM_OK)
        return rc;
    struct om_blob_ref ref;
    const char *sha256 = om_arena_strdup(call->job->arena, reply.sha256);
    rc = om_blob_ref_parse(reply.blob, &call->tenant_id, &ref);
    if (rc == OM_OK)
        rc = om_blob_open(pool->blobs, caller, &ref, sha256, out);
    if (rc == OM_OK)
        return OM_OK;
    return om_job_fail(call->job, rc, "training_file",
                       "training_file: its bytes cannot be read: %s",
                       om_rc_info(rc)->text);
}

static enum om_rc
fail_csv(struct om_call *call, enum om_rc rc, const struct om_csv *csv)
{
    const char *param = om_csv_column_unknown(csv) ? "target" : "training_file";
    const char *why = om_csv_why(csv);
    return om_job_fail(call->job, rc, param, "%s: %s", param,
                       *why ? why : om_rc_info(rc)->text);
}

static enum om_rc
feed(struct om_call *call, struct om_blob_reader *reader, struct om_csv *csv)
{
    char *chunk = om_arena_alloc(call->job->arena, CHUNK_BYTES);
    for (;;) {
        size_t got;
        if (om_job_cancelled(call->job))
            return om_job_fail(call->job, OM_ECANCELLED, NULL, "cancelled");
        enum om_rc rc = om_blob_read(reader, chunk, CHUNK_BYTES, &got);
        if (rc != OM_OK)
            return om_job_fail(call->job, rc, "training_file",
                               "training_file: its bytes cannot be read: %s",
                               om_rc_info(rc)->text);
        if (got == 0)
            return OM_OK;
        rc = om_csv_feed(csv, (struct om_str){ chunk, got });
        if (rc != OM_OK)
            return fail_csv(call, rc, csv);
    }
}

enum om_rc
dataset_read(struct pool *pool, struct om_call *call, struct om_str file_id,
             struct om_str target, size_t rows_min, double **values, size_t *count)
{
    struct om_blob_caller caller = pool_blob_caller(call);
    OM_AUTO(om_blob_reader_destroy) struct om_blob_reader *reader = NULL;
    OM_AUTO(om_csv_destroy) struct om_csv *csv = om_csv_create(target);
    if (!csv)
        return om_job_fail(call->job, OM_EUNAVAILABLE, NULL, "no memory");
    enum om_rc rc = open_file(pool, call, file_id, &caller, &reader);
    if (rc == OM_OK)
        rc = feed(call, reader, csv);
    if (rc != OM_OK)
        return rc;
    rc = om_csv_finish(csv, rows_min, values, count);
    return rc == OM_OK ? OM_OK : fail_csv(call, rc, csv);
}

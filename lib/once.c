#include "once.h"

#include "clock.h"
#include "idem.h"

static const struct rec_field *
find_text(const struct rec *type, const char *name)
{
    for (size_t i = 0; name && i < type->count; i++)
        if (type->fields[i].type == REC_STR && strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

// The reply as it is kept: without what is shown once.
static enum om_rc
put_kept(const char *once, struct om_call *call, struct om_buf *out)
{
    struct om_job *job = call->job;
    const struct rec *type = call->op->reply;
    const struct rec_field *shown = find_text(type, once);
    if (!shown) {
        om_buf_put(out, job->result.data, job->result.size);
    } else {
        void *reply = om_arena_alloc(job->arena, type->size);
        enum om_rc rc = rec_decode(type, om_buf_str(&job->result), reply, NULL);
        if (rc)
            return rc;
        *(uint64_t *)reply &= ~(UINT64_C(1) << (shown - type->fields));
        rec_encode(type, reply, out);
    }
    return out->failed ? OM_EUNAVAILABLE : OM_OK;
}

// What was shown once is not shown again; but what was made is named.
static enum om_rc
refuse_repeat(struct om_call *call, struct om_str kept)
{
    const struct rec *type = call->op->reply;
    const struct rec_field *id = find_text(type, "id");
    void *reply = om_arena_alloc(call->job->arena, type->size);
    struct om_str text = OM_LIT("what it was asked for");
    if (id && rec_decode(type, kept, reply, NULL) == OM_OK)
        text = *(struct om_str *)((char *)reply + id->offset);
    return om_job_fail(call->job, OM_ECONFLICT, NULL,
                       "this request made %.*s before, and what it showed then is shown "
                       "only once: if you did not get it, revoke or rotate it",
                       (int)text.size, text.data);
}

static enum om_rc
find(struct om_db *db, const char *once, struct om_call *call,
     const struct om_idem *request, int64_t now_ms)
{
    OM_AUTO(om_buf_finish) struct om_buf kept = { 0 };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = om_idem_find(txn, request, now_ms, &kept);
    if (rc == OM_EREUSED)
        return om_job_fail(call->job, rc, "Idempotency-Key",
                           "this Idempotency-Key was used before with other content");
    if (rc == OM_OK && once)
        return refuse_repeat(call, om_buf_str(&kept));
    if (rc)
        return rc;
    om_buf_put(&call->job->result, kept.data, kept.size);
    call->job->result_type = "application/msgpack";
    call->job->replayed = true;
    return OM_OK;
}

static enum om_rc
keep(struct om_db *db, const char *once, struct om_call *call,
     const struct om_idem *request, int64_t now_ms)
{
    OM_AUTO(om_buf_finish) struct om_buf kept = { 0 };
    enum om_rc rc = put_kept(once, call, &kept);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(db);
    if (!txn)
        return OM_EDB;
    om_idem_keep(txn, request, om_buf_str(&kept), now_ms + OM_IDEM_KEEP_MS);
    return om_db_commit(&txn);
}

enum om_rc
om_once(struct om_db *db, const char *once, struct om_call *call, om_once_fn *answer,
        void *context)
{
    struct om_job *job = call->job;
    struct om_idem request = { call->tenant_id, job->msg->idem_key, job->msg->hash };
    int64_t now_ms = om_clock_wall_ms();
    if (om_db_open_span(db))
        return OM_EDB;
    enum om_rc rc = find(db, once, call, &request, now_ms);
    if (rc == OM_ENOTFOUND) {
        rc = answer(context, call);
        if (!rc)
            rc = keep(db, once, call, &request, now_ms);
    }
    enum om_rc closed = om_db_close_span(db, rc == OM_OK);
    return rc ? rc : closed;
}

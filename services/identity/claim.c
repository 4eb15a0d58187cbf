// Requests with an Idempotency-Key whose effect no service commits, but the broker: the
// edge claims the key here before, and has the answer kept after.
#include "clock.h"
#include "idem.h"
#include "identity.h"
#include "inner.h"

// Longer than any such request takes: then its edge is gone, and a repeat does it again.
enum { CLAIM_MS = 60000 };

#define READ_REQUEST(call, request)                                                      \
    {                                                                                    \
        (call)->tenant_id, (request)->name, (request)->hash                              \
    }

static enum om_rc
refuse(struct om_call *call, enum om_rc rc)
{
    if (rc == OM_EREUSED)
        return om_job_fail(call->job, rc, "Idempotency-Key",
                           "this Idempotency-Key was used before with other content");
    return rc;
}

enum om_rc
on_idem_claim(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct idem_claim_request *asked = message;
    struct om_idem request = READ_REQUEST(call, asked);
    int64_t now_ms = om_clock_wall_ms();
    OM_AUTO(om_buf_finish) struct om_buf kept = { 0 };
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    enum om_rc rc = om_idem_find(txn, &request, now_ms, &kept);
    if (rc == OM_OK) {
        struct om_str copy = om_call_copy(call, om_buf_str(&kept));
        return rec_decode(call->op->reply, copy, answer, NULL);
    }
    if (rc != OM_ENOTFOUND)
        return refuse(call, rc);
    om_idem_keep(txn, &request, (struct om_str){ 0 }, now_ms + CLAIM_MS);
    return om_db_commit(&txn);
}

enum om_rc
on_idem_keep(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct idem_keep_request *asked = message;
    struct om_idem request = READ_REQUEST(call, asked);
    struct idem_claim_reply kept = { 0 };
    (void)answer;
    REC_SET(&kept, idem_claim_reply, status, asked->status);
    REC_SET(&kept, idem_claim_reply, body, asked->body);
    if (asked->location.data)
        REC_SET(&kept, idem_claim_reply, location, asked->location);
    OM_AUTO(om_buf_finish) struct om_buf encoded = { 0 };
    rec_encode(ops[OP_idem_claim].reply, &kept, &encoded);
    if (encoded.failed)
        return OM_EUNAVAILABLE;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_idem_keep(txn, &request, om_buf_str(&encoded),
                 om_clock_wall_ms() + OM_IDEM_KEEP_MS);
    return om_db_commit(&txn);
}

enum om_rc
on_idem_drop(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct idem_drop_request *asked = message;
    struct om_idem request = READ_REQUEST(call, asked);
    (void)answer;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    om_idem_drop(txn, &request);
    return om_db_commit(&txn);
}

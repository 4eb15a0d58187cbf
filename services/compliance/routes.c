#include <inttypes.h>
#include <stdio.h>

#include "audit.h"
#include "clock.h"
#include "id.h"
#include "page.h"
#include "request.h"

enum { VERIFY_CHECK = 4096 }; // rows between looks at the clock

OM_PAGE_SQL(audit_list,
            "SELECT " AUDIT_COLUMNS " FROM audit_log "
            "WHERE tenant = $1 AND seq > $2 AND seq < $3",
            "seq", "$4");
OM_SQL(audit_walk,
       "SELECT " AUDIT_COLUMNS " FROM audit_log WHERE tenant = $1 ORDER BY seq");

// ---- audit_list

static void
add_row(struct om_page *page, struct om_rows *rows)
{
    struct chain_row row;
    uint8_t hash[CHAIN_HASH];
    char id[24], hash_text[2 * CHAIN_HASH + 1];
    audit_read(rows, &row, hash);
    snprintf(id, sizeof(id), "%" PRId64, row.seq);
    om_hex(hash, sizeof(hash), hash_text);

    struct audit_item item = { 0 };
    REC_SET(&item, audit_item, id, om_str(id));
    REC_SET(&item, audit_item, at, row.at_ms);
    REC_SET(&item, audit_item, hash, om_str(hash_text));
#define AUDIT_COPY(M, type, name, ...)                                                   \
    if (row.event.name.data)                                                             \
        REC_SET(&item, audit_item, name, row.event.name);
    AUDIT_EVENT(AUDIT_COPY, )
#undef AUDIT_COPY
    om_page_add(page, item.id, &item);
}

// A place in the chain as text. False if it is none.
static bool
read_seq(struct om_str text, int64_t *seq)
{
    *seq = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' ||
            __builtin_mul_overflow(*seq, 10, seq) ||
            __builtin_add_overflow(*seq, text.data[i] - '0', seq))
            return false;
    }
    return text.size > 0;
}

static enum om_rc
read_end(struct om_call *call, const char *name, struct om_str text, int64_t *seq)
{
    if (!text.data || read_seq(text, seq))
        return OM_OK;
    return om_job_fail(call->job, OM_EINVAL, name, "%s: not the id of an audit entry",
                       name);
}

static enum om_rc
on_audit_list(void *context, struct om_call *call, const void *message, void *answer)
{
    struct compliance *self = context;
    const struct audit_list_request *request = message;
    struct audit_list_reply *reply = answer;
    int64_t low = 0, high = INT64_MAX;
    bool oldest_first, up;
    OM_AUTO(om_page_finish)
    struct om_page page = om_page(&audit_item_rec, request->limit);
    enum om_rc rc =
        om_page_order(&page, call->job, OM_PAGE_ASK(request), &oldest_first, &up);
    if (!rc)
        rc = read_end(call, "after", request->after, oldest_first ? &low : &high);
    if (!rc)
        rc = read_end(call, "before", request->before, oldest_first ? &high : &low);
    if (rc)
        return rc;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows =
        om_db_query(txn, OM_PAGE_QUERY(audit_list, up), DB_UUID(&call->tenant_id),
                    DB_I64(low), DB_I64(high), DB_I64(page.limit + 1));
    while (om_rows_next(rows))
        add_row(&page, rows);
    OM_PAGE_REPLY(&page, call->job->arena, audit_list_reply, reply);
    return om_db_commit(&txn);
}

// ---- audit_verify

// Walk the chain, one row in memory at a time. *good is where it holds up to; *broken_at
// is the first row that does not hold or is missing, 0 if none.
static enum om_rc
walk(struct om_call *call, struct om_txn *txn, struct audit_head *good,
     int64_t *broken_at)
{
    struct chain_row row = { .tenant = call->tenant_id };
    uint8_t stored[CHAIN_HASH], computed[CHAIN_HASH];
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_audit_walk, DB_UUID(&call->tenant_id));
    while (om_rows_next(rows)) {
        audit_read(rows, &row, stored);
        enum om_rc rc = chain_hash(good->hash, &row, computed);
        if (rc)
            return rc;
        if (row.seq != good->entries + 1 || memcmp(stored, computed, CHAIN_HASH) != 0) {
            *broken_at = good->entries + 1;
            return OM_OK;
        }
        good->entries = row.seq;
        memcpy(good->hash, stored, CHAIN_HASH);
        if (row.seq % VERIFY_CHECK == 0 && om_clock_mono_ms() > call->job->deadline_ms)
            return OM_ETIMEOUT;
    }
    return om_db_rc(txn);
}

static enum om_rc
on_audit_verify(void *context, struct om_call *call, const void *message, void *answer)
{
    struct compliance *self = context;
    struct audit_verify_reply *reply = answer;
    (void)message;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    struct audit_head end = audit_head(txn, &call->tenant_id), good = { 0 };
    int64_t broken_at = 0;
    enum om_rc rc = walk(call, txn, &good, &broken_at);
    if (rc)
        return rc;
    if (!broken_at && good.entries < end.entries)
        broken_at = good.entries + 1;
    else if (!broken_at &&
             (good.entries > end.entries || memcmp(good.hash, end.hash, CHAIN_HASH) != 0))
        broken_at = good.entries;

    char head[2 * CHAIN_HASH + 1] = "";
    if (good.entries)
        om_hex(good.hash, CHAIN_HASH, head);
    REC_SET(reply, audit_verify_reply, valid, !broken_at);
    REC_SET(reply, audit_verify_reply, entries, good.entries);
    REC_SET(reply, audit_verify_reply, head,
            om_str(om_arena_strdup(call->job->arena, om_str(head))));
    if (broken_at)
        REC_SET(reply, audit_verify_reply, broken_at, broken_at);
    return om_db_commit(&txn);
}

const struct om_route compliance_routes[] = {
    { OP_audit_list, on_audit_list },     { OP_audit_verify, on_audit_verify },
    { OP_request_keep, on_request_keep }, { OP_request_list, on_request_list },
    { OP_request_get, on_request_get },   { 0 },
};

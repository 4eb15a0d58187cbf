#include <stdio.h>

#include "clock.h"
#include "id.h"
#include "log.h"
#include "sender.h"
#include "span.h"

OM_SQL(
    fire_pending,
    "SELECT fire.task, schedule.tenant, schedule.queue, schedule.kind, schedule.payload, "
    "schedule.traceparent "
    "FROM fire JOIN schedule ON schedule.id = fire.schedule "
    "WHERE fire.state = 0 AND fire.retry_ms <= $1 ORDER BY fire.retry_ms LIMIT $2");

// ---- traces

// Each fire is a trace of its own. It has the id of its task, so that a submit that is
// repeated says the same.
static struct om_trace
begin_trace(const struct om_uuid *task)
{
    struct om_trace trace = { .flags = 2 };
    memcpy(trace.trace_id, task->bytes, sizeof(trace.trace_id));
    om_trace_attempt(task->bytes, 0, trace.span_id);
    trace.flags = (uint8_t)(trace.flags | om_span_dice(&trace));
    return trace;
}

// Who made the schedule is found by the link.
static void
write_span(const struct sending *one)
{
    const char *code = one->outcome.code;
    char task[OM_TYPEID_MAX];
    bool failed = one->outcome.state == FIRE_FAILED;
    if (one->outcome.state == FIRE_PENDING)
        return;
    struct om_span *span =
        om_span_begin(&one->trace, NULL, OM_SPAN_PRODUCER, one->since_us, failed);
    om_span_name(span, "fire schedule");
    om_typeid_encode(OM_ID_TASK, &one->outcome.task, task);
    om_span_str(span, OM_ATTR_SYSTEM, OM_LIT("omni"));
    om_span_str(span, OM_ATTR_OPERATION, OM_LIT("send"));
    om_span_str(span, OM_ATTR_OPERATION_TYPE, OM_LIT("send"));
    om_span_str(span, OM_ATTR_TASK, om_str(task));
    om_span_link(span, &one->made);
    if (failed)
        om_span_fail(span, om_str(code), (struct om_str){ 0 });
    om_span_end(span);
}

// ---- answers

static void
on_answer(void *context, const struct om_answer *answer)
{
    struct sending *one = context;
    struct fire_outcome *outcome = &one->outcome;
    one->state = SENDING_ANSWERED;
    one->owner->answered++;
    *outcome = (struct fire_outcome){ .task = outcome->task };
    if (answer->rc == OM_OK || answer->rc == OM_EDUP) {
        outcome->state = FIRE_SUBMITTED;
        write_span(one);
        return;
    }
    struct om_str code =
        answer->msg ? answer->msg->code : om_str(om_rc_info(answer->rc)->code);
    snprintf(outcome->code, sizeof(outcome->code), "%.*s", (int)code.size, code.data);
    outcome->state = om_rc_info(answer->rc)->retryable ? FIRE_PENDING : FIRE_FAILED;
    outcome->retry_ms = om_clock_wall_ms() + SENDER_BACKOFF_MS;
    write_span(one);

    char task[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, &outcome->task, task);
    om_log(OM_WARN,
           outcome->state == FIRE_FAILED ? "a scheduled task was refused"
                                         : "a scheduled task is sent again later",
           LOG_S("task", task), LOG_S("code", outcome->code));
}

enum om_rc
sender_flush(struct sender *self, struct om_db *db)
{
    struct fire_outcome outcomes[SENDER_MAX];
    size_t count = 0;
    for (size_t i = 0; i < SENDER_MAX; i++)
        if (self->slots[i].state == SENDING_ANSWERED)
            outcomes[count++] = self->slots[i].outcome;
    if (count == 0)
        return OM_OK;
    enum om_rc rc = fire_store(db, outcomes, count);
    if (rc)
        return rc;
    for (size_t i = 0; i < SENDER_MAX; i++)
        if (self->slots[i].state == SENDING_ANSWERED)
            self->slots[i].state = SENDING_FREE;
    self->answered = 0;
    return OM_OK;
}

// ---- submits

// A slot for the task: NULL if it is under way, or there is no room.
static struct sending *
find_slot(struct sender *self, const struct om_uuid *task)
{
    struct sending *free_slot = NULL;
    for (size_t i = 0; i < SENDER_MAX; i++) {
        struct sending *one = &self->slots[i];
        if (one->state == SENDING_FREE)
            free_slot = one;
        else if (om_uuid_eq(&one->outcome.task, task))
            return NULL;
    }
    return free_slot;
}

// Every submit of a task has the same content, so the broker knows a repeat by its hash.
static bool
hash_job(const struct wire_msg *msg, struct om_str payload, uint8_t out[32])
{
    OM_AUTO(om_buf_finish) struct om_buf buf = { 0 };
    om_buf_put(&buf, msg->queue.data, msg->queue.size);
    om_buf_put(&buf, "", 1);
    om_buf_put(&buf, msg->kind.data, msg->kind.size);
    om_buf_put(&buf, "", 1);
    om_buf_put(&buf, payload.data, payload.size);
    if (buf.failed)
        return false;
    om_sha256(om_buf_str(&buf), out);
    return true;
}

static void
submit(struct sender *self, struct om_rows *rows)
{
    struct om_uuid task = om_row_uuid(rows, 0), tenant = om_row_uuid(rows, 1);
    struct om_str payload = om_row_str(rows, 4);
    struct sending *one = find_slot(self, &task);
    if (!one)
        return;
    char task_text[OM_TYPEID_MAX], tenant_text[OM_TYPEID_MAX];
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    uint8_t hash[32];
    om_typeid_encode(OM_ID_TASK, &task, task_text);
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
    one->trace = begin_trace(&task);
    om_trace_format(&one->trace, traceparent);

    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(task_text));
    WIRE_SET(&msg, tenant, om_str(tenant_text));
    WIRE_SET(&msg, queue, om_row_str(rows, 2));
    WIRE_SET(&msg, kind, om_row_str(rows, 3));
    WIRE_SET(&msg, ctype, OM_LIT("application/json"));
    WIRE_SET(&msg, traceparent, om_str(traceparent));
    if (!hash_job(&msg, payload, hash))
        return;
    WIRE_SET(&msg, hash, ((struct om_str){ (const char *)hash, sizeof(hash) }));

    one->owner = self;
    one->since_us = om_span_now_us();
    one->made = (struct om_trace){ 0 };
    if (!om_row_is_null(rows, 5))
        (void)!om_trace_parse(om_row_str(rows, 5), &one->made);
    one->outcome.task = task;
    if (om_client_send(self->client, WIRE_SUBMIT, &msg, payload, SENDER_TIMEOUT_MS,
                       on_answer, one))
        one->state = SENDING_WAITS;
}

enum om_rc
sender_submit(struct sender *self, struct om_db *db)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_fire_pending, DB_I64(om_clock_wall_ms()),
                                       DB_I64(2 * SENDER_MAX));
    while (om_rows_next(rows))
        submit(self, rows);
    return om_db_commit(&txn);
}

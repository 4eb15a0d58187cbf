#include "later.h"

#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "id.h"
#include "jobs.h"
#include "json.h"
#include "keyed.h"
#include "prefer.h"
#include "tasks.h"

enum { GRANT_MS = 24 * 3600 * 1000 }; // it may wait this long for a worker

struct later {
    struct prefer prefer;
    char task[OM_TYPEID_MAX];
    char applied[PREFER_TEXT_MAX];
};

static struct prefer
read_preference(struct exchange *x)
{
    struct prefer prefer = { 0 };
    const struct om_http_request *request = exchange_request(x);
    for (size_t i = 0; request && i < request->field_count; i++) {
        struct om_str name = request->fields[i].name;
        if (name.size == 6 && strncasecmp(name.data, "prefer", 6) == 0)
            prefer_add(&prefer, request->fields[i].value);
    }
    return prefer;
}

bool
later_is_wanted(struct exchange *x)
{
    if (x->route->on_request != predict)
        return false;
    struct prefer prefer = read_preference(x);
    return prefer.respond_async || prefer.has_wait;
}

static struct wire_msg
message(struct exchange *x, char *traceparent)
{
    const struct later *later = x->later;
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    WIRE_SET(&msg, task, om_str(later->task));
    return msg;
}

static void
add_applied(struct exchange *x, bool late, struct om_http_response *response)
{
    struct later *later = x->later;
    prefer_applied(&later->prefer, late, later->applied);
    if (later->applied[0])
        om_http_response_field(response, "preference-applied", om_str(later->applied));
}

// ---- answers

static void
reply_accepted(struct exchange *x)
{
    struct task_accepted reply = { 0 };
    struct om_http_response response = { .status = 202 };
    char url[128];
    const struct later *later = x->later;
    snprintf(url, sizeof(url), "/api/v1/tasks/%s", later->task);
    REC_SET(&reply, task_accepted, task_id, om_str(later->task));
    REC_SET(&reply, task_accepted, status, OM_LIT("submitted"));
    REC_SET(&reply, task_accepted, check_url, om_str(url));
    om_json_put_record(&x->edge->out, &task_accepted_rec, &reply);
    om_http_response_field(&response, "location", om_str(url));
    add_applied(x, true, &response);
    exchange_reply_json(x, &response);
}

static void
reply_result(struct exchange *x, struct om_str result)
{
    const struct rec *type = ops[x->route->op].reply;
    struct om_http_response response = { .status = x->route->status };
    void *record = om_arena_alloc(&x->arena, type->size);
    if (rec_decode(type, result, record, NULL) != OM_OK) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the worker's answer is malformed");
        return;
    }
    om_json_put_record(&x->edge->out, type, record);
    add_applied(x, false, &response);
    exchange_reply_json(x, &response);
}

static void
on_task(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct wire_task task;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(&wire_task_rec, answer->msg->info, &task, NULL) != OM_OK)
        exchange_fail(x, OM_EINTERNAL, NULL, "the broker's answer is malformed");
    else if (task.state == STATE_SUCCEEDED)
        reply_result(x, answer->payload);
    else if (!state_info(task.state)->ended)
        reply_accepted(x);
    else if (REC_HAS(&task, wire_task, code))
        exchange_fail(x, om_rc_find(task.code), NULL, "%.*s", (int)task.text.size,
                      task.text.size ? task.text.data : "");
    else
        exchange_fail(x, task.state == STATE_EXPIRED ? OM_EEXPIRED : OM_ECANCELLED, NULL,
                      "the prediction was %s", state_info(task.state)->public_name);
}

static void
ignore(void *context, const struct om_answer *answer)
{
    (void)context;
    (void)answer;
}

static void
cancel(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    if (x->idem_key.data)
        return;
    struct wire_msg msg = message(x, traceparent);
    om_client_send(x->edge->client, WIRE_CANCEL, &msg, (struct om_str){ 0 },
                   JOB_BROKER_MS, ignore, NULL);
}

// ---- the job

static void
on_submitted(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct later *later = x->later;
    if (!exchange_answered(x, answer))
        return;
    struct om_str task = answer->msg->task; // by its key, an earlier one
    if (task.size > 0 && task.size < sizeof(later->task))
        snprintf(later->task, sizeof(later->task), "%.*s", (int)task.size, task.data);
    x->replayed = om_str_eq(answer->msg->param, OM_LIT("idem_key"));
    if (later->prefer.wait_s > 0)
        task_await(x, om_str(later->task), later->prefer.wait_s * 1000, on_task);
    else
        reply_accepted(x);
}

static void
mint_grant(struct exchange *x, const char *task, char out[OM_GRANT_MAX])
{
    struct om_grant claims = { .tenant = x->caller.tenant,
                               .expires_ms = om_clock_wall_ms() + GRANT_MS,
                               .rights = OM_GRANT_READ };
    snprintf(claims.task, sizeof(claims.task), "%s", task);
    om_grant_mint(&x->edge->ingest->secret, &claims, out);
}

void
later_submit(struct exchange *x)
{
    char traceparent[OM_TRACEPARENT_SIZE + 1], grant[OM_GRANT_MAX], idem_key[65];
    uint8_t hash[32];
    const struct op_info *op = &ops[x->route->op];
    struct later *later = om_arena_alloc(&x->arena, sizeof(*later));
    OM_AUTO(om_buf_finish) struct om_buf payload = { 0 };
    later->prefer = read_preference(x);
    om_id_text(OM_ID_TASK, om_uuid_shard(&x->caller.tenant), later->task);
    x->later = later;
    x->on_gone = cancel;
    rec_encode(op->request, x->record, &payload);
    mint_grant(x, later->task, grant);
    struct wire_msg msg = message(x, traceparent);
    WIRE_SET(&msg, id, om_str(x->id_text));
    WIRE_SET(&msg, queue, om_str(queues[op->queue].name));
    WIRE_SET(&msg, kind, om_str(op->name));
    WIRE_SET(&msg, ctype, OM_LIT("application/msgpack"));
    WIRE_SET(&msg, grant, om_str(grant));
    job_identify(x, om_buf_str(&payload), 0, idem_key, hash, &msg);
    if (payload.failed || payload.size > WIRE_PAYLOAD_MAX)
        exchange_fail(x, OM_ETOOBIG, NULL, "the request is larger than a message may be");
    else
        exchange_send(x, WIRE_SUBMIT, &msg, om_buf_str(&payload), JOB_BROKER_MS,
                      on_submitted);
}

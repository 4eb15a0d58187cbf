// Many jobs in one request. What fits no message of the broker's is sent in several, one
// after the other; an atomic batch has to fit.
#include <stdio.h>

#include "jobs.h"
#include "json.h"

REC_DEFINE(task_batch, TASK_BATCH);
REC_DEFINE(task_batch_item, TASK_BATCH_ITEM);
REC_DEFINE(task_batch_reply, TASK_BATCH_REPLY);

enum {
    MESSAGE_JOBS_MAX = 1000,
    MESSAGE_BYTES_MAX = WIRE_PAYLOAD_MAX - 16, // with the head of the array
};

static void batch_go_on(struct exchange *x, struct batch_request *batch);

struct batch_request *
batch_create(struct exchange *x, size_t count)
{
    struct batch_request *batch =
        om_arena_alloc(&x->arena, sizeof(*batch) + count * sizeof(struct batch_job));
    batch->count = count;
    x->record = batch;
    return batch;
}

// ---- a message to the broker

static void
decide(struct batch_job *job, enum om_rc rc, const char *param, const char *text)
{
    job->decided = true;
    job->rc = rc;
    job->param = param;
    job->text = text;
}

// Append the job to the message. False: it fits no more.
static bool
add_job(struct exchange *x, struct batch_request *batch, size_t place, struct om_buf *out)
{
    struct batch_job *job = &batch->jobs[place];
    struct job made;
    struct job_refusal why;
    size_t before = out->size;
    bool fits = true;
    if (job_make(x, &job->record, batch->content, place, &made, &why)) {
        if (job->task[0]) // others depend on it: its id was made before
            WIRE_SET(&made.msg, task, om_str(job->task));
        else
            memcpy(job->task, made.task, sizeof(job->task));
        char traceparent[OM_TRACEPARENT_SIZE + 1];
        struct wire_msg msg = exchange_msg(x, false, traceparent);
        made.msg.has |= msg.has & (W(traceparent) | W(tracestate));
        made.msg.traceparent = msg.traceparent;
        made.msg.tracestate = msg.tracestate;
        job_put(&made, out);
        fits = out->size <= MESSAGE_BYTES_MAX;
        if (!fits)
            out->size = before;
        if (!fits && before == 0) {
            decide(job, OM_ETOOBIG, "payload", "the job is larger than a message may be");
            fits = true;
        }
    } else {
        decide(job, why.rc, why.param, om_arena_strdup(&x->arena, om_str(why.text)));
    }
    job_finish(&made);
    return fits;
}

// The jobs that the next message has, from batch->next on; how many.
static size_t
fill(struct exchange *x, struct batch_request *batch, struct om_buf *out)
{
    // With a key, the first job stands for all: another content is refused with it.
    size_t most =
        batch->keyed && !batch->atomic && batch->sent == 0 ? 1 : MESSAGE_JOBS_MAX;
    size_t count = 0;
    while (batch->next < batch->count && count < most &&
           add_job(x, batch, batch->next, out)) {
        count += !batch->jobs[batch->next].decided;
        batch->next++;
    }
    return count;
}

// ---- its answer

static void
read_item(struct exchange *x, struct batch_job *job, const struct wire_batch_item *item)
{
    decide(job, item->code.data ? om_rc_find(item->code) : OM_OK, NULL, NULL);
    if (item->code.data)
        job->text = om_arena_strdup(&x->arena, item->text);
    job->duplicate = item->duplicate;
    job->replayed = om_str_eq(item->param, OM_LIT("idem_key"));
    if (!item->code.data && item->task.size && item->task.size < sizeof(job->task))
        snprintf(job->task, sizeof(job->task), "%.*s", (int)item->task.size,
                 item->task.data);
}

static void
read_items(struct exchange *x, struct batch_request *batch, struct om_str payload,
           enum om_rc rc)
{
    struct rec_iter iter = rec_iter(payload);
    struct wire_batch_item item;
    struct om_str bytes;
    for (size_t i = batch->sent; i < batch->next; i++) {
        struct batch_job *job = &batch->jobs[i];
        if (job->decided)
            continue;
        if (rc == OM_OK && rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes))
            read_item(x, job, &item);
        else
            decide(job, rc == OM_OK ? OM_EINTERNAL : rc, NULL,
                   "whether it was taken is not known; repeating it is safe with an "
                   "Idempotency-Key");
    }
}

// The job that is to blame for a refusal, or NULL.
static const struct batch_job *
find_refused(const struct batch_request *batch)
{
    const struct batch_job *found = NULL;
    for (size_t i = 0; i < batch->next; i++) {
        const struct batch_job *job = &batch->jobs[i];
        if (job->rc != OM_OK && (!found || found->rc == OM_ECONFLICT))
            found = job;
    }
    return found;
}

static void
refuse_all(struct exchange *x, const struct batch_request *batch,
           const struct batch_job *job)
{
    char param[64];
    snprintf(param, sizeof(param), "%s[%zu]%s%s", batch->field,
             (size_t)(job - batch->jobs), job->param ? "." : "",
             job->param ? job->param : "");
    exchange_fail(x, job->rc, param, "%s",
                  job->text ? job->text : om_rc_info(job->rc)->text);
}

static void
on_batch(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct batch_request *batch = x->record;
    bool first = batch->sent == 0;
    if (answer->rc != OM_OK && first) {
        exchange_answered(x, answer);
        return;
    }
    x->pending = 0;
    read_items(x, batch, answer->payload, answer->rc);
    const struct batch_job *refused = find_refused(batch);
    if (refused &&
        (batch->atomic || (batch->keyed && first && refused->rc == OM_EREUSED))) {
        refuse_all(x, batch, refused);
        return;
    }
    batch->sent = batch->next;
    batch_go_on(x, batch);
}

static void
batch_go_on(struct exchange *x, struct batch_request *batch)
{
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf array = { 0 };
    size_t count = fill(x, batch, &items);
    const struct batch_job *refused = batch->atomic ? find_refused(batch) : NULL;
    if (refused) {
        refuse_all(x, batch, refused);
        return;
    }
    if (batch->atomic && batch->next < batch->count) {
        exchange_fail(x, OM_ETOOBIG, batch->field,
                      "an atomic batch must fit one message: 1,000 jobs and 1 MiB");
        return;
    }
    if (count == 0) {
        batch->reply(x, batch);
        return;
    }
    om_pack_array(&array, count);
    om_buf_put(&array, items.data, items.size);
    char traceparent[OM_TRACEPARENT_SIZE + 1];
    struct wire_msg msg = exchange_msg(x, false, traceparent);
    if (batch->atomic)
        WIRE_SET(&msg, atomic, true);
    if (array.failed)
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no memory for the batch");
    else
        exchange_send(x, WIRE_SUBMIT_BATCH, &msg, om_buf_str(&array), JOB_BROKER_MS,
                      on_batch);
}

void
batch_send(struct exchange *x, struct batch_request *batch)
{
    batch->keyed = x->idem_key.data != NULL;
    batch_go_on(x, batch);
}

// ---- POST /api/v1/tasks/batch

static void
put_refusal(struct exchange *x, const struct batch_job *job)
{
    struct om_buf *out = &x->edge->out;
    const struct om_rc_info *info = om_rc_info(job->rc);
    om_json_put(out, "{\"status\":");
    om_json_put_i64(out, info->http_status);
    om_json_put(out, ",\"error\":{\"message\":");
    om_json_put_str(out, om_str(job->text ? job->text : info->text));
    om_json_put(out, ",\"type\":");
    om_json_put_str(out, om_str(info->type));
    om_json_put(out, ",\"param\":");
    if (job->param)
        om_json_put_str(out, om_str(job->param));
    else
        om_json_put(out, "null");
    om_json_put(out, ",\"code\":");
    om_json_put_str(out, om_str(info->code));
    om_json_put(out, "}}");
}

static void
put_taken(struct exchange *x, const struct batch_job *job)
{
    struct om_buf *out = &x->edge->out;
    bool known = job->duplicate && !job->replayed;
    om_json_put(out,
                known ? "{\"status\":200,\"task_id\":" : "{\"status\":202,\"task_id\":");
    om_json_put_str(out, om_str(job->task));
    om_json_put(out, known ? ",\"duplicate\":true}" : "}");
}

static void
reply_batch(struct exchange *x, struct batch_request *batch)
{
    struct om_buf *out = &x->edge->out;
    size_t refused = 0, replayed = 0;
    om_json_put(out, "{\"object\":\"batch\",\"data\":[");
    for (size_t i = 0; i < batch->count; i++) {
        om_json_put(out, i ? "," : "");
        refused += batch->jobs[i].rc != OM_OK;
        replayed += batch->jobs[i].replayed;
        if (batch->jobs[i].rc == OM_OK)
            put_taken(x, &batch->jobs[i]);
        else
            put_refusal(x, &batch->jobs[i]);
    }
    om_json_put(out, "],\"accepted\":");
    om_json_put_i64(out, (int64_t)(batch->count - refused));
    om_json_put(out, ",\"refused\":");
    om_json_put_i64(out, (int64_t)refused);
    om_json_put(out, "}");
    struct om_http_response response = { .status = refused ? 200 : 202 };
    x->replayed = replayed > 0;
    exchange_reply_json(x, &response);
}

void
task_submit_batch(struct exchange *x)
{
    const struct task_batch *record = exchange_read(x, &task_batch_rec);
    if (!record)
        return;
    struct rec_iter iter = rec_iter(record->jobs);
    struct batch_request *batch = batch_create(x, iter.left);
    batch->field = "jobs";
    batch->content = record->jobs;
    batch->atomic = record->atomic;
    batch->reply = reply_batch;
    struct om_str bytes;
    for (size_t i = 0;
         rec_next_rec(&iter, &task_create_rec, &batch->jobs[i].record, &bytes);)
        i++;
    snprintf(x->resource, sizeof(x->resource), "%zu jobs", batch->count);
    batch_send(x, batch);
}

// Tasks on the simulated disk: what is added to them, and whether it may be.
#include "disk.h"
#include "judge.h"
#include "judge_flow.h"
#include "judge_limit.h"
#include "ops.h"

struct disk_task *
disk_find(const struct disk *self, const struct om_uuid *id)
{
    for (size_t i = 0; i < self->task_count; i++)
        if (om_uuid_eq(&self->tasks[i].row.id, id))
            return &self->tasks[i];
    return NULL;
}

struct disk_task *
disk_find_seq(const struct disk *self, int64_t seq)
{
    for (size_t i = self->task_count; i > 0; i--)
        if (self->tasks[i - 1].row.seq == seq)
            return &self->tasks[i - 1];
    return NULL;
}

void
disk_insert(struct disk *self, const struct change_task *task)
{
    self->tasks = disk_grow(self->tasks, self->task_count, &self->task_capacity,
                            sizeof(*self->tasks));
    struct disk_task *added = &self->tasks[self->task_count++];
    *added = (struct disk_task){
        .row = { .seq = task->seq,
                 .id = task->id,
                 .tenant = task->tenant,
                 .queue = disk_keep(self, task->queue),
                 .kind = disk_keep(self, task->kind),
                 .header = disk_keep(self, task->header),
                 .created_ms = task->created_ms },
        .payload = disk_keep_payload(task->payload),
        .priority = task->priority,
        .due_ms = task->due_ms,
        .expires_ms = task->expires_ms,
        .limit_key = disk_keep(self, task->limit_key),
        .idem_key = disk_keep(self, task->idem_key),
        .unique_key = disk_keep(self, task->unique_key),
        .unique_until_ms = task->unique_until_ms,
        .depends = task->depends,
    };
    if (stored_task_header(&added->row, &added->submit) != OM_OK)
        sim_fail(self->sim, "a stored header cannot be decoded");
    else if (WIRE_HAS(&added->submit, hash))
        memcpy(added->hash, added->submit.hash.data, sizeof(added->hash));
}

// ---- what happens to it

static bool
is_failure(const struct change *change, int64_t task_seq)
{
    const struct change_mark *mark = &change->mark;
    if (change->kind == CHANGE_RESULT)
        return change->result.task_seq == task_seq &&
               change->result.state == STATE_FAILED;
    return change->kind == CHANGE_MARK && mark->task_seq == task_seq &&
           (mark->kind == MARK_LOST ||
            (mark->kind == MARK_FAIL && !om_str_eq(mark->code, OM_LIT("cancelled"))));
}

// Attempts that failed are told of in the same batch, once each.
static void
judge_failures(struct disk *self, const struct batch *batch, const struct disk_task *task)
{
    char text[OM_TYPEID_MAX];
    struct om_str id = { text, om_typeid_encode(OM_ID_TASK, &task->row.id, text) };
    int failures = 0, errors = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        struct error_event error;
        failures += is_failure(change, task->row.seq);
        errors +=
            change->kind == CHANGE_EVENT &&
            om_str_eq(change->event.topic, OM_LIT(ERROR_TOPIC)) &&
            rec_decode(&error_event_rec, change->event.body, &error, NULL) == OM_OK &&
            om_str_eq(error.task_id, id);
    }
    if (failures != errors)
        sim_fail(self->sim, "%d failures of %s were committed with %d errors", failures,
                 text, errors);
}

void
disk_add_mark(struct disk *self, const struct batch *batch,
              const struct change_mark *change)
{
    struct disk_task *task = disk_find_seq(self, change->task_seq);
    if (!task)
        return; // of a submit that was a duplicate
    if (task->row.state != STATE_NONE)
        sim_fail(self->sim, "mark %d of %.*s, which has ended", change->kind,
                 (int)sim_task_text(&task->row.id).size,
                 sim_task_text(&task->row.id).data);
    if (change->kind == MARK_LEASE && task->row.cancel)
        sim_fail(self->sim, "a task was leased after its cancel");
    if (change->kind == MARK_LEASE && task->row.leased)
        sim_fail(self->sim, "a task was leased before its last lease was over");
    struct change_mark mark = *change;
    mark.node = disk_keep(self, mark.node);
    mark.code = disk_keep(self, mark.code);
    mark.text = disk_keep(self, mark.text);
    stored_task_mark(&task->row, &mark);
    task->marked = true;
    judge_failures(self, batch, task);
    if (change->kind != MARK_LEASE)
        return;
    judge_start(self, task, change->at_ms);
    flows_started(self, task);
}

// A success comes from the newest lease of the task, and its usage from the same batch.
static void
judge_success(struct disk *self, const struct batch *batch, const struct disk_task *task)
{
    struct job_result result;
    struct om_str bytes = payload_bytes(task->result);
    if (bytes.size != sizeof(result)) {
        sim_fail(self->sim, "a result is not what the worker sent");
        return;
    }
    memcpy(&result, bytes.data, sizeof(result));
    const struct wire_token *newest = judge_newest_lease(self->sim->judge, task);
    if (memcmp(&result.token, newest, sizeof(result.token)) != 0)
        sim_fail(self->sim, "a result under an older lease was committed");
    char id[128], text[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, &task->row.id, text);
    snprintf(id, sizeof(id), "%s/%u/compute_ms", text, result.token.attempt);
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        struct wire_usage usage;
        if (change->kind == CHANGE_EVENT && om_str_eq(change->event.id, om_str(id)) &&
            rec_decode(&wire_usage_rec, change->event.body, &usage, NULL) == OM_OK &&
            usage.quantity == result.quantity)
            return;
    }
    sim_fail(self->sim, "a result was committed without its usage");
}

void
disk_add_result(struct disk *self, const struct batch *batch,
                const struct change_result *change)
{
    struct disk_task *task = disk_find_seq(self, change->task_seq);
    if (!task)
        return;
    if (task->row.state != STATE_NONE)
        sim_fail(self->sim, "a second result was committed");
    flows_ended(self, task, change->code);
    task->results++;
    task->row.state = change->state;
    task->row.attempts = change->attempts;
    task->row.lost = change->lost;
    task->row.leased = false;
    task->row.finished_ms = change->finished_ms;
    task->row.code = disk_keep(self, change->code);
    task->row.text = disk_keep(self, change->text);
    task->row.ctype = disk_keep(self, change->ctype);
    task->result = disk_keep_payload(change->payload);
    if (change->state == STATE_SUCCEEDED)
        judge_success(self, batch, task);
    judge_failures(self, batch, task);
}

void
disk_reopen(struct disk *self, int64_t seq)
{
    struct disk_task *task = disk_find_seq(self, seq);
    if (!task || task->row.state != STATE_FAILED) {
        sim_fail(self->sim, "a task was opened again that had not failed");
        return;
    }
    task->row.state = STATE_NONE;
    task->row.finished_ms = 0;
    task->reopened = true;
    payload_unref(&task->result);
}

// A worker's partial results are stored once each, in its order.
static bool
follows(const struct disk_chunk *last, struct payload *payload)
{
    struct job_result before, after;
    struct om_str a = payload_bytes(last->payload), b = payload_bytes(payload);
    if (a.size != sizeof(before) || b.size != sizeof(after))
        return false;
    memcpy(&before, a.data, sizeof(before));
    memcpy(&after, b.data, sizeof(after));
    return memcmp(&before.token, &after.token, sizeof(after.token)) != 0 ||
           before.quantity < after.quantity;
}

void
disk_add_chunk(struct disk *self, const struct change_chunk *change)
{
    struct disk_task *task = disk_find_seq(self, change->task_seq);
    if (!task)
        return;
    if (task->row.state != STATE_NONE)
        sim_fail(self->sim, "a partial result of a task that has ended");
    const struct disk_chunk *last =
        task->chunk_count ? &task->chunks[task->chunk_count - 1] : NULL;
    if (change->seq <= (last ? last->seq : 0))
        sim_fail(self->sim, "partial result %lld follows %lld", (long long)change->seq,
                 last ? (long long)last->seq : 0LL);
    if (last && change->attempt < last->attempt)
        sim_fail(self->sim, "a partial result of an attempt that was over");
    if (last && !follows(last, change->payload))
        sim_fail(self->sim, "a partial result was stored again");
    if (change->seq <= task->told_before && !self->sim->jumps)
        sim_fail(self->sim, "a number of before the restart was stored again");
    if (task->row.chunk_count >= self->sim->conf.max_chunks)
        sim_fail(self->sim, "more partial results than may be kept");
    task->chunks = disk_grow(task->chunks, task->chunk_count, &task->chunk_capacity,
                             sizeof(*task->chunks));
    task->chunks[task->chunk_count++] = (struct disk_chunk){
        .seq = change->seq,
        .attempt = change->attempt,
        .ctype = disk_keep(self, change->ctype),
        .payload = disk_keep_payload(change->payload),
    };
    task->row.chunk_count++;
    task->row.chunk_bytes += (int64_t)payload_bytes(change->payload).size;
    task->row.chunk_seq = change->seq;
    task->row.chunk_attempt = change->attempt;
    task->row.chunk_worker_seq = change->worker_seq;
}

#include "batch.h"

#include <utlist.h>

#include "depend.h"
#include "out.h"
#include "task.h"

enum { INTAKES_MAX = 4096 };

// A job of the batch, and what became of it.
struct entry {
    struct task *task; // of an atomic batch: made, and not added yet
    bool decided, has_id;
    struct om_uuid id;
    struct outcome outcome; // its strings are `why`
    char *why;
};

struct intake {
    struct asker asker;
    bool atomic;
    bool making; // not all jobs of an atomic batch have been looked at
    bool known;  // one of the jobs was known before
    size_t undecided;
    size_t unready; // jobs that wait for an answer of the store
    struct intake *prev, *next;
    size_t count;
    struct entry entries[];
};

// ---- life

static struct intake *
intake_create(struct core *self, const struct asker *asker, bool atomic, size_t count)
{
    struct intake *intake = core_alloc(sizeof(*intake) + count * sizeof(struct entry));
    intake->asker = *asker;
    intake->atomic = intake->making = atomic;
    intake->count = count;
    intake->undecided = count + 1; // until all of it has been read
    self->intake_items += count;
    DL_APPEND(self->intakes, intake);
    return intake;
}

static void
intake_destroy(struct core *self, struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++)
        free(intake->entries[i].why);
    self->intake_items -= intake->count;
    DL_DELETE(self->intakes, intake);
    free(intake);
}

void
intake_destroy_all(struct core *self)
{
    while (self->intakes)
        intake_destroy(self, self->intakes);
}

// ---- outcomes

static void
put_item(const struct entry *entry, struct om_buf *out)
{
    char task[OM_TYPEID_MAX] = "";
    size_t size = entry->has_id ? om_typeid_encode(OM_ID_TASK, &entry->id, task) : 0;
    const struct outcome *outcome = &entry->outcome;
    const struct om_rc_info *info = om_rc_info(outcome->rc);
    struct wire_batch_item item = { 0 };
    REC_SET(&item, wire_batch_item, task, ((struct om_str){ task, size }));
    if (outcome->rc != OM_OK) {
        REC_SET(&item, wire_batch_item, code, om_str(info->code));
        REC_SET(&item, wire_batch_item, text,
                om_str(entry->why ? entry->why : info->text));
    } else if (outcome->duplicate) {
        REC_SET(&item, wire_batch_item, duplicate, true);
        if (outcome->by != KNOWN_ID)
            REC_SET(&item, wire_batch_item, param, om_str(known_by_field(outcome->by)));
    }
    rec_encode(&wire_batch_item_rec, &item, out);
}

static void
answer(struct core *self, const struct intake *intake)
{
    struct om_buf items = { 0 };
    om_pack_array(&items, intake->count);
    for (size_t i = 0; i < intake->count; i++)
        put_item(&intake->entries[i], &items);
    struct payload *payload = payload_copy(om_buf_str(&items));
    if (items.failed || !payload)
        abort();
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&intake->asker.id));
    out_send(self, intake->asker.conn, WIRE_BATCH, &msg, payload);
    payload_unref(&payload);
    om_buf_finish(&items);
}

// One thing less to wait for.
static void
release(struct core *self, struct intake *intake)
{
    if (--intake->undecided > 0)
        return;
    answer(self, intake);
    intake_destroy(self, intake);
}

void
intake_note(struct core *self, struct intake *intake, size_t place,
            const struct outcome *outcome)
{
    struct entry *entry = &intake->entries[place];
    entry->outcome = *outcome;
    entry->has_id = outcome->id != NULL;
    if (outcome->id)
        entry->id = *outcome->id;
    entry->why = core_strdup(om_str(outcome->why));
    release(self, intake);
}

void
intake_known(struct intake *intake)
{
    intake->known = true;
}

// ---- all or none

bool
intake_is_atomic(const struct intake *intake)
{
    return intake->atomic;
}

void
intake_made(struct intake *intake, size_t place, struct task *task)
{
    intake->entries[place].task = task;
    task->submission->set = intake;
    task->submission->place = place;
}

void
intake_leave(struct intake *intake, struct task *task)
{
    intake->entries[task->submission->place].task = NULL;
    task->submission->set = NULL;
    intake->known = true;
    intake->undecided++; // until intake_left()
}

static void
drop(struct core *self, struct intake *intake, struct task *task, enum om_rc rc,
     const char *why)
{
    intake->entries[task->submission->place].task = NULL;
    task->submission->set = NULL;
    submit_refuse(self, task, rc, why);
}

static void
drop_all(struct core *self, struct intake *intake, enum om_rc rc, const char *why)
{
    for (size_t i = 0; i < intake->count; i++)
        if (intake->entries[i].task)
            drop(self, intake, intake->entries[i].task, rc, why);
}

static void
drop_rest(struct core *self, struct intake *intake)
{
    drop_all(self, intake, OM_ECONFLICT, "another job of the batch was refused");
}

void
intake_refuse(struct core *self, struct task *task, enum om_rc rc, const char *why)
{
    struct intake *intake = task->submission->set;
    intake->undecided++; // it is needed until the end of this
    drop(self, intake, task, rc, why);
    if (!intake->making)
        drop_rest(self, intake);
    release(self, intake);
}

static void
add_all(struct core *self, struct intake *intake)
{
    size_t changes = 0;
    for (size_t i = 0; i < intake->count; i++)
        if (intake->entries[i].task)
            changes += submit_changes(intake->entries[i].task);
    if (changes == 0)
        return;
    if (changes > BATCH_MAX) {
        drop_all(self, intake, OM_ETOOBIG,
                 "the batch has too many events for one commit");
        return;
    }
    self->last_set += self->last_set == UINT32_MAX ? 2 : 1; // 0 is none
    commit_reserve(self, changes);
    for (size_t i = 0; i < intake->count; i++) {
        struct task *task = intake->entries[i].task;
        intake->entries[i].task = NULL;
        if (task)
            submit_add(self, task, self->last_set, intake->known);
    }
}

void
intake_ready(struct core *self, struct intake *intake)
{
    if (--intake->unready == 0)
        add_all(self, intake);
}

void
intake_left(struct core *self, struct intake *intake)
{
    intake_ready(self, intake);
    release(self, intake);
}

// ---- SUBMIT_BATCH

static bool
has_failed(const struct intake *intake)
{
    for (size_t i = 0; i < intake->count; i++)
        if (intake->entries[i].outcome.rc != OM_OK)
            return true;
    return false;
}

// Have the jobs wait for each other and for others; then add them, if nothing has to be
// read first.
static void
link_all(struct core *self, struct intake *intake)
{
    char why[SUBMIT_WHY_MAX];
    struct task **tasks = core_alloc((intake->count + 1) * sizeof(struct task *));
    size_t count = 0;
    for (size_t i = 0; i < intake->count; i++) {
        struct task *task = intake->entries[i].task;
        enum om_rc rc = task ? submit_link(self, task, why) : OM_OK;
        if (rc != OM_OK)
            drop(self, intake, task, rc, why);
    }
    for (size_t i = 0; i < intake->count; i++)
        if (intake->entries[i].task) {
            tasks[count++] = intake->entries[i].task;
            intake->unready += intake->entries[i].task->submission->unread > 0;
        }
    intake->making = false;
    struct task *cyclic;
    if (has_failed(intake)) {
        drop_rest(self, intake);
    } else if (!depend_sort(self, tasks, count, &cyclic)) {
        drop(self, intake, cyclic, OM_EINVAL, "depends_on leads round in a circle");
        drop_rest(self, intake);
    } else if (intake->unready == 0) {
        add_all(self, intake);
    }
    free(tasks);
}

static void
take_job(struct core *self, const struct input *batch, struct intake *intake,
         size_t place, const struct wire_batch_job *job)
{
    struct wire_msg msg = { 0 };
    struct input in = *batch;
    in.msg = &msg;
    struct outcome refusal = { .rc = wire_decode(job->header, &msg) };
    if (refusal.rc == OM_OK && msg.type != WIRE_SUBMIT)
        refusal.rc = OM_EPROTO;
    if (refusal.rc == OM_OK && WIRE_HAS(&msg, tenant))
        refusal.rc = om_typeid_decode(OM_ID_TENANT, msg.tenant, &in.tenant);
    if (refusal.rc == OM_OK && intake->atomic &&
        !om_uuid_eq(&in.tenant, &batch->tenant)) {
        refusal.rc = OM_EINVAL;
        refusal.why = "the jobs of an atomic batch belong to the tenant it names";
    }
    if (refusal.rc != OM_OK) {
        intake_note(self, intake, place, &refusal);
        return;
    }
    in.payload = job->payload.size ? payload_copy(job->payload) : NULL;
    if (job->payload.size && !in.payload)
        abort();
    struct submitter by = { .intake = intake, .place = place };
    submit_job(self, &in, &by);
    payload_unref(&in.payload);
}

static bool
is_open(const struct core *self, const struct asker *asker)
{
    const struct intake *intake;
    DL_FOREACH (self->intakes, intake)
        if (intake->asker.conn == asker->conn &&
            om_str_eq(label_str(&intake->asker.id), label_str(&asker->id)))
            return true;
    return false;
}

static enum om_rc
check_batch(const struct core *self, const struct input *in, size_t *count,
            const char **why)
{
    struct rec_iter iter = rec_iter(payload_bytes(in->payload));
    *count = iter.left;
    *why = "a batch has 1 to 1000 jobs";
    if (iter.left == 0 || iter.left > INTAKE_JOBS_MAX)
        return OM_EINVAL;
    *why = "too many batches wait for their answers";
    const struct intake *open;
    size_t intakes;
    DL_COUNT(self->intakes, open, intakes);
    if (intakes >= INTAKES_MAX || self->intake_items + iter.left > INTAKE_ITEMS_MAX)
        return OM_EUNAVAILABLE;
    struct wire_batch_job job;
    struct om_str bytes;
    while (rec_next_rec(&iter, &wire_batch_job_rec, &job, &bytes))
        ;
    *why = "the payload is no array of jobs";
    return iter.left == 0 ? OM_OK : OM_EPROTO;
}

void
on_submit_batch(struct core *self, const struct input *in)
{
    struct asker asker = { .conn = in->conn };
    label_set(&asker.id, in->msg->id);
    if (is_open(self, &asker))
        return; // said again: it will be answered
    size_t count;
    const char *why;
    enum om_rc rc = check_batch(self, in, &count, &why);
    if (rc != OM_OK) {
        out_error(self, in->conn, in->msg->id, rc, why);
        return;
    }
    struct intake *intake = intake_create(self, &asker, in->msg->atomic, count);
    struct rec_iter iter = rec_iter(payload_bytes(in->payload));
    struct wire_batch_job job;
    struct om_str bytes;
    for (size_t i = 0; rec_next_rec(&iter, &wire_batch_job_rec, &job, &bytes); i++)
        take_job(self, in, intake, i, &job);
    if (intake->atomic)
        link_all(self, intake);
    release(self, intake);
}

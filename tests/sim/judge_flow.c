#include "judge_flow.h"

enum { SET_MAX = 8 };

// The jobs of an atomic batch, no two of which are one by a key.
struct job_set {
    size_t count;
    struct om_uuid ids[SET_MAX];
};

struct flows {
    struct sim *sim;
    struct job_set *sets;
    size_t count, capacity;
};

struct flows *
flows_create(struct sim *sim)
{
    struct flows *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->sim = sim;
    return self;
}

void
flows_destroy(struct flows **self_p)
{
    free((*self_p)->sets);
    free(*self_p);
    *self_p = NULL;
}

// ---- batches

// Do two jobs of the set have a key in common? Then they are one.
static bool
share_key(const struct wire_msg *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if ((jobs[i].idem_key.size &&
                 om_str_eq(jobs[i].idem_key, jobs[k].idem_key)) ||
                (jobs[i].unique_key.size &&
                 om_str_eq(jobs[i].unique_key, jobs[k].unique_key)))
                return true;
    return false;
}

void
flows_asked(struct flows *self, const struct wire_msg *msg, struct om_str payload)
{
    struct wire_batch_job item;
    struct om_str bytes;
    struct wire_msg jobs[SET_MAX];
    struct job_set set = { 0 };
    struct rec_iter iter = rec_iter(payload);
    while (set.count < SET_MAX &&
           rec_next_rec(&iter, &wire_batch_job_rec, &item, &bytes)) {
        size_t at = set.count++;
        if (wire_decode(item.header, &jobs[at]) != OM_OK ||
            om_typeid_decode(OM_ID_TASK, jobs[at].task, &set.ids[at]) != OM_OK)
            return;
    }
    if (!msg->atomic || iter.left > 0 || share_key(jobs, set.count))
        return;
    self->sets = disk_grow(self->sets, self->count, &self->capacity, sizeof(set));
    self->sets[self->count++] = set;
}

void
flows_answered(struct flows *self, struct om_str payload)
{
    struct wire_batch_item item;
    struct om_str bytes;
    struct rec_iter iter = rec_iter(payload);
    while (rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes)) {
        struct om_uuid id;
        if (REC_HAS(&item, wire_batch_item, code))
            continue;
        struct disk_task *task = om_typeid_decode(OM_ID_TASK, item.task, &id) == OM_OK
                                     ? disk_find(self->sim->disk, &id)
                                     : NULL;
        if (!task)
            sim_fail(self->sim, "BATCH was said before the commit");
        else
            task->acknowledged = true;
    }
}

static void
judge_set(const struct flows *self, const struct job_set *set)
{
    size_t there = 0;
    for (size_t i = 0; i < set->count; i++)
        there += disk_find(self->sim->disk, &set->ids[i]) != NULL;
    if (there != 0 && there != set->count)
        sim_fail(self->sim, "%zu jobs of an atomic batch of %zu were committed", there,
                 set->count);
}

// ---- workflows

static const struct disk_task *
next_parent(const struct disk *disk, struct rec_iter *iter, bool *any)
{
    struct om_str text;
    struct om_uuid id;
    *any = rec_next_str(iter, &text);
    if (!*any || om_typeid_decode(OM_ID_TASK, text, &id) != OM_OK)
        return NULL;
    return disk_find(disk, &id);
}

void
flows_committed(struct flows *self, size_t first)
{
    const struct disk *disk = self->sim->disk;
    bool any;
    for (size_t i = first; i < disk->task_count; i++) {
        struct rec_iter iter = rec_iter(disk->tasks[i].submit.depends_on);
        const struct disk_task *parent;
        while ((parent = next_parent(disk, &iter, &any)) || any)
            if (!parent || !om_uuid_eq(&parent->row.tenant, &disk->tasks[i].row.tenant))
                sim_fail(self->sim, "a job waits for what is not there");
    }
    for (size_t i = 0; disk->task_count > first && i < self->count; i++)
        judge_set(self, &self->sets[i]);
}

void
flows_started(const struct disk *disk, const struct disk_task *task)
{
    struct rec_iter iter = rec_iter(task->submit.depends_on);
    const struct disk_task *parent;
    bool any;
    while (!task->reopened && (parent = next_parent(disk, &iter, &any))) {
        if (!parent->results)
            sim_fail(disk->sim, "a job was started before one it waits for had ended");
        else if (!task->submit.run_anyway && parent->row.state != STATE_SUCCEEDED)
            sim_fail(disk->sim, "a job was started though one it waits for failed");
    }
}

void
flows_ended(const struct disk *disk, const struct disk_task *task, struct om_str code)
{
    struct rec_iter iter = rec_iter(task->submit.depends_on);
    const struct disk_task *parent;
    bool any, failed = false;
    if (!om_str_eq(code, OM_LIT("parent_failed")))
        return;
    while ((parent = next_parent(disk, &iter, &any)))
        failed = failed || (parent->results &&
                            (parent->row.state != STATE_SUCCEEDED || parent->reopened));
    if (!failed || task->submit.run_anyway)
        sim_fail(disk->sim, "a job was given up though none it waits for failed");
}

// Which tasks the simulated disk knows already, by id or by key, and what becomes of
// those that are to be added together.
#include "disk.h"

static struct disk_task *
find_idem(const struct disk *self, const struct change_task *task)
{
    for (size_t i = 0; task->idem_key.size && i < self->task_count; i++)
        if (om_uuid_eq(&self->tasks[i].row.tenant, &task->tenant) &&
            om_str_eq(self->tasks[i].idem_key, task->idem_key))
            return &self->tasks[i];
    return NULL;
}

// The task whose hold on the unique key has not ended when `task` is submitted.
static struct disk_task *
find_unique(const struct disk *self, const struct change_task *task)
{
    for (size_t i = self->task_count; task->unique_key.size && i > 0; i--) {
        struct disk_task *known = &self->tasks[i - 1];
        bool holds = known->unique_until_ms ? task->created_ms < known->unique_until_ms
                                            : known->row.state == STATE_NONE;
        if (holds && om_uuid_eq(&known->row.tenant, &task->tenant) &&
            om_str_eq(known->unique_key, task->unique_key))
            return known;
    }
    return NULL;
}

// Is it stored by its id, or by one of its keys? Says so.
static bool
is_known(const struct disk *self, struct change *change)
{
    static struct disk_task *(*const finds[])(const struct disk *,
                                              const struct change_task *) = {
        [KNOWN_IDEM] = find_idem, [KNOWN_UNIQUE] = find_unique
    };
    const struct disk_task *known = disk_find(self, &change->task.id);
    change->known_by = KNOWN_ID;
    while (!known && change->known_by < KNOWN_UNIQUE)
        known = finds[++change->known_by](self, &change->task);
    change->duplicate = known != NULL;
    if (!known)
        return false;
    change->known_id = known->row.id;
    change->known_foreign = !om_uuid_eq(&known->row.tenant, &change->task.tenant);
    change->known_seq = known->row.seq;
    memcpy(change->known_hash, known->hash, sizeof(known->hash));
    return true;
}

// Is a task of the set known? The set's tasks begin at `first`.
static bool
is_set_known(const struct disk *self, struct batch *batch, size_t first)
{
    uint32_t set = batch->changes[first].task.set;
    bool known = false;
    for (size_t i = first; i < batch->count; i++) {
        struct change *change = &batch->changes[i];
        if (change->kind == CHANGE_TASK && change->task.set == set)
            known = is_known(self, change) || change->task.set_known || known;
    }
    return known;
}

static void
add_set(struct disk *self, struct batch *batch, size_t first)
{
    uint32_t set = batch->changes[first].task.set;
    bool known = is_set_known(self, batch, first);
    for (size_t i = first; i < batch->count; i++) {
        struct change *change = &batch->changes[i];
        if (change->kind != CHANGE_TASK || change->task.set != set)
            continue;
        change->left_out = known && !change->duplicate;
        if (!known)
            disk_insert(self, &change->task);
    }
}

// Does its set begin before it in the batch?
static bool
is_in_set_before(const struct batch *batch, size_t place)
{
    uint32_t set = batch->changes[place].task.set;
    for (size_t i = 0; set && i < place; i++)
        if (batch->changes[i].kind == CHANGE_TASK && batch->changes[i].task.set == set)
            return true;
    return false;
}

void
disk_add_task(struct disk *self, struct batch *batch, size_t place)
{
    struct change *change = &batch->changes[place];
    if (is_in_set_before(batch, place))
        return; // it was looked at with the first of them
    change->left_out = false;
    if (change->task.set)
        add_set(self, batch, place);
    else if (!is_known(self, change))
        disk_insert(self, &change->task);
}

#include "disk.h"
#include "judge.h"

struct disk *
disk_create(struct sim *sim)
{
    struct disk *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->sim = sim;
    return self;
}

void
disk_destroy(struct disk **self_p)
{
    struct disk *self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; i < self->task_count; i++) {
        struct disk_task *task = &self->tasks[i];
        for (size_t k = 0; k < task->chunk_count; k++)
            payload_unref(&task->chunks[k].payload);
        free(task->chunks);
        payload_unref(&task->payload);
        payload_unref(&task->result);
    }
    for (size_t i = 0; i < OM_SHARD_COUNT; i++)
        free(self->shards[i].events);
    for (size_t i = 0; i < self->string_count; i++)
        free((char *)self->strings[i].data);
    free(self->strings);
    for (size_t i = 0; i < self->setting_count; i++)
        free(self->settings[i].sends);
    free(self->settings);
    free(self->starts);
    free(self->tasks);
    free(self);
}

void *
disk_grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = realloc(items, *capacity * size);
    if (!items)
        abort();
    return items;
}

struct om_str
disk_keep(struct disk *self, struct om_str text)
{
    if (text.size == 0)
        return (struct om_str){ 0 };
    char *copy = malloc(text.size);
    if (!copy)
        abort();
    memcpy(copy, text.data, text.size);
    self->strings = disk_grow(self->strings, self->string_count, &self->string_capacity,
                              sizeof(*self->strings));
    return self->strings[self->string_count++] = (struct om_str){ copy, text.size };
}

struct payload *
disk_keep_payload(struct payload *payload)
{
    return payload ? payload_copy(payload->bytes) : NULL;
}

// ---- commit

// Usage of different attempts has different ids, or the second would not be billed.
static void
judge_usage_id(struct disk *self, const struct change_event *change)
{
    const struct disk_shard *shard = &self->shards[change->shard];
    bool of_task = change->id.size > 5 && memcmp(change->id.data, "task_", 5) == 0;
    for (size_t i = 0; of_task && i < shard->count; i++)
        if (om_str_eq(shard->events[i].id, change->id))
            sim_fail(self->sim, "the usage of two attempts has one id");
}

static void
commit_event(struct disk *self, const struct change_event *change)
{
    struct disk_shard *shard = &self->shards[change->shard];
    judge_usage_id(self, change);
    if (change->seq != (int64_t)shard->count + 1)
        sim_fail(self->sim, "event %lld of shard %u follows event %zu",
                 (long long)change->seq, change->shard, shard->count);
    shard->events =
        disk_grow(shard->events, shard->count, &shard->capacity, sizeof(*shard->events));
    shard->events[shard->count++] = (struct disk_event){
        .seq = change->seq,
        .at_ms = change->at_ms,
        .tenant = change->tenant,
        .topic = disk_keep(self, change->topic),
        .id = disk_keep(self, change->id),
        .body = disk_keep(self, change->body),
    };
}

static void
commit_cursor(struct disk *self, const struct change_cursor *change)
{
    int64_t *cursor = &self->cursors[change->subscription][change->shard];
    if (change->seq <= *cursor)
        sim_fail(self->sim, "a cursor moved back");
    *cursor = change->seq;
}

static bool
same_scope(const struct om_uuid *tenant, enum setting_scope scope, struct om_str name,
           const struct change_setting *setting)
{
    return om_uuid_eq(tenant, &setting->tenant) && scope == setting->scope &&
           om_str_eq(name, setting->name);
}

static struct disk_setting *
get_setting(struct disk *self, const struct change_setting *change)
{
    for (size_t i = 0; i < self->setting_count; i++)
        if (same_scope(&change->tenant, change->scope, change->name,
                       &self->settings[i].row))
            return &self->settings[i];
    self->settings = disk_grow(self->settings, self->setting_count,
                               &self->setting_capacity, sizeof(*self->settings));
    struct disk_setting *added = &self->settings[self->setting_count++];
    *added = (struct disk_setting){ 0 };
    return added;
}

static void
commit_setting(struct disk *self, const struct change_setting *change)
{
    struct disk_setting *setting = get_setting(self, change);
    setting->row = *change;
    setting->row.name = disk_keep(self, change->name);
    setting->since_ms = sim_now(self->sim).wall_ms;
    setting->send_count = 0;
}

static void
commit_start(struct disk *self, const struct change_start *change)
{
    if (change->count <= 0 || change->until_ms < change->at_ms)
        sim_fail(self->sim, "a start under a rate that says nothing");
    self->starts = disk_grow(self->starts, self->start_count, &self->start_capacity,
                             sizeof(*self->starts));
    self->starts[self->start_count] = *change;
    self->starts[self->start_count++].name = disk_keep(self, change->name);
}

void
disk_purge(struct disk *self, int64_t wall_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->start_count; i++)
        if (self->starts[i].until_ms >= wall_ms)
            self->starts[kept++] = self->starts[i];
    self->start_count = kept;
}

void
disk_commit(struct disk *self, struct batch *batch)
{
    size_t first_new = self->task_count;
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = &batch->changes[i];
        switch (change->kind) {
        case CHANGE_NONE:
            break;
        case CHANGE_TASK:
            disk_add_task(self, batch, i);
            break;
        case CHANGE_MARK:
            disk_add_mark(self, batch, &change->mark);
            break;
        case CHANGE_RESULT:
            disk_add_result(self, batch, &change->result);
            break;
        case CHANGE_REOPEN:
            disk_reopen(self, change->reopen_seq);
            break;
        case CHANGE_EVENT:
            commit_event(self, &change->event);
            break;
        case CHANGE_CURSOR:
            commit_cursor(self, &change->cursor);
            break;
        case CHANGE_SETTING:
            commit_setting(self, &change->setting);
            break;
        case CHANGE_START:
            commit_start(self, &change->start);
            break;
        case CHANGE_CHUNK:
            disk_add_chunk(self, &change->chunk);
            break;
        }
    }
    judge_committed(self->sim->judge, first_new);
}

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
        payload_unref(&self->tasks[i].payload);
        payload_unref(&self->tasks[i].result);
    }
    for (size_t i = 0; i < OM_SHARD_COUNT; i++)
        free(self->shards[i].events);
    for (size_t i = 0; i < self->string_count; i++)
        free((char *)self->strings[i].data);
    free(self->strings);
    free(self->tasks);
    free(self);
}

// Room for one more item of `size` bytes.
static void *
grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = realloc(items, *capacity * size);
    if (!items)
        abort();
    return items;
}

static struct om_str
keep(struct disk *self, struct om_str text)
{
    if (text.size == 0)
        return (struct om_str){ 0 };
    char *copy = malloc(text.size);
    if (!copy)
        abort();
    memcpy(copy, text.data, text.size);
    self->strings = grow(self->strings, self->string_count, &self->string_capacity,
                         sizeof(*self->strings));
    return self->strings[self->string_count++] = (struct om_str){ copy, text.size };
}

static struct payload *
keep_payload(struct payload *payload)
{
    return payload ? payload_copy(payload->bytes) : NULL;
}

struct disk_task *
disk_find(const struct disk *self, const struct om_uuid *id)
{
    for (size_t i = 0; i < self->task_count; i++)
        if (om_uuid_eq(&self->tasks[i].row.id, id))
            return &self->tasks[i];
    return NULL;
}

static struct disk_task *
find_seq(struct disk *self, int64_t seq)
{
    for (size_t i = self->task_count; i > 0; i--)
        if (self->tasks[i - 1].row.seq == seq)
            return &self->tasks[i - 1];
    return NULL;
}

// ---- commit

static void
commit_task(struct disk *self, struct change *change)
{
    const struct change_task *task = &change->task;
    struct disk_task *known = disk_find(self, &task->id);
    change->duplicate = known != NULL;
    if (known) {
        change->known_seq = known->row.seq;
        memcpy(change->known_hash, known->hash, sizeof(known->hash));
        return;
    }
    self->tasks =
        grow(self->tasks, self->task_count, &self->task_capacity, sizeof(*self->tasks));
    struct disk_task *added = &self->tasks[self->task_count++];
    *added = (struct disk_task){
        .row = { .seq = task->seq,
                 .id = task->id,
                 .tenant = task->tenant,
                 .queue = keep(self, task->queue),
                 .kind = keep(self, task->kind),
                 .header = keep(self, task->header),
                 .created_ms = task->created_ms },
        .payload = keep_payload(task->payload),
    };
    struct wire_msg header;
    if (wire_decode(added->row.header, &header) != OM_OK)
        sim_fail(self->sim, "a stored header cannot be decoded");
    else if (WIRE_HAS(&header, hash))
        memcpy(added->hash, header.hash.data, sizeof(added->hash));
}

static void
commit_mark(struct disk *self, const struct change_mark *change)
{
    struct disk_task *task = find_seq(self, change->task_seq);
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
    mark.node = keep(self, mark.node);
    mark.code = keep(self, mark.code);
    mark.text = keep(self, mark.text);
    stored_task_mark(&task->row, &mark);
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

static void
commit_result(struct disk *self, const struct batch *batch,
              const struct change_result *change)
{
    struct disk_task *task = find_seq(self, change->task_seq);
    if (!task)
        return;
    if (task->row.state != STATE_NONE)
        sim_fail(self->sim, "a second result was committed");
    task->results++;
    task->row.state = change->state;
    task->row.attempts = change->attempts;
    task->row.lost = change->lost;
    task->row.leased = false;
    task->row.finished_ms = change->finished_ms;
    task->row.code = keep(self, change->code);
    task->row.text = keep(self, change->text);
    task->row.ctype = keep(self, change->ctype);
    task->result = keep_payload(change->payload);
    if (change->state == STATE_SUCCEEDED)
        judge_success(self, batch, task);
}

static void
commit_reopen(struct disk *self, int64_t seq)
{
    struct disk_task *task = find_seq(self, seq);
    if (!task || task->row.state != STATE_FAILED) {
        sim_fail(self->sim, "a task was opened again that had not failed");
        return;
    }
    task->row.state = STATE_NONE;
    task->row.finished_ms = 0;
    task->reopened = true;
    payload_unref(&task->result);
}

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
        grow(shard->events, shard->count, &shard->capacity, sizeof(*shard->events));
    shard->events[shard->count++] = (struct disk_event){
        .seq = change->seq,
        .at_ms = change->at_ms,
        .tenant = change->tenant,
        .topic = keep(self, change->topic),
        .id = keep(self, change->id),
        .body = keep(self, change->body),
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

void
disk_commit(struct disk *self, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct change *change = &batch->changes[i];
        switch (change->kind) {
        case CHANGE_NONE:
            break;
        case CHANGE_TASK:
            commit_task(self, change);
            break;
        case CHANGE_MARK:
            commit_mark(self, &change->mark);
            break;
        case CHANGE_RESULT:
            commit_result(self, batch, &change->result);
            break;
        case CHANGE_REOPEN:
            commit_reopen(self, change->reopen_seq);
            break;
        case CHANGE_EVENT:
            commit_event(self, &change->event);
            break;
        case CHANGE_CURSOR:
            commit_cursor(self, &change->cursor);
            break;
        case CHANGE_SETTING:
        case CHANGE_START:
        case CHANGE_CHUNK:
            sim_fail(self->sim, "a change of an unknown kind");
            break;
        }
    }
}

// ---- load and read

void
disk_load(struct disk *self, struct core *core)
{
    if (self->task_count)
        core_load_task_seq(core, self->tasks[self->task_count - 1].row.seq);
    for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
        if (self->shards[shard].count)
            core_load_shard(core, (uint8_t)shard, (int64_t)self->shards[shard].count);
        for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
            if (self->cursors[i][shard])
                core_load_cursor(core, i, (uint8_t)shard, self->cursors[i][shard]);
    }
    for (size_t i = 0; i < self->task_count; i++)
        if (self->tasks[i].row.state == STATE_NONE &&
            core_load_task(core, &self->tasks[i].row) != OM_OK)
            sim_fail(self->sim, "a task could not be loaded");
}

static void
read_events(const struct disk *self, struct read *read)
{
    const struct disk_shard *shard = &self->shards[read->shard];
    struct om_buf items = { 0 }, array = { 0 };
    for (size_t i = (size_t)read->seq; i < shard->count && read->count < read->limit;
         i++) {
        const struct disk_event *event = &shard->events[i];
        if (!om_str_eq(event->topic, om_str(read->topic)))
            continue;
        char tenant[OM_TYPEID_MAX];
        size_t size = om_typeid_encode(OM_ID_TENANT, &event->tenant, tenant);
        struct wire_logged logged = { 0 };
        REC_SET(&logged, wire_logged, seq, event->seq);
        REC_SET(&logged, wire_logged, topic, event->topic);
        REC_SET(&logged, wire_logged, id, event->id);
        REC_SET(&logged, wire_logged, tenant, ((struct om_str){ tenant, size }));
        REC_SET(&logged, wire_logged, at, event->at_ms);
        REC_SET(&logged, wire_logged, body, event->body);
        rec_encode(&wire_logged_rec, &logged, &items);
        read->last_seq = event->seq;
        read->count++;
    }
    om_pack_array(&array, read->count);
    om_buf_put(&array, items.data, items.size);
    read->payload = payload_copy(om_buf_str(&array));
    om_buf_finish(&items);
    om_buf_finish(&array);
}

static void
read_list(const struct disk *self, struct read *read)
{
    read->tasks = calloc(read->limit + 1, sizeof(*read->tasks));
    if (!read->tasks)
        abort();
    const struct disk_task *after = disk_find(self, &read->id);
    for (size_t i = self->task_count; i > 0 && read->count < read->limit; i--) {
        const struct stored_task *row = &self->tasks[i - 1].row;
        if (om_uuid_eq(&row->tenant, &read->tenant) &&
            (read->state == STATE_NONE || row->state == read->state) &&
            (!after || row->seq < after->row.seq))
            read->tasks[read->count++] = *row;
    }
}

void
disk_read(struct disk *self, struct read *read)
{
    struct disk_task *task;
    read->rc = OM_OK;
    switch (read->kind) {
    case READ_TASK:
        task = disk_find(self, &read->id);
        if (!task || !om_uuid_eq(&task->row.tenant, &read->tenant)) {
            read->rc = OM_ENOTFOUND;
            break;
        }
        read->tasks = calloc(1, sizeof(*read->tasks));
        if (!read->tasks)
            abort();
        read->tasks[0] = task->row; // the disk's strings stay where they are
        read->count = 1;
        read->payload = keep_payload(task->result);
        break;
    case READ_LIST:
        read_list(self, read);
        break;
    case READ_PAYLOAD:
        task = find_seq(self, read->seq);
        if (!task)
            read->rc = OM_ENOTFOUND;
        else
            read->payload = keep_payload(task->payload);
        break;
    case READ_EVENTS:
        read_events(self, read);
        break;
    case READ_TASKS:
    case READ_OPEN:
    case READ_CHUNKS:
        sim_fail(self->sim, "a read of an unknown kind");
        break;
    }
}

// What a broker finds on the simulated disk.
#include "disk.h"

static void *
allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

// What store.h says of tasks that wait for others.
static void
fold_parents(const struct disk *self, const struct disk_task *task,
             struct stored_task *out)
{
    struct om_str text;
    struct om_uuid id;
    struct rec_iter iter = rec_iter(task->submit.depends_on);
    for (unsigned i = 0; rec_next_str(&iter, &text); i++) {
        const struct disk_task *parent = om_typeid_decode(OM_ID_TASK, text, &id) == OM_OK
                                             ? disk_find(self, &id)
                                             : NULL;
        bool open = parent && parent->row.state == STATE_NONE;
        if (open && parent->row.reopen_seq <= task->row.seq)
            out->parents_open[i / 64 % 4] |= UINT64_C(1) << i % 64;
        else if (parent && parent->row.state != STATE_SUCCEEDED)
            out->parent_failed = true;
    }
}

static struct stored_task
whole_task(const struct disk *self, const struct disk_task *task)
{
    struct stored_task out = task->row;
    if (task->depends)
        fold_parents(self, task, &out);
    return out;
}

// ---- load

static void
load_counters(const struct disk *self, const struct store_loader *loader)
{
    if (self->task_count)
        loader->task_seq(loader->context, self->tasks[self->task_count - 1].row.seq);
    for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
        if (self->shards[shard].count)
            loader->shard(loader->context, (uint8_t)shard,
                          (int64_t)self->shards[shard].count);
        for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
            if (self->cursors[i][shard])
                loader->cursor(loader->context, i, (uint8_t)shard,
                               self->cursors[i][shard]);
    }
}

static enum om_rc
load_task(const struct disk *self, const struct disk_task *task,
          const struct store_loader *loader)
{
    struct stored_task whole = whole_task(self, task);
    if (task->marked || task->depends || !loader->waiting)
        return loader->task(loader->context, &whole);
    struct stored_waiting waiting = {
        .seq = whole.seq,
        .tenant = whole.tenant,
        .queue = whole.queue,
        .limit_key = task->limit_key,
        .priority = task->priority,
        .created_ms = whole.created_ms,
        .due_ms = task->due_ms,
        .expires_ms = task->expires_ms,
    };
    return loader->waiting(loader->context, &waiting);
}

enum om_rc
disk_load(struct disk *self, const struct store_loader *loader)
{
    load_counters(self, loader);
    for (size_t i = 0; loader->setting && i < self->setting_count; i++)
        loader->setting(loader->context, &self->settings[i].row);
    for (size_t i = 0; loader->start && i < self->start_count; i++)
        loader->start(loader->context, &self->starts[i]);
    enum om_rc rc = OM_OK;
    for (size_t i = 0; rc == OM_OK && i < self->task_count; i++)
        if (self->tasks[i].row.state == STATE_NONE)
            rc = load_task(self, &self->tasks[i], loader);
    return rc;
}

// ---- reads

static void
read_task(const struct disk *self, struct read *read)
{
    const struct disk_task *task = disk_find(self, &read->id);
    if (!task || !om_uuid_eq(&task->row.tenant, &read->tenant)) {
        read->rc = OM_ENOTFOUND;
        return;
    }
    read->tasks = allocate(1, sizeof(*read->tasks));
    read->tasks[0] = task->row; // the disk's strings stay where they are
    read->count = 1;
    read->payload = disk_keep_payload(task->result);
}

static bool
is_listed(const struct read *read, const struct disk_task *task)
{
    const struct stored_task *row = &task->row;
    bool state = read->kind == READ_OPEN
                     ? row->state == STATE_NONE
                     : read->state == STATE_NONE || row->state == read->state;
    return state && om_uuid_eq(&row->tenant, &read->tenant) &&
           (!read->queue.data || om_str_eq(row->queue, read->queue)) &&
           (!read->task_kind.data || om_str_eq(row->kind, read->task_kind)) &&
           (!read->code.data || om_str_eq(row->code, read->code));
}

static void
read_list(const struct disk *self, struct read *read)
{
    const struct disk_task *after = NULL;
    if (!om_uuid_is_zero(&read->id)) {
        after = disk_find(self, &read->id);
        if (!after || !om_uuid_eq(&after->row.tenant, &read->tenant)) {
            read->rc = OM_ENOTFOUND;
            return;
        }
    }
    read->tasks = allocate(read->limit + 1, sizeof(*read->tasks));
    for (size_t i = self->task_count; i > 0 && read->count < read->limit; i--) {
        const struct disk_task *task = &self->tasks[i - 1];
        if ((!after || task->row.seq < after->row.seq) && is_listed(read, task))
            read->tasks[read->count++] = task->row;
    }
}

static void
read_tasks(const struct disk *self, struct read *read)
{
    read->tasks = allocate(read->seq_count + 1, sizeof(*read->tasks));
    for (size_t i = 0; i < read->seq_count; i++) {
        const struct disk_task *task = disk_find_seq(self, read->seqs[i]);
        if (!task)
            continue;
        struct stored_task *row = &read->tasks[read->count++];
        *row = whole_task(self, task);
        if (sim_chance(self->sim, 0.5))
            row->payload = disk_keep_payload(task->payload);
    }
}

static void
read_payload(const struct disk *self, struct read *read)
{
    const struct disk_task *task = disk_find_seq(self, read->seq);
    if (!task)
        read->rc = OM_ENOTFOUND;
    else
        read->payload = disk_keep_payload(task->payload);
}

static void
read_chunks(const struct disk *self, struct read *read)
{
    const struct disk_task *task = disk_find_seq(self, read->seq);
    read->chunks = allocate(read->limit + 1, sizeof(*read->chunks));
    for (size_t i = 0; task && i < task->chunk_count && read->count < read->limit; i++) {
        const struct disk_chunk *chunk = &task->chunks[i];
        if (chunk->seq <= read->after_seq)
            continue;
        read->chunks[read->count++] =
            (struct change_chunk){ .task_seq = read->seq,
                                   .seq = chunk->seq,
                                   .attempt = chunk->attempt,
                                   .ctype = chunk->ctype,
                                   .payload = disk_keep_payload(chunk->payload) };
    }
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

void
disk_read(struct disk *self, struct read *read)
{
    static void (*const answers[])(const struct disk *, struct read *) = {
        [READ_TASK] = read_task,       [READ_LIST] = read_list,
        [READ_PAYLOAD] = read_payload, [READ_EVENTS] = read_events,
        [READ_TASKS] = read_tasks,     [READ_OPEN] = read_list,
        [READ_CHUNKS] = read_chunks,
    };
    read->rc = OM_OK;
    answers[read->kind](self, read);
}

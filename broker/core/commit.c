#include "commit.h"
#include "chunk.h"
#include "lease.h"
#include "out.h"
#include "run.h"
#include "setting.h"
#include "submit.h"
#include "task.h"

enum { CHUNK_BYTES = 64 * 1024 };

// Memory of a batch's strings and groups; it does not move.
struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(16) char data[];
};

struct pending {
    struct batch batch; // first: the caller holds a pointer to it
    struct pending *next;
    size_t hurried;   // groups that somebody waits for
    int64_t began_ms; // mono clock
    bool taken;       // it has gone out, and stays as it is
    size_t weight;    // bytes of its submits
    struct group *groups, **groups_end;
    struct chunk *chunks;
};

static void *
chunk_alloc(struct pending *pending, size_t size)
{
    struct chunk *chunk = pending->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_BYTES ? size : CHUNK_BYTES;
        chunk = core_realloc(NULL, sizeof(*chunk) + room);
        *chunk = (struct chunk){ .next = pending->chunks, .size = room };
        pending->chunks = chunk;
    }
    void *memory = chunk->data + chunk->used;
    size_t aligned = (size + 15) & ~(size_t)15;
    chunk->used =
        aligned < chunk->size - chunk->used ? chunk->used + aligned : chunk->size;
    return memory;
}

// The payload a change holds, or NULL.
static struct payload **
change_payload(struct change *change)
{
    switch (change->kind) {
    case CHANGE_TASK:
        return &change->task.payload;
    case CHANGE_RESULT:
        return &change->result.payload;
    case CHANGE_CHUNK:
        return &change->chunk.payload;
    default:
        return NULL;
    }
}

static void
drop_changes(struct batch *batch, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        struct payload **payload = change_payload(&batch->changes[i]);
        if (payload)
            payload_unref(payload);
    }
}

static void
pending_reset(struct pending *self)
{
    for (struct group *group = self->groups; group; group = group->next)
        out_destroy(&group->send);
    drop_changes(&self->batch, 0, self->batch.count);
    for (struct chunk *chunk = self->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    self->batch.count = 0;
    self->hurried = 0;
    self->taken = false;
    self->weight = 0;
    self->next = NULL;
    self->groups = NULL;
    self->groups_end = &self->groups;
    self->chunks = NULL;
}

static void
begin_batch(struct core *self)
{
    struct pending *pending = self->spare;
    self->spare = NULL;
    if (!pending) {
        pending = core_realloc(NULL, sizeof(*pending));
        memset(pending, 0, offsetof(struct pending, batch.changes));
        pending->groups = NULL;
        pending->chunks = NULL;
        pending_reset(pending);
    }
    pending->batch.id = ++self->last_batch;
    pending->began_ms = self->now.mono_ms;
    if (self->newest)
        self->newest->next = pending;
    else
        self->oldest = pending;
    self->newest = pending;
    self->pending_count++;
}

// A group without changes at the end of the newest batch.
static struct group *
append_group(struct core *self, enum effect effect)
{
    struct pending *pending = self->newest;
    struct group *group = chunk_alloc(pending, sizeof(*group));
    *group = (struct group){ .effect = effect, .first = pending->batch.count };
    *pending->groups_end = group;
    pending->groups_end = &group->next;
    pending->hurried++;
    return group;
}

void
commit_reserve(struct core *self, size_t count)
{
    bool out = self->batch_out && self->newest == self->oldest;
    if (!self->newest || out || BATCH_MAX - self->newest->batch.count < count)
        begin_batch(self);
}

struct group *
commit_group(struct core *self, enum effect effect, size_t count)
{
    commit_reserve(self, count);
    return append_group(self, effect);
}

struct change *
commit_add(struct core *self, enum change_kind kind)
{
    struct pending *pending = self->newest;
    struct group *group = (struct group *)(void *)((char *)pending->groups_end -
                                                   offsetof(struct group, next));
    struct change *change = &pending->batch.changes[pending->batch.count++];
    *change = (struct change){ .kind = kind };
    group->count++;
    return change;
}

void
commit_lazily(struct core *self)
{
    self->newest->hurried--;
}

struct change_slot
commit_slot(const struct core *self)
{
    const struct batch *batch = &self->newest->batch;
    return (struct change_slot){ batch->id, batch->count - 1 };
}

struct change *
commit_change(const struct core *self, struct change_slot slot)
{
    struct pending *pending = self->newest;
    if (!pending || pending->taken || pending->batch.id != slot.batch)
        return NULL;
    return &pending->batch.changes[slot.index];
}

bool
commit_withdraw(struct core *self, struct change_slot slot)
{
    struct change *change = commit_change(self, slot);
    if (change)
        change->kind = CHANGE_NONE;
    return change;
}

struct om_str
commit_copy(struct core *self, struct om_str text)
{
    if (!text.data || text.size == 0)
        return text.data ? OM_LIT("") : (struct om_str){ 0 };
    char *memory = chunk_alloc(self->newest, text.size);
    memcpy(memory, text.data, text.size);
    return (struct om_str){ memory, text.size };
}

void
commit_after(struct core *self, struct out **out_p)
{
    if (!self->newest) {
        out_push(self, out_p);
        return;
    }
    append_group(self, EFFECT_NONE)->send = *out_p;
    *out_p = NULL;
}

bool
commit_is_durable(const struct core *self, int64_t batch)
{
    return !self->oldest || batch < self->oldest->batch.id;
}

void
commit_weigh(struct core *self, size_t bytes)
{
    self->newest->weight += bytes;
    self->submit_bytes += bytes;
}

bool
commit_congested(const struct core *self)
{
    return self->pending_count > PENDING_MAX;
}

int64_t
commit_due(const struct core *self)
{
    if (!self->oldest || self->batch_out)
        return INT64_MAX;
    // A batch that another one stands behind is full.
    bool now = self->oldest->hurried > 0 || self->oldest->next;
    int64_t lazy_ms = now ? 0 : self->oldest->began_ms + self->conf.lazy_ms;
    return lazy_ms > self->retry_commit_ms ? lazy_ms : self->retry_commit_ms;
}

// Events are numbered when their batch goes out, so that a refused submit leaves no gap.
static void
number_events(struct core *self, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_EVENT)
            batch->changes[i].event.seq = ++self->shards[batch->changes[i].event.shard];
}

static void
take_numbers_back(struct core *self, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_EVENT)
            self->shards[batch->changes[i].event.shard]--;
}

struct batch *
core_take_batch(struct core *self)
{
    if (self->now.mono_ms < commit_due(self))
        return NULL;
    self->batch_out = self->oldest->taken = true;
    self->retry_commit_ms = 0;
    number_events(self, &self->oldest->batch);
    return &self->oldest->batch;
}

static void
make_durable(struct core *self, struct pending *pending)
{
    static void (*const functions[])(struct core *, struct group *, struct change *) = {
#define EFFECT_ROW(symbol, function) [EFFECT_##symbol] = function,
        EFFECT_LIST(EFFECT_ROW)
#undef EFFECT_ROW
    };
    struct batch *batch = &pending->batch;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_EVENT) {
            self->stats.events++;
            run_event_durable(self, &batch->changes[i].event);
        }
    for (struct group *group = pending->groups; group; group = group->next) {
        if (functions[group->effect])
            functions[group->effect](self, group, &batch->changes[group->first]);
        if (group->send)
            out_push(self, &group->send);
        if (group->ack)
            lease_ack(self, &group->token, group->conn);
    }
}

struct batch *
core_follow_batch(struct core *self, struct core_now now, size_t least)
{
    struct pending *durable = self->oldest, *next = durable->next;
    if (!next || next->batch.count < least)
        return NULL;
    self->now = now;
    self->durable = durable;
    self->oldest = next;
    self->batch_out = false;
    self->full_until_ms = 0;
    return core_take_batch(self);
}

// The batch that is durable: the oldest, or the one before it.
static struct pending *
take_durable(struct core *self)
{
    struct pending *pending = self->durable;
    self->durable = NULL;
    if (pending)
        return pending;
    pending = self->oldest;
    self->oldest = pending->next;
    if (!self->oldest)
        self->newest = NULL;
    return pending;
}

static void
finish_durable(struct core *self)
{
    struct pending *pending = take_durable(self);
    self->pending_count--;
    self->submit_bytes -= pending->weight;
    make_durable(self, pending); // may begin a new batch
    pending_reset(pending);
    if (self->spare)
        free(pending);
    else
        self->spare = pending;
}

// Refuse the submits of the oldest batch and close the gaps they leave.
static void
refuse_submits(struct core *self, struct pending *pending, enum om_rc rc)
{
    struct batch *batch = &pending->batch;
    size_t kept = 0;
    struct group **link = &pending->groups;
    for (struct group *group; (group = *link);) {
        if (group->effect == EFFECT_SUBMIT) {
            submit_failed(self, group, rc);
            drop_changes(batch, group->first, group->count);
            *link = group->next;
            continue;
        }
        memmove(&batch->changes[kept], &batch->changes[group->first],
                group->count * sizeof(batch->changes[0]));
        group->first = kept;
        kept += group->count;
        link = &group->next;
    }
    pending->groups_end = link;
    batch->count = kept;
    self->submit_bytes -= pending->weight;
    pending->weight = 0;
}

// Who waits for a batch that finds no room is told so now. It is still written when there
// is room again: asking once more is harmless.
static void
answer_waiting(struct core *self, enum om_rc rc)
{
    for (struct pending *pending = self->oldest; pending; pending = pending->next)
        for (struct group *group = pending->groups; group; group = group->next) {
            struct wire_msg msg;
            struct out *send = group->send;
            if (!send || group->effect == EFFECT_SUBMIT ||
                wire_decode((struct om_str){ send->header, send->size }, &msg) != OM_OK ||
                !WIRE_HAS(&msg, id))
                continue;
            out_error(self, send->conn, msg.id, rc, NULL);
            out_destroy(&group->send);
        }
}

void
commit_done(struct core *self, enum om_rc rc)
{
    if (!self->durable) { // else the one behind it is out
        self->batch_out = false;
        self->full_until_ms = 0;
    }
    if (rc == OM_OK) {
        finish_durable(self);
        return;
    }
    take_numbers_back(self, &self->oldest->batch);
    refuse_submits(self, self->oldest, rc);
    int64_t wait_ms =
        self->conf.retry_base_ms / 2 + core_random(self, self->conf.retry_base_ms);
    if (rc == OM_ENOSPACE) {
        self->full_until_ms = self->now.mono_ms + wait_ms;
        answer_waiting(self, rc);
    }
    if (self->oldest->batch.count == 0) {
        finish_durable(self);
        return;
    }
    self->retry_commit_ms = self->now.mono_ms + wait_ms;
}

void
commit_destroy_all(struct core *self)
{
    if (self->spare)
        free(self->spare);
    for (struct pending *pending = self->oldest, *next; pending; pending = next) {
        next = pending->next;
        pending_reset(pending);
        free(pending);
    }
}

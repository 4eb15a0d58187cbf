#include "judge_watch.h"

struct watching {
    int actor;
    int64_t link;
    struct om_uuid task;
    char id[65];
    int64_t at;  // it was told all up to this
    bool over;   // its last EVENT was sent
    bool unsure; // said twice: the second is another watch if the session is another
};

struct watches {
    struct sim *sim;
    struct watching *list;
    size_t count, capacity;
};

struct watches *
watches_create(struct sim *sim)
{
    struct watches *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->sim = sim;
    return self;
}

void
watches_destroy(struct watches **self_p)
{
    free((*self_p)->list);
    free(*self_p);
    *self_p = NULL;
}

void
watches_started(struct watches *self)
{
    self->count = 0;
    struct disk *disk = self->sim->disk;
    for (size_t i = 0; i < disk->task_count; i++)
        disk->tasks[i].told_before = disk->tasks[i].told;
}

static struct watching *
find(struct watches *self, int actor, int64_t link, struct om_str id)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->list[i].actor == actor && self->list[i].link == link &&
            om_str_eq(om_str(self->list[i].id), id))
            return &self->list[i];
    return NULL;
}

void
watches_asked(struct watches *self, int actor, int64_t link, const struct wire_msg *msg)
{
    struct watching *known = find(self, actor, link, msg->id);
    struct watching watch = { .actor = actor, .link = link, .at = msg->seq };
    if (known)
        known->unsure = true;
    if (known || !WIRE_HAS(msg, seq) ||
        om_typeid_decode(OM_ID_TASK, msg->task, &watch.task) != OM_OK)
        return;
    snprintf(watch.id, sizeof(watch.id), "%.*s", (int)msg->id.size, msg->id.data);
    self->list = disk_grow(self->list, self->count, &self->capacity, sizeof(watch));
    self->list[self->count++] = watch;
}

// Is a partial result on the disk between these two, neither of them?
static bool
any_between(const struct disk_task *task, int64_t after, int64_t before)
{
    for (size_t i = 0; i < task->chunk_count; i++)
        if (task->chunks[i].seq > after && task->chunks[i].seq < before)
            return true;
    return false;
}

static void
told_chunk(struct watches *self, struct watching *watch, struct disk_task *task,
           const struct wire_msg *msg, struct om_str payload)
{
    const struct disk_chunk *stored = NULL;
    for (size_t i = 0; i < task->chunk_count; i++)
        if (task->chunks[i].seq == msg->seq)
            stored = &task->chunks[i];
    if (stored && (!om_str_eq(payload_bytes(stored->payload), payload) ||
                   stored->attempt != msg->attempt))
        sim_fail(self->sim, "a partial result was told otherwise than it is stored");
    if (!stored && msg->seq <= task->told_before)
        sim_fail(self->sim, "a number of before the restart was used again");
    if (watch->unsure)
        return;
    if (watch->over)
        sim_fail(self->sim, "a partial result after the last word of a watch");
    if (msg->seq <= watch->at)
        sim_fail(self->sim, "partial result %lld was told again, or out of order",
                 (long long)msg->seq);
    if (any_between(task, watch->at, msg->seq))
        sim_fail(self->sim, "a partial result before %lld was left out",
                 (long long)msg->seq);
    watch->at = msg->seq;
}

static void
told_state(struct watches *self, struct watching *watch, const struct disk_task *task,
           const struct wire_msg *msg)
{
    struct wire_task info;
    if (watch->unsure)
        return;
    if (watch->over)
        sim_fail(self->sim, "an EVENT after the last word of a watch");
    if (msg->seq < watch->at)
        sim_fail(self->sim, "EVENT %lld follows %lld", (long long)msg->seq,
                 (long long)watch->at);
    watch->over = msg->drain;
    bool ended = rec_decode(&wire_task_rec, msg->info, &info, NULL) == OM_OK &&
                 state_info(info.state)->ended;
    // What comes behind the end of a task is of the life a RETRY gave it.
    int64_t end = task->reopened ? msg->seq : INT64_MAX;
    if (msg->drain && ended && any_between(task, watch->at, end))
        sim_fail(self->sim, "a watch ended before all partial results were told");
}

void
watches_told(struct watches *self, int actor, int64_t link, const struct wire_msg *msg,
             struct om_str payload)
{
    struct om_uuid id;
    struct watching *watch = find(self, actor, link, msg->id);
    if (watch && msg->type == WIRE_ERROR) {
        watch->unsure = true;
        return;
    }
    if (!WIRE_HAS(msg, task) || om_typeid_decode(OM_ID_TASK, msg->task, &id) != OM_OK)
        return; // of a call
    struct disk_task *task = disk_find(self->sim->disk, &id);
    if (!task) {
        sim_fail(self->sim, "a watcher was told of a task that is not on the disk");
        return;
    }
    if (msg->seq > task->told)
        task->told = msg->seq;
    if (!watch && msg->type == WIRE_CHUNK)
        sim_fail(self->sim, "a partial result was told to nobody who asked");
    else if (watch && msg->type == WIRE_CHUNK)
        told_chunk(self, watch, task, msg, payload);
    else if (watch && msg->type == WIRE_EVENT)
        told_state(self, watch, task, msg);
}

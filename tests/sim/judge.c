#include <stdio.h>

#include "judge.h"
#include "judge_flow.h"
#include "judge_lease.h"
#include "judge_limit.h"
#include "judge_watch.h"

enum { TOKENS_MAX = 4096 };

// Which job a client's message is about.
struct asked {
    char id[65];
    struct om_uuid task;
};

// A worker's word for these leases has reached the broker since it started.
struct judge {
    struct sim *sim;
    struct watches *watches;
    struct flows *flows;
    struct leases *leases;
    struct wire_token finished[TOKENS_MAX];
    size_t finished_count;
    struct wire_token granted[TOKENS_MAX]; // JOBs this broker has sent, in order
    size_t granted_count;
    struct om_buf asked;          // of struct asked: the SUBMITs that came
    int waits_for_stale;          // the actor to be told STALE; -1: none
    bool welcome[SIM_ACTORS_MAX]; // has a session with this broker
    int64_t applied_seq[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
    struct om_buf applied_ids[SUBSCRIPTION_COUNT]; // each with a zero behind it
};

struct judge *
judge_create(struct sim *sim)
{
    struct judge *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->sim = sim;
    self->watches = watches_create(sim);
    self->flows = flows_create(sim);
    self->leases = leases_create(sim);
    self->waits_for_stale = -1;
    return self;
}

void
judge_destroy(struct judge **self_p)
{
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
        om_buf_finish(&(*self_p)->applied_ids[i]);
    om_buf_finish(&(*self_p)->asked);
    watches_destroy(&(*self_p)->watches);
    flows_destroy(&(*self_p)->flows);
    leases_destroy(&(*self_p)->leases);
    free(*self_p);
    *self_p = NULL;
}

void
judge_started(struct judge *self)
{
    self->finished_count = self->granted_count = 0;
    self->waits_for_stale = -1;
    memset(self->welcome, 0, sizeof(self->welcome));
    watches_started(self->watches);
    leases_restarted(self->leases);
    judge_restart(self->sim->disk);
}

static bool
token_in(const struct wire_token *list, size_t count, const struct wire_token *token)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&list[i], token, sizeof(*token)) == 0)
            return true;
    return false;
}

const struct wire_token *
judge_newest_lease(const struct judge *self, const struct disk_task *task)
{
    for (size_t i = self->granted_count; i > 0; i--)
        if (om_uuid_eq(&self->granted[i - 1].task, &task->row.id))
            return &self->granted[i - 1];
    return &task->row.token;
}

static void
note_submit(struct judge *self, const struct wire_msg *msg)
{
    struct asked asked = { 0 };
    if (om_typeid_decode(OM_ID_TASK, msg->task, &asked.task) != OM_OK)
        return;
    memcpy(asked.id, msg->id.data, msg->id.size);
    om_buf_put(&self->asked, &asked, sizeof(asked));
}

// The job of the SUBMIT with that message id, as it is on the disk; or NULL.
static struct disk_task *
submitted(const struct judge *self, struct om_str id)
{
    const struct asked *asked = (const struct asked *)(const void *)self->asked.data;
    for (size_t i = self->asked.size / sizeof(*asked); i > 0; i--)
        if (om_str_eq(om_str(asked[i - 1].id), id))
            return disk_find(self->sim->disk, &asked[i - 1].task);
    return NULL;
}

// A START under any lease but the newest is answered STALE (RESET is as good), unless
// that worker's own word has already ended the lease.
void
judge_received(struct judge *self, int actor, int64_t link, const struct wire_msg *msg,
               struct om_str payload)
{
    struct wire_token token;
    leases_heard(self->leases, actor, link, msg);
    if (msg->type == WIRE_SUBMIT_BATCH)
        flows_asked(self->flows, msg, payload);
    if (msg->type == WIRE_WATCH)
        watches_asked(self->watches, actor, link, msg);
    if (msg->type == WIRE_HELLO)
        self->welcome[actor] = false; // until its key is looked up, nothing is answered
    if (msg->type == WIRE_SUBMIT)
        note_submit(self, msg);
    if (!WIRE_HAS(msg, token) || wire_token_decode(msg->token, &token) != OM_OK)
        return;
    bool ends =
        msg->type == WIRE_DONE || msg->type == WIRE_FAIL || msg->type == WIRE_CANCELLED;
    if (ends && self->finished_count < TOKENS_MAX)
        self->finished[self->finished_count++] = token;
    const struct disk_task *task = disk_find(self->sim->disk, &token.task);
    if (msg->type != WIRE_START || !task || !self->welcome[actor])
        return;
    const struct wire_token *newest = judge_newest_lease(self, task);
    bool finished = token_in(self->finished, self->finished_count, &token);
    if (memcmp(newest, &token, sizeof(token)) != 0 && !finished)
        self->waits_for_stale = actor;
}

void
judge_starts(struct judge *self, const struct wire_token *token)
{
    leases_started(self->leases, token);
}

void
judge_committed(struct judge *self, size_t first)
{
    flows_committed(self->flows, first);
}

void
judge_answered(struct judge *self)
{
    if (self->waits_for_stale >= 0)
        sim_fail(self->sim, "a START under an older lease was accepted");
    self->waits_for_stale = -1;
}

// ---- what the broker says

static void
judge_job(struct judge *self, const struct wire_msg *msg)
{
    struct om_uuid id;
    struct wire_token token;
    if (!WIRE_HAS(msg, task) || wire_token_decode(msg->token, &token) != OM_OK ||
        om_typeid_decode(OM_ID_TASK, msg->task, &id) != OM_OK)
        return; // a run of events
    const struct disk_task *task = disk_find(self->sim->disk, &id);
    if (!task || task->row.state != STATE_NONE) {
        sim_fail(self->sim, "a job was sent that is not open on the disk");
        return;
    }
    const struct queue_info *queue = queue_find(msg->queue);
    bool on_disk =
        task->row.leased && memcmp(&task->row.token, &token, sizeof(token)) == 0;
    if ((!queue || queue->class == CLASS_LONG) && !on_disk)
        sim_fail(self->sim, "a long job was sent before its lease was durable");
    if (task->row.cancel)
        sim_fail(self->sim, "a cancelled job was sent");
    judge_send(self->sim->disk, task);
    flows_started(self->sim->disk, task);
    if (self->granted_count < TOKENS_MAX)
        self->granted[self->granted_count++] = token;
}

static bool
has_event(const struct disk *disk, struct om_str id)
{
    for (size_t i = 0; i < OM_SHARD_COUNT; i++)
        for (size_t k = 0; k < disk->shards[i].count; k++)
            if (om_str_eq(disk->shards[i].events[k].id, id))
                return true;
    return false;
}

static void
judge_submitted(struct judge *self, const struct wire_msg *msg, struct disk_task *task)
{
    if (!task) {
        sim_fail(self->sim, "SUBMITTED was said before the commit");
        return;
    }
    task->acknowledged = true;
    if ((om_str_eq(msg->param, OM_LIT("idem_key")) && !task->idem_key.size) ||
        (om_str_eq(msg->param, OM_LIT("unique_key")) && !task->unique_key.size))
        sim_fail(self->sim, "a job was said to be known by a key that it has not");
}

static void
judge_done_ack(struct judge *self, struct om_str bytes)
{
    struct wire_token token;
    if (wire_token_decode(bytes, &token) != OM_OK)
        return;
    const struct disk_task *task = disk_find(self->sim->disk, &token.task);
    if (task && task->row.leased && task->row.state == STATE_NONE &&
        memcmp(&task->row.token, &token, sizeof(token)) == 0)
        sim_fail(self->sim, "DONE_ACK was said before the commit");
}

static void
judge_state(struct judge *self, const struct wire_msg *msg, const struct disk_task *task)
{
    struct wire_task info;
    const struct rec_field *field;
    if (rec_decode(&wire_task_rec, msg->info, &info, &field) != OM_OK) {
        sim_fail(self->sim, "a task was shown whose %s is wrong",
                 field ? field->name : "record");
        return;
    }
    if (!task) {
        sim_fail(self->sim, "a task was shown that is not on the disk");
        return;
    }
    // What was read of a failed task may be sent when it has been opened again.
    bool was_failed = info.state == STATE_FAILED && task->reopened;
    if (state_info(info.state)->ended && (int64_t)task->row.state != info.state &&
        !was_failed)
        sim_fail(self->sim, "a task was shown as %s that is not so on the disk",
                 state_info(info.state)->name);
}

void
judge_sent(struct judge *self, int actor, int64_t link, const struct wire_msg *msg,
           struct om_str payload)
{
    struct om_uuid id = { 0 };
    struct disk_task *task = NULL;
    if (WIRE_HAS(msg, task) && om_typeid_decode(OM_ID_TASK, msg->task, &id) == OM_OK)
        task = disk_find(self->sim->disk, &id);
    char event[128];
    struct om_str item;
    switch (msg->type) {
    case WIRE_WELCOME:
        self->welcome[actor] = true;
        leases_welcomed(self->leases, actor);
        break;
    case WIRE_STALE:
    case WIRE_RESET:
        if (actor == self->waits_for_stale)
            self->waits_for_stale = -1;
        break;
    case WIRE_SUBMITTED:
        if (!WIRE_HAS(msg, ids))
            judge_submitted(self, msg, task);
        for (struct rec_iter ids = rec_iter(msg->ids); rec_next_str(&ids, &item);)
            judge_submitted(self, msg, submitted(self, item));
        break;
    case WIRE_BATCH:
        flows_answered(self->flows, payload);
        break;
    case WIRE_CANCEL_ACK:
        if (!task || (!task->row.cancel && task->row.state != STATE_CANCELLED))
            sim_fail(self->sim, "CANCEL_ACK was said before the commit");
        break;
    case WIRE_PUBLISHED:
        snprintf(event, sizeof(event), "%.*s/0", (int)msg->id.size, msg->id.data);
        if (!has_event(self->sim->disk, om_str(event)))
            sim_fail(self->sim, "PUBLISHED was said before the commit");
        break;
    case WIRE_DONE_ACK:
        judge_done_ack(self, msg->token);
        for (struct rec_iter ids = rec_iter(msg->tokens); rec_next_str(&ids, &item);)
            judge_done_ack(self, item);
        break;
    case WIRE_JOB:
        judge_job(self, msg);
        leases_granted(self->leases, actor, msg);
        break;
    case WIRE_EVENT:
        watches_told(self->watches, actor, link, msg, payload);
        judge_state(self, msg, task);
        break;
    case WIRE_CHUNK:
    case WIRE_ERROR:
        watches_told(self->watches, actor, link, msg, payload);
        break;
    case WIRE_TASK:
        judge_state(self, msg, task);
        break;
    default:
        break;
    }
}

// ---- subscribers

static bool
is_applied(const struct judge *self, unsigned subscription, struct om_str id)
{
    const struct om_buf *ids = &self->applied_ids[subscription];
    for (size_t at = 0; at < ids->size; at += strlen(ids->data + at) + 1)
        if (om_str_eq(om_str(ids->data + at), id))
            return true;
    return false;
}

bool
judge_apply(struct judge *self, unsigned subscription, uint8_t shard,
            const struct wire_logged *event)
{
    if (event->seq <= self->applied_seq[subscription][shard])
        return false;
    self->applied_seq[subscription][shard] = event->seq;
    if (is_applied(self, subscription, event->id))
        return false;
    om_buf_put(&self->applied_ids[subscription], event->id.data, event->id.size);
    om_buf_put(&self->applied_ids[subscription], "", 1);
    return true;
}

bool
judge_is_poison(struct om_str body)
{
    return om_str_eq(body, OM_LIT("poison"));
}

static int
subscription_of(const struct disk_event *event)
{
    for (int i = 0; i < SUBSCRIPTION_COUNT; i++)
        if (om_str_eq(event->topic, om_str(subscriptions[i].topic)))
            return i;
    return -1;
}

bool
judge_is_complete(const struct judge *self)
{
    const struct disk *disk = self->sim->disk;
    for (size_t i = 0; i < disk->task_count; i++)
        if (disk->tasks[i].row.state == STATE_NONE)
            return false;
    for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++)
        for (size_t i = 0; i < disk->shards[shard].count; i++) {
            const struct disk_event *event = &disk->shards[shard].events[i];
            int subscription = subscription_of(event);
            if (subscription >= 0 && disk->cursors[subscription][shard] < event->seq)
                return false;
        }
    return true;
}

static void
judge_event(struct judge *self, uint8_t shard, const struct disk_event *event)
{
    int subscription = subscription_of(event);
    if (subscription < 0)
        return;
    char dead[64];
    snprintf(dead, sizeof(dead), "dead/%s/%u/%lld", subscriptions[subscription].topic,
             shard, (long long)event->seq);
    bool is_dead = has_event(self->sim->disk, om_str(dead));
    bool applied = is_applied(self, (unsigned)subscription, event->id);
    if (judge_is_poison(event->body) ? !is_dead : !is_dead && !applied)
        sim_fail(self->sim, "the event %.*s was neither applied nor set aside",
                 (int)event->id.size, event->id.data);
}

void
judge_finish(struct judge *self)
{
    const struct disk *disk = self->sim->disk;
    for (size_t i = 0; i < disk->task_count; i++) {
        const struct disk_task *task = &disk->tasks[i];
        if (task->row.state == STATE_NONE)
            sim_fail(self->sim, "%.*s never ended",
                     (int)sim_task_text(&task->row.id).size,
                     sim_task_text(&task->row.id).data);
        if (task->results != 1 && !task->reopened)
            sim_fail(self->sim, "a task has %lld results", (long long)task->results);
    }
    for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++)
        for (size_t i = 0; i < disk->shards[shard].count; i++)
            judge_event(self, (uint8_t)shard, &disk->shards[shard].events[i]);
}

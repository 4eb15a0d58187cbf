#include "queue.h"
#include "ahead.h"
#include "call.h"
#include "commit.h"
#include "out.h"
#include "run.h"
#include "session.h"
#include "task.h"

static bool
is_platform(struct om_str name)
{
    struct om_str prefix = OM_LIT(QUEUE_PLATFORM_PREFIX);
    return name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0;
}

struct queue_state *
queue_get(struct core *self, const struct om_uuid *tenant, struct om_str name)
{
    bool platform = is_platform(name);
    const struct queue_info *info = platform ? queue_find(name) : NULL;
    bool has_owner = tenant && !om_uuid_is_zero(tenant);
    if (platform ? !info : !has_owner || !queue_name_valid(name))
        return NULL;

    struct queue_key key = { 0 };
    if (!platform)
        key.owner = *tenant;
    memcpy(key.name, name.data, name.size);
    struct queue_state *queue = NULL;
    HASH_FIND(hh, self->queues, &key, sizeof(key), queue);
    if (queue)
        return queue;
    queue = core_alloc(sizeof(*queue));
    queue->key = key;
    queue->info = info;
    queue->class = info ? info->class : CLASS_LONG;
    queue->hard_ms = info ? info->hard_ms : 0;
    HASH_ADD(hh, self->queues, key, sizeof(key), queue);
    return queue;
}

void
queue_tidy(struct core *self, struct queue_state *queue)
{
    if (!queue || queue->refs > 0 || queue->runs)
        return;
    if (queue->dirty)
        DL_DELETE(self->dirty, queue);
    HASH_DEL(self->queues, queue);
    free(queue);
}

struct om_str
queue_name(const struct queue_state *queue)
{
    return (struct om_str){ queue->key.name,
                            strnlen(queue->key.name, sizeof(queue->key.name)) };
}

bool
queue_serves(const struct queue_state *queue, const struct session *session)
{
    if (queue->info)
        return session->role == queue->info->owner;
    return session->role == ROLE_TENANT &&
           om_uuid_eq(&session->tenant, &queue->key.owner);
}

bool
queue_has_takers(const struct core *self, const struct queue_state *queue)
{
    const struct credit *credit;
    DL_FOREACH2(queue->takers, credit, queue_next)
    if (session_live(self, credit->session))
        return true;
    return false;
}

void
queue_touch(struct core *self, struct queue_state *queue)
{
    if (queue->dirty)
        return;
    queue->dirty = true;
    DL_APPEND(self->dirty, queue);
}

// ---- credit

void
credit_update(struct core *self, struct credit *credit)
{
    struct queue_state *queue = credit->queue;
    bool open =
        credit->limit > credit->sent + credit->reserved && !credit->session->draining;
    if (credit->is_open)
        DL_DELETE2(queue->open, credit, open_prev, open_next);
    credit->is_open = open;
    if (!open)
        return;
    DL_APPEND2(queue->open, credit, open_prev, open_next);
    queue_touch(self, queue);
}

void
credit_destroy(struct core *self, struct credit **credit_p)
{
    struct credit *credit = *credit_p;
    *credit_p = NULL;
    struct queue_state *queue = credit->queue;
    if (credit->is_open)
        DL_DELETE2(queue->open, credit, open_prev, open_next);
    DL_DELETE2(queue->takers, credit, queue_prev, queue_next);
    DL_DELETE2(credit->session->credits, credit, session_prev, session_next);
    credit->session->credit_count--;
    free(credit);
    queue->refs--;
    queue_tidy(self, queue);
}

static struct credit *
credit_get(struct session *session, struct queue_state *queue)
{
    struct credit *credit;
    DL_FOREACH2(session->credits, credit, session_next)
    if (credit->queue == queue)
        return credit;
    if (session->credit_count >= CREDITS_MAX)
        return NULL;
    credit = core_alloc(sizeof(*credit));
    credit->session = session;
    credit->queue = queue;
    DL_APPEND2(session->credits, credit, session_prev, session_next);
    DL_APPEND2(queue->takers, credit, queue_prev, queue_next);
    session->credit_count++;
    queue->refs++;
    return credit;
}

void
on_credit(struct core *self, const struct input *in)
{
    struct session *session = in->session;
    struct queue_state *queue = queue_get(self, &session->tenant, in->msg->queue);
    if (!queue || !queue_serves(queue, session)) {
        queue_tidy(self, queue);
        out_error(self, in->conn, in->msg->id, OM_EFORBIDDEN, "this queue is not yours");
        return;
    }
    struct credit *credit = credit_get(session, queue);
    if (!credit) {
        queue_tidy(self, queue);
        out_error(self, in->conn, in->msg->id, OM_EFULL,
                  "too many queues in one session");
        return;
    }
    credit->limit = in->msg->limit;
    ahead_allow(self, credit, in->msg);
    credit_update(self, credit);

    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, in->msg->queue);
    WIRE_SET(&msg, limit, credit->limit);
    WIRE_SET(&msg, sent, credit->sent + credit->reserved);
    if (WIRE_HAS(in->msg, id))
        WIRE_SET(&msg, id, in->msg->id);
    out_send(self, in->conn, WIRE_CREDIT_OK, &msg, NULL);
}

// ---- handing out

static struct credit *
pick_credit(const struct core *self, const struct queue_state *queue)
{
    struct credit *credit;
    DL_FOREACH2(queue->open, credit, open_next)
    if (session_live(self, credit->session))
        return credit;
    return NULL;
}

// Calls have somebody waiting; then runs of events; then jobs.
static bool
hand_out_one(struct core *self, struct queue_state *queue, struct credit *credit)
{
    return call_hand_out(self, queue, credit) || run_hand_out(self, queue, credit) ||
           task_hand_out(self, queue, credit);
}

// False when too many batches wait for the disk.
static bool
hand_out(struct core *self, struct queue_state *queue)
{
    struct credit *credit;
    while ((credit = ahead_pick(self, queue))) {
        if (commit_congested(self))
            return false;
        ahead_hand_out(self, credit);
    }
    while ((credit = pick_credit(self, queue))) {
        if (commit_congested(self))
            return false;
        if (!hand_out_one(self, queue, credit))
            return true;
    }
    return true;
}

void
queue_hand_out(struct core *self)
{
    struct queue_state *queue;
    while ((queue = self->dirty)) {
        queue->refs++;
        bool done = hand_out(self, queue);
        queue->refs--;
        if (!done)
            return; // it stays touched
        DL_DELETE(self->dirty, queue);
        queue->dirty = false;
        queue_tidy(self, queue);
    }
}

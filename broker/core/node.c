#include "node.h"
#include "lease.h"
#include "out.h"
#include "queue.h"
#include "run.h"
#include "session.h"

enum {
    ROWS_MAX = 1000,         // of one WORKERS_ARE
    ROWS_BYTES = 900 * 1024, // below WIRE_PAYLOAD_MAX
    TASKS_SHOWN = 16,        // of a worker
};

struct node *
node_get(struct core *self, enum role role, const struct om_uuid *tenant,
         const struct label *name)
{
    struct node_key key = { .role = (uint8_t)role, .size = name->size };
    if (role == ROLE_TENANT)
        key.tenant = *tenant;
    memcpy(key.name, name->text, name->size);
    struct node *node = NULL;
    HASH_FIND(hh, self->nodes, &key, sizeof(key), node);
    if (node)
        return node;
    node = core_alloc(sizeof(*node));
    node->key = key;
    HASH_ADD(hh, self->nodes, key, sizeof(key), node);
    return node;
}

struct node *
node_of_queue(struct core *self, const struct queue_state *queue,
              const struct label *name)
{
    enum role role = queue->info ? queue->info->owner : ROLE_TENANT;
    return node_get(self, role, &queue->key.owner, name);
}

void
node_tidy(struct core *self, struct node *node)
{
    if (!node || node->session || node->orphans)
        return;
    HASH_DEL(self->nodes, node);
    free(node);
}

void
node_destroy_all(struct core *self)
{
    struct node *node, *next;
    HASH_ITER (hh, self->nodes, node, next) {
        HASH_DEL(self->nodes, node);
        free(node);
    }
}

// ---- WORKERS

static void
put_queues(const struct session *session, struct om_buf *out)
{
    size_t count = 0;
    const struct credit *credit;
    if (session)
        DL_COUNT2(session->credits, credit, count, session_next);
    om_pack_array(out, count);
    if (session)
        DL_FOREACH2(session->credits, credit, session_next)
    om_pack_str(out, queue_name(credit->queue));
}

// Count the leases of a list, and append the ids of the first tasks.
static int64_t
put_tasks(struct core *self, const struct lease *leases, struct om_buf *ids,
          size_t *shown)
{
    int64_t held = 0;
    const struct lease *lease;
    DL_FOREACH (leases, lease) {
        held++;
        if (*shown >= TASKS_SHOWN || run_lease(self, &lease->token))
            continue;
        char text[OM_TYPEID_MAX];
        size_t size = om_typeid_encode(OM_ID_TASK, &lease->token.task, text);
        om_pack_str(ids, (struct om_str){ text, size });
        (*shown)++;
    }
    return held;
}

static int64_t
incarnation(const struct node *node)
{
    return node->session ? node->session->incarnation : node->orphans->incarnation;
}

static void
put_row(struct core *self, const struct node *node, struct om_buf *rows)
{
    OM_AUTO(om_buf_finish) struct om_buf queues_taken = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf ids = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf tasks = { 0 };
    char tenant[OM_TYPEID_MAX];
    const struct session *session = node->session;
    size_t shown = 0;
    int64_t held = put_tasks(self, node->orphans, &ids, &shown);
    if (session)
        held += put_tasks(self, session->leases, &ids, &shown);
    om_pack_array(&tasks, shown);
    om_buf_put(&tasks, ids.data, ids.size);
    put_queues(session, &queues_taken);

    struct wire_worker row = { 0 };
    REC_SET(&row, wire_worker, node, ((struct om_str){ node->key.name, node->key.size }));
    REC_SET(&row, wire_worker, incarnation, incarnation(node));
    REC_SET(&row, wire_worker, role, om_str(role_name(node->key.role)));
    if (node->key.role == ROLE_TENANT) {
        size_t size = om_typeid_encode(OM_ID_TENANT, &node->key.tenant, tenant);
        REC_SET(&row, wire_worker, tenant, ((struct om_str){ tenant, size }));
    }
    REC_SET(&row, wire_worker, connected, session && session_live(self, session));
    if (session && session->draining)
        REC_SET(&row, wire_worker, draining, true);
    REC_SET(&row, wire_worker, heard_ms,
            session ? self->now.mono_ms - session->heard_ms : 0);
    REC_SET(&row, wire_worker, queues, om_buf_str(&queues_taken));
    REC_SET(&row, wire_worker, held, held);
    REC_SET(&row, wire_worker, tasks, om_buf_str(&tasks));
    rec_encode(&wire_worker_rec, &row, rows);
}

// A peer that neither takes from a queue nor holds anything is no worker.
static bool
is_worker(const struct node *node)
{
    return node->orphans ||
           (node->session && (node->session->credits || node->session->leases));
}

static bool
is_asked_for(const struct node *node, const struct input *in)
{
    bool of_all = om_uuid_is_zero(&in->tenant);
    struct om_str name = { node->key.name, node->key.size };
    return is_worker(node) &&
           (of_all || (node->key.role == ROLE_TENANT &&
                       om_uuid_eq(&node->key.tenant, &in->tenant))) &&
           (!WIRE_HAS(in->msg, node) || om_str_eq(name, in->msg->node));
}

// No new work for it from now on; it leaves when it has finished.
static void
drain(struct core *self, struct session *session)
{
    session->draining = true;
    struct credit *credit;
    DL_FOREACH2(session->credits, credit, session_next)
    credit_update(self, credit);
    struct wire_msg msg = { 0 };
    out_send(self, session->conn, WIRE_DRAIN, &msg, NULL);
}

void
on_workers(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    bool drains = WIRE_HAS(msg, action);
    if (drains && (!om_str_eq(msg->action, OM_LIT("drain")) || !WIRE_HAS(msg, node))) {
        out_error(self, in->conn, msg->id, OM_EINVAL,
                  "workers can be drained, by their node");
        return;
    }
    OM_AUTO(om_buf_finish) struct om_buf rows = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf array = { 0 };
    size_t count = 0;
    for (struct node *node = self->nodes;
         node && count < ROWS_MAX && rows.size < ROWS_BYTES; node = node->hh.next) {
        if (!is_asked_for(node, in))
            continue;
        if (drains && node->session)
            drain(self, node->session);
        put_row(self, node, &rows);
        count++;
    }
    if (drains && count == 0) {
        out_error(self, in->conn, msg->id, OM_ENOTFOUND, "there is no such worker");
        return;
    }
    om_pack_array(&array, count);
    om_buf_put(&array, rows.data, rows.size);
    struct payload *payload = payload_copy(om_buf_str(&array));
    if (rows.failed || array.failed || !payload)
        abort();
    struct wire_msg answer = { 0 };
    WIRE_SET(&answer, id, msg->id);
    out_send(self, in->conn, WIRE_WORKERS_ARE, &answer, payload);
    payload_unref(&payload);
}

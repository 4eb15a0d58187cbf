#include "judge_lease.h"

#include "session.h"
#include "worker.h"

struct given {
    struct wire_token token;
    int actor;
    int64_t generation;
    int64_t lease_ms, hard_ms; // as JOB said
    int64_t sent_ms, heard_ms; // JOB; of it, from its worker
    bool over;                 // it may be given to another
    bool early;                // that was done while it might not
};

struct leases {
    struct sim *sim;
    struct given *list;
    size_t count, capacity;
    struct om_buf held[SIM_ACTORS_MAX]; // of the HELLO that came last
};

struct leases *
leases_create(struct sim *sim)
{
    struct leases *self = calloc(1, sizeof(*self));
    if (!self)
        abort();
    self->sim = sim;
    return self;
}

void
leases_destroy(struct leases **self_p)
{
    for (size_t i = 0; i < SIM_ACTORS_MAX; i++)
        om_buf_finish(&(*self_p)->held[i]);
    free((*self_p)->list);
    free(*self_p);
    *self_p = NULL;
}

void
leases_restarted(struct leases *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct given *given = &self->list[i];
        const struct disk_task *task = disk_find(self->sim->disk, &given->token.task);
        given->over = !task || task->row.state != STATE_NONE || !task->row.leased ||
                      memcmp(&task->row.token, &given->token, sizeof(given->token)) != 0;
        given->heard_ms = self->sim->mono_ms;
    }
}

// ---- what the broker hears

static struct given *
find(struct leases *self, const struct wire_token *token)
{
    for (size_t i = self->count; i > 0; i--)
        if (memcmp(&self->list[i - 1].token, token, sizeof(*token)) == 0)
            return &self->list[i - 1];
    return NULL;
}

static struct given *
find_said(struct leases *self, int actor, struct om_str bytes)
{
    struct wire_token token;
    if (wire_token_decode(bytes, &token) != OM_OK)
        return NULL;
    struct given *given = find(self, &token);
    return given && given->actor == actor ? given : NULL;
}

// What comes too late renews nothing.
static void
renew(struct leases *self, struct given *given)
{
    int64_t now_ms = self->sim->mono_ms;
    given->over = given->over || now_ms - given->heard_ms >= given->lease_ms;
    given->heard_ms = now_ms;
}

static void
renew_all(struct leases *self, int actor, struct om_str held)
{
    struct wire_held item;
    struct om_str bytes;
    struct rec_iter iter = rec_iter(held);
    while (rec_next_rec(&iter, &wire_held_rec, &item, &bytes)) {
        struct given *given = find_said(self, actor, item.token);
        if (given)
            renew(self, given);
    }
}

static bool
ends_lease(int64_t type)
{
    return type == WIRE_DONE || type == WIRE_FAIL || type == WIRE_CANCELLED ||
           type == WIRE_RELEASE;
}

void
leases_heard(struct leases *self, int actor, int64_t link, const struct wire_msg *msg)
{
    if (msg->type == WIRE_HELLO) {
        om_buf_reset(&self->held[actor]);
        om_buf_put(&self->held[actor], msg->held.data, msg->held.size);
        return;
    }
    const struct session *session = session_find(self->sim->core, sim_conn(actor, link));
    if (!session || session->pending)
        return; // it is told RESET
    renew_all(self, actor, msg->held);
    struct given *given =
        WIRE_HAS(msg, token) ? find_said(self, actor, msg->token) : NULL;
    if (!given)
        return;
    renew(self, given);
    given->over = given->over || ends_lease(msg->type);
}

void
leases_welcomed(struct leases *self, int actor)
{
    renew_all(self, actor, om_buf_str(&self->held[actor]));
}

// ---- who starts what

static bool
is_running(const struct sim *sim, const struct given *given)
{
    const struct actor *actor = &sim->actors[given->actor];
    const struct worker *worker = actor->state;
    char bytes[WIRE_TOKEN_BYTES];
    wire_token_encode(&given->token, bytes);
    for (int i = 0; i < JOBS_MAX; i++)
        if ((worker->jobs[i].phase == RUNNING || worker->jobs[i].phase == FINISHED) &&
            memcmp(worker->jobs[i].token, bytes, sizeof(bytes)) == 0)
            return actor->up;
    return false;
}

// May the broker take the job for lost?
static bool
may_be_given_up(const struct sim *sim, const struct given *given)
{
    const struct actor *actor = &sim->actors[given->actor];
    return given->over || !actor->up || actor->generation != given->generation ||
           sim->mono_ms - given->heard_ms >= given->lease_ms ||
           (given->hard_ms > 0 && sim->mono_ms - given->sent_ms >= given->hard_ms);
}

static void
give_up(struct leases *self, const struct wire_token *newer)
{
    for (size_t i = 0; i < self->count; i++) {
        struct given *given = &self->list[i];
        if (!om_uuid_eq(&given->token.task, &newer->task) ||
            memcmp(&given->token, newer, sizeof(*newer)) == 0 || given->early)
            continue;
        given->early = !may_be_given_up(self->sim, given);
        given->over = true;
        if (given->early && is_running(self->sim, given))
            sim_fail(self->sim, "%.*s was given to another while its worker had it",
                     (int)sim_task_text(&newer->task).size,
                     sim_task_text(&newer->task).data);
    }
}

void
leases_granted(struct leases *self, int actor, const struct wire_msg *job)
{
    struct given given = { .actor = actor,
                           .generation = self->sim->actors[actor].generation,
                           .lease_ms = job->lease_ms,
                           .hard_ms = job->hard_ms,
                           .sent_ms = self->sim->mono_ms,
                           .heard_ms = self->sim->mono_ms };
    if (!WIRE_HAS(job, task) || wire_token_decode(job->token, &given.token) != OM_OK)
        return; // a run of events
    give_up(self, &given.token);
    self->list = disk_grow(self->list, self->count, &self->capacity, sizeof(given));
    self->list[self->count++] = given;
}

void
leases_started(struct leases *self, const struct wire_token *token)
{
    const struct given *given = find(self, token);
    if (given && given->early)
        sim_fail(self->sim, "%.*s was started though it had been given to another",
                 (int)sim_task_text(&token->task).size, sim_task_text(&token->task).data);
}

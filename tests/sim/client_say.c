// What a client says of each thing it wants.
#include <stdio.h>

#include "client.h"

static void
say_publish(struct actor *self, const struct want *want, struct wire_msg *msg)
{
    struct om_buf events = { 0 };
    om_pack_array(&events, (size_t)want->count);
    for (int64_t i = 0; i < want->count; i++) {
        char id[80];
        snprintf(id, sizeof(id), "%.*s/%d", (int)msg->id.size, msg->id.data, (int)i);
        struct wire_event event = { 0 };
        bool poison = want->poison && i == want->count / 2;
        struct om_str topic = i % 2 ? OM_LIT("audit") : OM_LIT("usage");
        REC_SET(&event, wire_event, topic, topic);
        REC_SET(&event, wire_event, id, om_str(id));
        REC_SET(&event, wire_event, at, 1);
        REC_SET(&event, wire_event, body, poison ? OM_LIT("poison") : OM_LIT("fine"));
        rec_encode(&wire_event_rec, &event, &events);
    }
    WIRE_SET(msg, events, om_buf_str(&events));
    actor_send(self, WIRE_PUBLISH, msg, (struct om_str){ 0 });
    om_buf_finish(&events);
}

// ---- jobs

static void
put_parent(struct om_buf *list, const struct want *parent)
{
    om_pack_str(list, sim_task_text(&parent->task));
}

static bool
may_be_parent(const struct want *want, const struct want *parent)
{
    if (parent == want || parent->kind != WANT_JOB || parent->tenant != want->tenant)
        return false;
    // One with a key may turn out to be another, under another id.
    bool keyed =
        WIRE_HAS(&parent->options, idem_key) || WIRE_HAS(&parent->options, unique_key);
    return parent->acknowledged ||
           (want->batch && parent->batch == want->batch && !keyed);
}

// Whom it waits for: jobs that are there, and earlier ones of its own atomic batch, or in
// a cycle all others of that.
static void
choose_parents(struct actor *self, struct want *want)
{
    struct client *client = self->state;
    const struct batch_plan *plan = &client->batches[want->batch];
    double share = want->batch ? 0.5 : 0.15;
    struct om_buf items = { 0 };
    size_t count = 0;
    for (int i = 0; i < JOBS; i++) {
        const struct want *parent = &client->wants[i];
        bool in_batch = want->batch && parent->batch == want->batch;
        bool cycle = in_batch && plan->cyclic;
        if (!may_be_parent(want, parent) || (in_batch && !plan->atomic) ||
            (in_batch && !cycle && parent > want) ||
            !(cycle || sim_chance(self->sim, share)))
            continue;
        put_parent(&items, parent);
        count++;
    }
    om_pack_array(&want->depends_on, count);
    om_buf_put(&want->depends_on, items.data, items.size);
    om_buf_finish(&items);
    if (count == 0)
        return;
    WIRE_SET(&want->options, depends_on, om_buf_str(&want->depends_on));
    if (sim_chance(self->sim, 0.3))
        WIRE_SET(&want->options, run_anyway, true);
}

static struct wire_msg
submit_of(struct actor *self, struct want *want, struct om_str id)
{
    if (!want->said)
        choose_parents(self, want);
    want->said = true;
    struct wire_msg job = want->options;
    WIRE_SET(&job, id, id);
    WIRE_SET(&job, tenant, sim_tenant_text(self->sim, want->tenant));
    WIRE_SET(&job, task, sim_task_text(&want->id));
    WIRE_SET(&job, queue, om_str(want->queue));
    WIRE_SET(&job, kind, OM_LIT("sim"));
    WIRE_SET(&job, hash, ((struct om_str){ (const char *)want->hash, 32 }));
    return job;
}

// Which jobs of the batch are to be said, as bits by their place: all of an atomic one.
static int
batch_members(const struct client *client, int batch)
{
    int members = 0;
    for (int i = 0; i < JOBS; i++)
        if (client->wants[i].batch == batch &&
            (client->batches[batch].atomic || client->wants[i].phase == SUBMITTING))
            members |= 1 << i;
    return members;
}

static void
say_batch(struct actor *self, const struct want *first, struct wire_msg *msg)
{
    struct client *client = self->state;
    struct om_buf items = { 0 }, array = { 0 };
    size_t count = 0;
    int members = batch_members(client, first->batch);
    for (int i = 0; i < JOBS; i++) {
        struct want *want = &client->wants[i];
        if (!(members >> i & 1))
            continue;
        struct om_buf header = { 0 };
        struct wire_msg job = submit_of(self, want, msg->id);
        struct wire_batch_job item = { 0 };
        wire_encode(WIRE_SUBMIT, &job, &header);
        REC_SET(&item, wire_batch_job, header, om_buf_str(&header));
        REC_SET(&item, wire_batch_job, payload, OM_LIT("what the worker shall do"));
        rec_encode(&wire_batch_job_rec, &item, &items);
        om_buf_finish(&header);
        want->next_ms = first->next_ms;
        count++;
    }
    om_pack_array(&array, count);
    om_buf_put(&array, items.data, items.size);
    if (client->batches[first->batch].atomic)
        WIRE_SET(msg, atomic, true);
    actor_send(self, WIRE_SUBMIT_BATCH, msg, om_buf_str(&array));
    om_buf_finish(&items);
    om_buf_finish(&array);
}

static void
say_watch(struct actor *self, struct want *want, struct wire_msg *msg)
{
    if (want->count > 2)
        WIRE_SET(msg, seq, want->seen);
    actor_send(self, WIRE_WATCH, msg, (struct om_str){ 0 });
    want->watches++;
    want->next_ms += 3000;
    if (sim_chance(self->sim, 0.1))
        actor_send(self, WIRE_UNWATCH, msg, (struct om_str){ 0 });
}

static void
say_of_job(struct actor *self, struct want *want, struct wire_msg *msg)
{
    if (want->phase == SUBMITTING && want->batch) {
        say_batch(self, want, msg);
        return;
    }
    if (want->phase == SUBMITTING) {
        struct wire_msg job = submit_of(self, want, msg->id);
        actor_send(self, WIRE_SUBMIT, &job, OM_LIT("what the worker shall do"));
        return;
    }
    WIRE_SET(msg, task, sim_task_text(&want->task));
    WIRE_SET(msg, ttl_ms, 5000);
    if (want->phase == OPEN && want->count % 2)
        say_watch(self, want, msg);
    else
        actor_send(self,
                   want->phase == CANCELLING ? WIRE_CANCEL
                   : want->phase == RETRYING ? WIRE_RETRY
                                             : WIRE_GET,
                   msg, (struct om_str){ 0 });
}

// ---- settings

// The last step of a setting is taken again when all is calm: a message of before, which
// came late, may have undone it.
static int64_t
step_said(const struct sim *sim, const struct want *want)
{
    bool late = sim->calm && sim->mono_ms > sim->calm_ms + SIM_LATE_MS;
    return want->step + (late ? STEPS : 0);
}

static void
say_setting(struct actor *self, struct want *want, struct wire_msg *msg)
{
    struct om_buf record = { 0 };
    rec_encode(&wire_setting_rec, &want->settings[want->step], &record);
    WIRE_SET(msg, action, om_str(want->actions[want->step]));
    if (want->queue)
        WIRE_SET(msg, queue, om_str(want->queue));
    if (WIRE_HAS(&want->options, limit_key))
        WIRE_SET(msg, limit_key, want->options.limit_key);
    if (strcmp(want->actions[want->step], "set") == 0)
        WIRE_SET(msg, settings, om_buf_str(&record));
    actor_send(self, WIRE_QUEUE, msg, (struct om_str){ 0 });
    om_buf_finish(&record);
}

static void
say_sweep(struct actor *self, const struct want *want, struct wire_msg *msg)
{
    static const char *const codes[] = { "internal_error", "timeout", "worker_lost" };
    WIRE_SET(msg, limit, want->count);
    if (want->poison)
        WIRE_SET(msg, code, om_str(codes[want->count % 3]));
    actor_send(self, WIRE_RETRY_MANY, msg, (struct om_str){ 0 });
}

void
want_say(struct actor *self, struct want *want, int place)
{
    if (want->kind == WANT_JOB && want->phase == OPEN &&
        self->sim->mono_ms >= want->cancel_ms)
        want->phase = CANCELLING;
    // The id names the thing, the phase and the step, said late or not, so that an answer
    // finds what it answers; each WATCH is another, and a batch names its jobs.
    char id[64];
    int64_t which = 0;
    if (want->kind == WANT_SETTING)
        which = step_said(self->sim, want);
    else if (want->phase == OPEN)
        which = want->watches;
    else if (want->batch)
        which = batch_members(self->state, want->batch);
    snprintf(id, sizeof(id), "%s.%d.%d.%lld", self->name, place, (int)want->phase,
             (long long)which);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, tenant, sim_tenant_text(self->sim, want->tenant));
    want->next_ms = self->sim->mono_ms + 700 + sim_random(self->sim, 1500);
    switch (want->kind) {
    case WANT_JOB:
        say_of_job(self, want, &msg);
        break;
    case WANT_PUBLISH:
        say_publish(self, want, &msg);
        break;
    case WANT_CALL:
        want_call(self, want, &msg);
        break;
    case WANT_SETTING:
        say_setting(self, want, &msg);
        break;
    case WANT_SWEEP:
        say_sweep(self, want, &msg);
        break;
    }
}

// A client's session, and what it is answered.
#include <stdio.h>

#include "client.h"

static void
client_create(struct actor *self)
{
    self->state = calloc(1, sizeof(struct client));
    if (!self->state)
        abort();
    want_draw_all(self);
}

static void
client_destroy(struct actor *self)
{
    struct client *client = self->state;
    for (int i = 0; i < ITEMS; i++)
        om_buf_finish(&client->wants[i].depends_on);
    free(client);
}

static void
client_start(struct actor *self)
{
    struct client *client = self->state;
    client->welcome = false;
    client->hello++;
    want_calls_lost(client);
    client->next_hello_ms = client->next_ping_ms = 0;
}

static void
send_hello(struct actor *self, struct client *client)
{
    char id[24];
    snprintf(id, sizeof(id), "h%d", client->hello);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, om_str(self->type->role));
    WIRE_SET(&msg, node, om_str(self->name));
    WIRE_SET(&msg, incarnation, self->generation);
    WIRE_SET(&msg, id, om_str(id));
    if (client->hello % 2)
        WIRE_SET(&msg, caps, CAPABILITY_ACK_LISTS);
    actor_send(self, WIRE_HELLO, &msg, (struct om_str){ 0 });
}

static void
client_tick(struct actor *self)
{
    struct client *client = self->state;
    int64_t now_ms = self->sim->mono_ms;
    if (!client->welcome) {
        if (now_ms >= client->next_hello_ms) {
            client->next_hello_ms = now_ms + 2000;
            send_hello(self, client);
        }
        return;
    }
    if (now_ms >= client->next_ping_ms) {
        client->next_ping_ms = now_ms + 2000;
        actor_send(self, WIRE_PING, &(struct wire_msg){ 0 }, (struct om_str){ 0 });
    }
    for (int i = 0; i < ITEMS; i++) {
        struct want *want = &client->wants[i];
        if (want->phase != FINISHED && now_ms >= want->start_ms &&
            now_ms >= want->next_ms)
            want_say(self, want, i);
    }
}

// ---- what it is answered

static void
on_taken(struct want *want, struct om_str task)
{
    struct om_uuid id;
    want->cancel_ms = want->phase == CANCELLING ? INT64_MAX : want->cancel_ms;
    want->phase = OPEN;
    want->acknowledged = true;
    if (task.size && om_typeid_decode(OM_ID_TASK, task, &id) == OM_OK)
        want->task = id; // it may be another: the one a key names
}

static void
on_state(struct want *want, const struct wire_msg *msg)
{
    struct wire_task info;
    if (want->phase != OPEN ||
        rec_decode(&wire_task_rec, msg->info, &info, NULL) != OM_OK ||
        !state_info(info.state)->ended)
        return;
    want->phase = FINISHED;
    if (info.state == STATE_FAILED && want->retries) {
        want->retries = false;
        want->phase = RETRYING;
        want->next_ms = 0;
    }
}

void
want_refused(struct actor *self, struct want *want, struct om_str code)
{
    const struct client *client = self->state;
    enum om_rc rc = om_rc_find(code);
    if (om_rc_info(rc)->retryable)
        return; // it will say it again
    if (rc == OM_ECONFLICT && (want->phase == CANCELLING || want->phase == RETRYING)) {
        want->cancel_ms = INT64_MAX;
        want->phase = OPEN;
        return;
    }
    bool reused = rc == OM_EREUSED && WIRE_HAS(&want->options, idem_key);
    bool second = rc == OM_ECONFLICT && want->batch && // of its key, behind a refused one
                  WIRE_HAS(&want->options, unique_key);
    bool cyclic = rc == OM_EINVAL && client->batches[want->batch].cyclic;
    if (want->phase == SUBMITTING && (reused || second || cyclic))
        want->phase = FINISHED;
    else
        sim_fail(self->sim, "%s got %.*s in phase %d", self->name, (int)code.size,
                 code.data, want->phase);
}

// Will the batch never be taken whole? One of its jobs is refused for good, or "not all
// of you" is said and nothing that may be better next time.
static bool
is_hopeless(struct om_str payload)
{
    struct wire_batch_item item;
    struct om_str bytes;
    struct rec_iter iter = rec_iter(payload);
    bool conflict = false, refused = false, retryable = false;
    while (rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes)) {
        enum om_rc rc = om_rc_find(item.code);
        if (!REC_HAS(&item, wire_batch_item, code))
            continue;
        conflict = conflict || rc == OM_ECONFLICT;
        retryable = retryable || om_rc_info(rc)->retryable;
        refused = refused || (rc != OM_ECONFLICT && !om_rc_info(rc)->retryable);
    }
    return refused || (conflict && !retryable);
}

void
want_batch_answered(struct actor *self, int members, struct om_str payload)
{
    struct client *client = self->state;
    int batch = client->wants[__builtin_ctz((unsigned)members)].batch;
    bool hopeless = client->batches[batch].atomic && is_hopeless(payload);
    struct wire_batch_item item;
    struct om_str bytes;
    struct rec_iter iter = rec_iter(payload);
    for (int i = 0; i < JOBS; i++) {
        struct want *want = &client->wants[i];
        if (!(members >> i & 1))
            continue;
        if (!rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes)) {
            sim_fail(self->sim, "a BATCH has not an item for each of its jobs");
            return;
        }
        sim_trace(self->sim, "  job %d: %.*s %.*s%s", i, (int)item.code.size,
                  item.code.data ? item.code.data : "", (int)item.text.size,
                  item.text.data ? item.text.data : "",
                  item.duplicate ? "duplicate" : "");
        if (want->phase != SUBMITTING)
            continue;
        bool conflict = om_rc_find(item.code) == OM_ECONFLICT;
        if (!REC_HAS(&item, wire_batch_item, code))
            on_taken(want, item.task);
        else if (!conflict || !client->batches[batch].atomic)
            want_refused(self, want, item.code);
        if (hopeless && want->phase == SUBMITTING)
            want->phase = FINISHED;
    }
}

static void
on_step(struct actor *self, struct want *want, bool said_late)
{
    struct sim *sim = self->sim;
    if (want->step + 1 < STEPS && want->actions[want->step + 1]) {
        want->step++;
        want->next_ms = sim->mono_ms + sim_random(sim, 20000);
    } else if (said_late) {
        want->phase = FINISHED;
    } else {
        want->next_ms = sim->calm_ms + SIM_LATE_MS + 1;
    }
}

// The thing an answer is about, if the answer is of its present phase and step. *which is
// what its id says besides.
static struct want *
wanted(struct actor *self, const struct wire_msg *msg, int *which)
{
    struct client *client = self->state;
    char id[65];
    int place, phase;
    *which = 0;
    snprintf(id, sizeof(id), "%.*s", (int)msg->id.size, msg->id.data ? msg->id.data : "");
    char *at = strchr(id, '.');
    if (!at || sscanf(at, ".%d.%d.%d", &place, &phase, which) < 2 || place >= ITEMS)
        return NULL;
    struct want *want = &client->wants[place];
    bool of_step = want->kind != WANT_SETTING || want->step == *which % STEPS;
    return (int)want->phase == phase && of_step ? want : NULL;
}

// What the broker says of something the client wants.
static void
answered(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    int which;
    struct want *want = wanted(self, msg, &which);
    if (!want)
        return;
    switch (msg->type) {
    case WIRE_SUBMITTED:
    case WIRE_CANCEL_ACK:
        on_taken(want, msg->task);
        break;
    case WIRE_BATCH:
        want_batch_answered(self, which, payload);
        break;
    case WIRE_PUBLISHED:
    case WIRE_RETRIED:
        want->phase = FINISHED;
        break;
    case WIRE_QUEUES:
        on_step(self, want, which >= STEPS);
        break;
    case WIRE_CHUNK:
        want->seen = msg->seq > want->seen ? msg->seq : want->seen;
        break;
    case WIRE_TASK:
    case WIRE_EVENT:
        on_state(want, msg);
        break;
    case WIRE_REJECT:
    case WIRE_ERROR:
        want_refused(self, want, msg->code);
        break;
    default:
        break;
    }
}

static void
client_receive(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    struct client *client = self->state;
    char hello[24];
    snprintf(hello, sizeof(hello), "h%d", client->hello);
    if (msg->type == WIRE_WELCOME)
        client->welcome = client->welcome || om_str_eq(msg->id, om_str(hello));
    if (msg->type == WIRE_RESET && client->welcome)
        client_start(self);
    if (want_call_heard(self, msg, payload))
        return;
    struct rec_iter ids = rec_iter(msg->ids);
    for (struct om_str one; rec_next_str(&ids, &one);)
        answered(self, &(struct wire_msg){ .type = msg->type, .id = one }, payload);
    answered(self, msg, payload);
}

static bool
client_idle(const struct actor *self)
{
    const struct client *client = self->state;
    for (int i = 0; i < ITEMS; i++)
        if (client->wants[i].phase != FINISHED)
            return false;
    return true;
}

const struct actor_type client_type = { "ingest",     client_create, client_destroy,
                                        client_start, client_tick,   client_receive,
                                        client_idle };

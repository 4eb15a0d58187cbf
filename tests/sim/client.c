#include <stdio.h>

#include "sim.h"

// A client of the platform: submits, publishes and calls, says each thing again until it
// is acknowledged, cancels some, retries some, and watches its tasks until they end. What
// it wants is durable; its session is not.

enum { JOBS = 10, PUBLISHES = 4, CALLS = 5, ITEMS = JOBS + PUBLISHES + CALLS };

enum phase { SUBMITTING, OPEN, CANCELLING, RETRYING, FINISHED };

struct want {
    char what; // j: job, p: events, q: call
    enum phase phase;
    int64_t start_ms, next_ms;
    struct om_uuid task;
    int tenant;
    const char *queue;
    struct wire_msg options;
    uint8_t hash[32];
    int64_t cancel_ms; // INT64_MAX: never
    bool retries, poison;
    int64_t count;         // of events
    int64_t watches, seen; // so many WATCHes; the newest number it was told
};

struct client {
    bool welcome;
    int hello;
    int64_t next_hello_ms, next_ping_ms;
    struct want wants[ITEMS];
};

static void
want_job(struct actor *self, struct want *want)
{
    static const char *const queue_names[] = { "omni.inference", "omni.training", "own" };
    struct sim *sim = self->sim;
    uint8_t entropy[10];
    for (size_t i = 0; i < sizeof(entropy); i++)
        entropy[i] = (uint8_t)sim_random(sim, 256);
    want->what = 'j';
    want->queue = queue_names[sim_random(sim, 3)];
    // Only the first tenant has workers of its own.
    want->tenant =
        strcmp(want->queue, "own") == 0 ? 0 : (int)sim_random(sim, SIM_TENANTS);
    want->task = om_uuid_make(sim_now(sim).wall_ms + want->start_ms, entropy,
                              om_uuid_shard(&sim->tenants[want->tenant]));
    for (size_t i = 0; i < sizeof(want->hash); i++)
        want->hash[i] = (uint8_t)sim_random(sim, 256);
    int64_t wall_ms = sim_now(sim).wall_ms;
    if (sim_chance(sim, 0.5))
        WIRE_SET(&want->options, priority, sim_random(sim, 10));
    if (sim_chance(sim, 0.2))
        WIRE_SET(&want->options, due_ms, wall_ms + sim_random(sim, 60000));
    if (sim_chance(sim, 0.1))
        WIRE_SET(&want->options, expires_ms, wall_ms + sim_random(sim, 60000));
    if (sim_chance(sim, 0.3))
        WIRE_SET(&want->options, max_attempts, 1 + sim_random(sim, 5));
    if (sim_chance(sim, 0.2))
        WIRE_SET(&want->options, hard_ms, 1000 + sim_random(sim, 10000));
    want->cancel_ms = INT64_MAX;
    if (sim_chance(sim, 0.3))
        want->cancel_ms = want->start_ms + sim_random(sim, 10000);
    want->retries = sim_chance(sim, 0.5);
}

static void
client_create(struct actor *self)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        abort();
    self->state = client;
    for (int i = 0; i < ITEMS; i++) {
        struct want *want = &client->wants[i];
        want->start_ms = self->sim->mono_ms + sim_random(self->sim, 50000);
        want->tenant = (int)sim_random(self->sim, SIM_TENANTS);
        if (i < JOBS)
            want_job(self, want);
        else
            want->what = i < JOBS + PUBLISHES ? 'p' : 'q';
        want->count = 1 + sim_random(self->sim, 6);
        want->poison = sim_chance(self->sim, 0.1);
    }
}

static void
client_destroy(struct actor *self)
{
    free(self->state);
}

static void
client_start(struct actor *self)
{
    struct client *client = self->state;
    client->welcome = false;
    client->hello++;
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

// ---- what it says of each thing

static void
send_publish(struct actor *self, const struct want *want, struct wire_msg *msg)
{
    struct om_buf events = { 0 };
    om_pack_array(&events, (size_t)want->count);
    for (int64_t i = 0; i < want->count; i++) {
        char id[64];
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

static void
send_submit(struct actor *self, const struct want *want, struct wire_msg *msg)
{
    struct wire_msg job = want->options;
    WIRE_SET(&job, id, msg->id);
    WIRE_SET(&job, tenant, msg->tenant);
    WIRE_SET(&job, task, sim_task_text(&want->task));
    WIRE_SET(&job, queue, om_str(want->queue));
    WIRE_SET(&job, kind, OM_LIT("sim"));
    WIRE_SET(&job, hash, ((struct om_str){ (const char *)want->hash, 32 }));
    actor_send(self, WIRE_SUBMIT, &job, OM_LIT("what the worker shall do"));
}

static void
say_of_job(struct actor *self, struct want *want, struct wire_msg *msg)
{
    if (want->phase == SUBMITTING) {
        send_submit(self, want, msg);
        return;
    }
    WIRE_SET(msg, task, sim_task_text(&want->task));
    WIRE_SET(msg, ttl_ms, 5000);
    enum wire_type type = want->phase == CANCELLING ? WIRE_CANCEL
                          : want->phase == RETRYING ? WIRE_RETRY
                          : want->count % 2         ? WIRE_WATCH
                                                    : WIRE_GET;
    if (type == WIRE_WATCH && want->count > 2)
        WIRE_SET(msg, seq, want->seen);
    actor_send(self, type, msg, (struct om_str){ 0 });
    if (type != WIRE_WATCH)
        return;
    want->watches++;
    want->next_ms += 3000;
    if (sim_chance(self->sim, 0.1))
        actor_send(self, WIRE_UNWATCH, msg, (struct om_str){ 0 });
}

static void
say(struct actor *self, struct want *want, int place)
{
    if (want->phase == OPEN && self->sim->mono_ms >= want->cancel_ms)
        want->phase = CANCELLING;
    // The id names the thing and the phase, so that an answer finds what it answers; each
    // WATCH is another.
    char id[64];
    snprintf(id, sizeof(id), "%s.%d.%d.%lld", self->name, place, (int)want->phase,
             want->phase == OPEN ? (long long)want->watches : 0LL);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, om_str(id));
    WIRE_SET(&msg, tenant, sim_tenant_text(self->sim, want->tenant));
    want->next_ms = self->sim->mono_ms + 700 + sim_random(self->sim, 1500);
    if (want->what == 'j') {
        say_of_job(self, want, &msg);
    } else if (want->what == 'p') {
        send_publish(self, want, &msg);
    } else {
        WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
        WIRE_SET(&msg, kind, OM_LIT("predict"));
        WIRE_SET(&msg, ttl_ms, 500 + sim_random(self->sim, 8000));
        actor_send(self, WIRE_CALL, &msg, OM_LIT("a question"));
        want->phase = FINISHED; // once: a call is never said again
    }
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
            say(self, want, i);
    }
}

// ---- what it is answered

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

static void
on_refusal(struct actor *self, struct want *want, const struct wire_msg *msg)
{
    enum om_rc rc = om_rc_find(msg->code);
    if (om_rc_info(rc)->retryable)
        return; // it will say it again
    if (rc == OM_ECONFLICT && (want->phase == CANCELLING || want->phase == RETRYING)) {
        want->cancel_ms = INT64_MAX;
        want->phase = OPEN;
        return;
    }
    sim_fail(self->sim, "%s got %.*s in phase %d", self->name, (int)msg->code.size,
             msg->code.data, want->phase);
}

// The thing an answer is about, if the answer is of its present phase.
static struct want *
wanted(struct actor *self, const struct wire_msg *msg)
{
    struct client *client = self->state;
    char id[65];
    int place, phase;
    snprintf(id, sizeof(id), "%.*s", (int)msg->id.size, msg->id.data ? msg->id.data : "");
    char *at = strchr(id, '.');
    if (!at || sscanf(at, ".%d.%d", &place, &phase) != 2 || place >= ITEMS ||
        (int)client->wants[place].phase != phase)
        return NULL;
    return &client->wants[place];
}

// What the broker says of something the client wants.
static void
answered(struct actor *self, const struct wire_msg *msg)
{
    struct want *want = wanted(self, msg);
    if (!want)
        return;
    if (msg->type == WIRE_CHUNK && msg->seq > want->seen)
        want->seen = msg->seq;
    switch (msg->type) {
    case WIRE_SUBMITTED:
    case WIRE_CANCEL_ACK:
        want->cancel_ms = want->phase == CANCELLING ? INT64_MAX : want->cancel_ms;
        want->phase = OPEN;
        break;
    case WIRE_PUBLISHED:
        want->phase = FINISHED;
        break;
    case WIRE_TASK:
    case WIRE_EVENT:
        on_state(want, msg);
        break;
    case WIRE_REJECT:
    case WIRE_ERROR:
        on_refusal(self, want, msg);
        break;
    default:
        break;
    }
}

static void
client_receive(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    (void)payload;
    struct client *client = self->state;
    char hello[24];
    snprintf(hello, sizeof(hello), "h%d", client->hello);
    if (msg->type == WIRE_WELCOME)
        client->welcome = client->welcome || om_str_eq(msg->id, om_str(hello));
    if (msg->type == WIRE_RESET && client->welcome)
        client_start(self);
    struct rec_iter ids = rec_iter(msg->ids);
    for (struct om_str one; rec_next_str(&ids, &one);)
        answered(self, &(struct wire_msg){ .type = msg->type, .id = one });
    answered(self, msg);
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

// Calls, and the caller's rule for answers that come in parts: it sees all of them in
// order, made by one worker in one go, or it knows that it does not.
#include <stdio.h>

#include "client.h"

enum { AHEAD = 3 }; // parts that may be on their way

void
want_call(struct actor *self, struct want *want, struct wire_msg *msg)
{
    WIRE_SET(msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(msg, kind, OM_LIT("predict"));
    WIRE_SET(msg, ttl_ms, 500 + sim_random(self->sim, 8000));
    if (want->count % 2) {
        WIRE_SET(msg, ttl_ms, 2000 + sim_random(self->sim, 50000));
        WIRE_SET(msg, limit, (1 + sim_random(self->sim, AHEAD)) * SIM_PART_COST);
    }
    actor_send(self, WIRE_CALL, msg, OM_LIT("a question"));
    want->phase = FINISHED; // once: a call is never said again
}

void
want_calls_lost(struct client *client)
{
    for (int i = 0; i < ITEMS; i++)
        client->wants[i].broken = client->wants[i].broken || client->wants[i].parts > 0;
}

static struct want *
find(struct client *client, struct om_str id)
{
    char text[65];
    int place = -1;
    snprintf(text, sizeof(text), "%.*s", (int)id.size, id.data ? id.data : "");
    const char *at = strchr(text, '.');
    if (!at || sscanf(at, ".%d.", &place) != 1 || place < 0 || place >= ITEMS)
        return NULL;
    struct want *want = &client->wants[place];
    return want->kind == WANT_CALL ? want : NULL;
}

static void
say(struct actor *self, enum wire_type type, const struct wire_msg *about, int64_t parts)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, about->id);
    WIRE_SET(&msg, limit, parts * SIM_PART_COST);
    actor_send(self, type, &msg, (struct om_str){ 0 });
}

static void
hear_part(struct actor *self, struct want *want, const struct wire_msg *msg,
          const struct sim_part *part)
{
    bool other = want->parts > 0 && msg->call != want->call;
    if (msg->seq <= want->parts && !other)
        return;
    if (msg->seq != want->parts + 1 || other) {
        want->broken = true;
        say(self, WIRE_CALL_CANCEL, msg, 0);
        return;
    }
    if (part->number != msg->seq || (want->parts > 0 && part->maker != want->maker))
        sim_fail(self->sim, "a part of an answer is of another one");
    want->parts++;
    want->call = msg->call;
    want->maker = part->maker;
    if (sim_chance(self->sim, 0.05)) {
        want->over = true;
        say(self, WIRE_CALL_CANCEL, msg, 0);
    } else {
        say(self, WIRE_CALL_CREDIT, msg, want->parts + AHEAD);
    }
}

static void
hear_reply(struct actor *self, struct want *want, const struct wire_msg *msg,
           const struct sim_part *end)
{
    want->over = true;
    bool other = want->parts > 0 && msg->call != want->call;
    if ((WIRE_HAS(msg, seq) ? msg->seq : 0) != want->parts || other)
        return; // it knows that parts are missing
    if (end->number != want->parts || (want->parts > 0 && end->maker != want->maker))
        sim_fail(self->sim, "an answer of %lld parts was taken as whole after %lld",
                 (long long)end->number, (long long)want->parts);
    self->sim->streamed += want->parts > 0;
}

bool
want_call_heard(struct actor *self, const struct wire_msg *msg, struct om_str payload)
{
    struct client *client = self->state;
    struct want *want = WIRE_HAS(msg, id) ? find(client, msg->id) : NULL;
    struct sim_part part = { 0 };
    if (!want)
        return false;
    if (payload.size == sizeof(part))
        memcpy(&part, payload.data, sizeof(part));
    if (want->over || want->broken)
        return true;
    if (msg->type == WIRE_CHUNK)
        hear_part(self, want, msg, &part);
    else if (msg->type == WIRE_REPLY)
        hear_reply(self, want, msg, &part);
    else
        want->over = true;
    return true;
}

// client.h - a client of the platform: submits, publishes, calls and sets, says each
// thing again until it is acknowledged, cancels some, retries some, and watches its tasks
// until they end. What it wants is durable; its session is not.
#pragma once
#include "sim.h"

enum {
    JOBS = 12,
    PUBLISHES = 4,
    CALLS = 4,
    SETTINGS = 3,
    SWEEPS = 1,
    ITEMS = JOBS + PUBLISHES + CALLS + SETTINGS + SWEEPS,
    BATCHES = 2,
    STEPS = 3, // of a setting
};

enum want_kind { WANT_JOB, WANT_PUBLISH, WANT_CALL, WANT_SETTING, WANT_SWEEP };

enum phase { SUBMITTING, OPEN, CANCELLING, RETRYING, FINISHED };

// Something a client wants.
struct want {
    enum want_kind kind;
    enum phase phase;
    int64_t start_ms, next_ms;
    int tenant;
    const char *queue;

    // A job.
    struct om_uuid id, task; // as it is submitted; as it is known, perhaps by a key
    struct wire_msg options;
    uint8_t hash[32];
    int64_t cancel_ms; // INT64_MAX: never
    bool retries, acknowledged;
    bool said; // and so stays as it is
    int batch; // with which it is submitted; 0: alone
    struct om_buf depends_on;
    int64_t watches, seen; // so many WATCHes; the newest number it was told

    // Events, or a choice between ways of doing something.
    int64_t count;
    bool poison;

    // A call whose answer comes in parts (client_call.c).
    bool broken, over;   // some are missing; nothing more will come
    int64_t call, parts; // the broker's number of it; so many came
    int64_t maker;       // who made them

    // A setting: what it does, one after the other.
    const char *actions[STEPS];
    struct wire_setting settings[STEPS];
    int step;
};

struct batch_plan {
    bool atomic, cyclic;
};

struct client {
    bool welcome;
    int hello;
    int64_t next_hello_ms, next_ping_ms;
    struct want wants[ITEMS];
    struct batch_plan batches[BATCHES + 1]; // from 1
};

// Draw what the client wants.
void want_draw_all(struct actor *self);

// Say what there is to say of it now.
void want_say(struct actor *self, struct want *want, int place);

// BATCH answers a SUBMIT_BATCH of the jobs at these places, which are bits.
void want_batch_answered(struct actor *self, int members, struct om_str payload);

// Make a call, of which every other one takes its answer in parts; hear an answer, if it
// is one; and lose what has begun with the session.
void want_call(struct actor *self, struct want *want, struct wire_msg *msg);
bool want_call_heard(struct actor *self, const struct wire_msg *msg,
                     struct om_str payload);
void want_calls_lost(struct client *client);

// A REJECT or ERROR, or the same in an item of BATCH.
void want_refused(struct actor *self, struct want *want, struct om_str code);

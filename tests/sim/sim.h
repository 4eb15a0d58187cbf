// sim.h - a whole cluster in one thread under one seed: a broker core, a disk, a network,
// clients, workers and subscribers, with their faults.
//
// Time is simulated: the next event is taken from a queue and its time becomes now. All
// chance comes from the seed, so a seed replays exactly.
#pragma once
#include <stdlib.h>

#include "core.h"

struct sim;
struct actor;

enum {
    SIM_ACTORS_MAX = 16,
    SIM_TENANTS = 3,
    SIM_LATE_MS = 5000, // no message is later
};

// How bad the world is; drawn from the seed.
struct sim_faults {
    double drop, duplicate, late;               // share of messages
    double commit_fails;                        // share of commits
    double commit_slow;                         // share of commits that take seconds
    double broker_crash, broker_pause;          // a step
    double actor_crash, actor_pause, reconnect; // a tick of an actor
    double wall_jump;                           // a step
};

// What an actor does. Its volatile state is lost in a crash: `start` makes it anew.
struct actor_type {
    const char *role;
    void (*create)(struct actor *self); // its durable state
    void (*destroy)(struct actor *self);
    void (*start)(struct actor *self);
    void (*tick)(struct actor *self); // every half second or so
    void (*receive)(struct actor *self, const struct wire_msg *msg,
                    struct om_str payload);
    // Has it nothing left to do? Asked once the faults have stopped.
    bool (*idle)(const struct actor *self);
};

struct actor {
    struct sim *sim;
    const struct actor_type *type;
    char name[16];
    int index;
    const char *credential;
    int64_t generation; // of this process, and its incarnation
    int64_t link;       // of its connection: a new one after each reconnect
    bool up;
    int64_t paused_until_ms;
    void *state;
};

struct sim {
    uint64_t seed, random;
    int64_t mono_ms, wall_offset_ms;
    bool trace, calm;
    int64_t calm_ms; // no faults from then on
    bool jumps;      // the wall clock does, in this seed
    struct sim_faults faults;
    char failure[512]; // empty: none

    struct core *core; // NULL: down
    int64_t broker_generation, broker_paused_until_ms;
    struct core_conf conf;
    struct disk *disk;
    struct batch *committing;
    uint8_t committing_hash[32]; // of its changes when it went out

    int64_t tick_at_ms; // of the broker's tick that is queued; 0: none
    struct judge *judge;
    struct sim_queue *queue;
    struct actor actors[SIM_ACTORS_MAX];
    int actor_count;
    struct om_uuid tenants[SIM_TENANTS];

    uint64_t crashes, messages;
    uint64_t streamed;        // answers that came whole, in parts
    struct core_stats totals; // of all brokers of the run
};

// Run one seed. False: a promise was broken; `self->failure` says which.
bool sim_run(struct sim *self, uint64_t seed, bool trace);

// Add what was counted.
void sim_add_stats(struct core_stats *sum, const struct core_stats *stats);

// Let happen what is to happen, until all is done or a promise is broken.
void sim_happen(struct sim *self);

void sim_start_actor(struct sim *self, struct actor *actor);

// A number of [0, below), and whether a thing of this probability happens.
int64_t sim_random(struct sim *self, int64_t below);
bool sim_chance(struct sim *self, double probability);

// A promise is broken. The first one is kept.
void sim_fail(struct sim *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// One line of the trace.
void sim_trace(struct sim *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct core_now sim_now(const struct sim *self);

void sim_trace_message(struct sim *self, const char *from, const char *to,
                       const struct wire_msg *msg);

// Send a message to the broker through the network.
void actor_send(struct actor *self, enum wire_type type, const struct wire_msg *msg,
                struct om_str payload);

struct om_str sim_tenant_text(const struct sim *self, int tenant);
struct om_str sim_task_text(const struct om_uuid *id); // of a static

extern const struct actor_type client_type, inference_type, tenant_worker_type,
    identity_type, billing_type, compliance_type, scheduler_type;

// A part of a call's answer, or in REPLY the last of them: who made it, and its number;
// and what one costs of the caller's limit.
struct sim_part {
    int64_t maker, number;
};

enum { SIM_PART_COST = WIRE_CHUNK_COST + sizeof(struct sim_part) };

// The key of the tenant's worker, and what stands for SHA-256 of it.
#define SIM_KEY "omni_live_sim"
void sim_hash(struct om_str bytes, uint8_t out[32]);

// ---- the queue of what will happen (queue.c)

enum sim_event_kind {
    SIM_TO_BROKER,
    SIM_TO_ACTOR,
    SIM_ACTOR_TICK,
    SIM_ACTOR_START,
    SIM_BROKER_TICK,
    SIM_BROKER_START,
    SIM_COMMITTED,
    SIM_READ,
};

struct sim_event {
    int64_t at_ms;
    uint64_t order;
    enum sim_event_kind kind;
    int actor;
    int64_t generation; // of the actor, of its link for messages, or of the broker
    struct om_buf header, payload;
    bool has_payload;
    struct read *read;
};

struct sim_queue *sim_queue_create(void);
void sim_queue_destroy(struct sim_queue **self_p);
void sim_queue_put(struct sim_queue *self, const struct sim_event *event);
bool sim_queue_take(struct sim_queue *self, struct sim_event *out);
void sim_event_finish(struct sim_event *event);

// Put something that has no more words to it, after a delay.
void sim_later(struct sim *self, enum sim_event_kind kind, int64_t delay_ms, int actor,
               int64_t generation);

// Put a message, or lose it, or put it twice. SIM_TO_BROKER or SIM_TO_ACTOR.
void sim_transmit(struct sim *self, enum sim_event_kind kind, int actor,
                  int64_t generation, struct om_str header, struct om_str payload);

// A connection's number: the actor's place and its link.
core_conn sim_conn(int actor, int64_t link);

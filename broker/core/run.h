// run.h - the runs of the event log that subscribers are sent.
//
// A subscription has at most one run under way in each shard, so its cursor moves in
// order. A run that fails is halved; a single event that fails three times, or nine times
// takes its worker with it, is set aside: appended again under the topic "dead".
#pragma once
#include "lease.h"

#define EVENTS_KIND "events" // the kind of a run's JOB

enum run_state {
    RUN_IDLE,
    RUN_WAITING,
    RUN_READING,
    RUN_LEASED,
    RUN_COMMITTING,
    RUN_BACKOFF,
    RUN_GATHERING, // for more events, so that a run has many
};

// The newest events of a run's topic and shard, in memory; see tail.h.
struct tail {
    bool open;     // what comes is kept
    int64_t after; // all events behind this one are there, up to the last of the list
    struct tail_event *first, *last; // by their numbers
};

// What a subscriber has of a shard's events, and the run it is being sent.
struct run {
    unsigned subscription;
    uint8_t shard;
    enum run_state state;
    int64_t cursor;   // durable
    int64_t newest;   // no event of the topic is known behind it
    int64_t asked;    // `newest` when the read began
    int64_t last;     // of the run at the subscriber
    size_t count;     // events in the run
    size_t limit;     // events of the next run
    unsigned strikes; // against a run of a single event
    int64_t moved_ms; // mono: when the cursor moved last, or had to begin to
    uint64_t dead;    // events set aside since the broker's start
    struct payload *payload;
    struct tail tail;
    struct lease lease;
    struct timer backoff;
    struct run *prev, *next; // in the queue's list
};

// The run of a subscription in a shard.
static inline struct run *
run_at(const struct core *self, unsigned subscription, uint8_t shard)
{
    return &self->runs[subscription * OM_SHARD_COUNT + shard];
}

void run_init_all(struct core *self);
void run_destroy_all(struct core *self);

// Send what there is to subscribers.
void run_serve_all(struct core *self);

// Take the next waiting run of the queue; false if there is none.
bool run_hand_out(struct core *self, struct queue_state *queue, struct credit *credit);

// The lease of the run a token is about, current or not; NULL if it is about a task.
struct lease *run_lease(struct core *self, const struct wire_token *token);

void run_event_durable(struct core *self, const struct change_event *event);
void run_read_done(struct core *self, struct run *run, const struct read *read);

void run_cursor_durable(struct core *self, struct group *group, struct change *change);

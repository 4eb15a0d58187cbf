// events.h - the event log and the runs of it that subscribers are sent.
//
// A subscription has at most one run under way in each shard, so its cursor moves in
// order. A run that fails is halved; a single event that fails three times, or nine times
// takes its worker with it, is set aside: appended again under the topic "dead".
#pragma once
#include "inner.h"

#define EVENTS_KIND "events" // the kind of a run's JOB

// Whose events they are, and the trace context they were made in.
struct events_origin {
    struct om_uuid tenant;
    struct om_str traceparent;
};

// How many items a list of usage or events has.
size_t events_count(struct om_str list);

// Is every item of a message's event list well-formed?
bool events_valid(struct om_str list);

// Add a message's events to the group begun last, which has room for events_count() of
// them. Malformed ones are left out.
void events_add(struct core *self, const struct events_origin *origin,
                struct om_str list);

// Add usage as events of topic "usage" with the ids "<prefix>/<meter>".
void events_add_usage(struct core *self, const struct events_origin *origin,
                      struct om_str prefix, struct om_str usage);

void on_publish(struct core *self, const struct input *in);

// ---- runs

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

struct group;
void run_cursor_durable(struct core *self, struct group *group, struct change *change);

// events.h - events on their way into the log.
#pragma once
#include "error_record.h"
#include "inner.h"

// Whose events they are, and the trace context they were made in.
struct events_origin {
    struct om_uuid tenant;
    struct om_str traceparent, tracestate;
    bool own_worker; // usage: told by a tenant's own worker, not by the platform's
};

// How many items a list of usage or events has.
size_t events_count(struct om_str list);

// Is every item of a message's event list well-formed?
bool events_valid(struct om_str list);

// Add a message's events to the group begun last, which has room for events_count() of
// them. Malformed ones are left out.
void events_add(struct core *self, const struct events_origin *origin,
                struct om_str list);

// Add usage as events of topic "usage" with the ids "<prefix>/<meter>", and for further
// items of the same meter "<prefix>/<meter>/2" and so on. What a tenant's
// own worker meters is kept apart from the platform's meters: its names begin with
// "own.".
void events_add_usage(struct core *self, const struct events_origin *origin,
                      struct om_str prefix, struct om_str usage);

// Add an event of topic "error" with the id "<prefix>/error".
void events_add_error(struct core *self, const struct events_origin *origin,
                      struct om_str prefix, const struct error_event *error);

void on_publish(struct core *self, const struct input *in);

// event.h - events of a task, for the page (events.c) and the stream (follow.c).
#pragma once
#include "sse.h"
#include "tasks.h"

// Append a CHUNK, or a change of the task, as JSON.
void event_put_chunk(struct om_buf *out, const struct om_answer *answer);
void event_put_task(struct exchange *x, int64_t seq, const struct wire_task *task);

// Read the task in an EVENT. False: replied.
bool event_read_task(struct exchange *x, const struct om_answer *answer,
                     struct wire_task *out);

// Ask for what is newer than `after`, for so long.
void event_watch(struct exchange *x, struct om_str task, int64_t after, int64_t ttl_ms,
                 om_answer_fn *fn);

// Answer with a stream of what is newer than an event.
void follow_task(struct exchange *x, struct om_str task, const struct sse_id *after);

// tasks.h - what the files about tasks share.
#pragma once
#include "exchange.h"

// Append a task as JSON; `result` of a complete one, or absent.
void task_put(struct exchange *x, const struct wire_task *task, struct om_str result);

// A question about a task, for the broker.
struct wire_msg task_msg(struct exchange *x, struct om_str task, char *traceparent);

// Ask the broker for a task that the exchange keeps the id of.
void task_ask(struct exchange *x, struct om_str task, om_answer_fn *fn);

// The same, once it has ended, `wait_ms` are over, or the edge stops.
void task_await(struct exchange *x, struct om_str task, int64_t wait_ms,
                om_answer_fn *fn);

// Is it the id of a task? False: replied.
bool task_read_id(struct exchange *x, struct om_str text);

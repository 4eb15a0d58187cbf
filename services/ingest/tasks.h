// tasks.h - what the files about tasks share.
#pragma once
#include "exchange.h"

// Append a task as JSON; `result` of a complete one, or absent.
void task_put(struct exchange *x, const struct wire_task *task, struct om_str result);

// A question about a task, for the broker.
struct wire_msg task_msg(struct exchange *x, struct om_str task, char *traceparent);

// Is it the id of a task? False: replied.
bool task_read_id(struct exchange *x, struct om_str text);

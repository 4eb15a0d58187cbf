// task.h - follows a task until it has ended.
#pragma once
#include "api.h"

// Ask for the task until it has ended or `timeout_ms` are over, showing its progress
// under `label` (NULL: silently). Returns EXIT_DONE with the task in `reply`, whatever
// its end; EXIT_REFUSED or EXIT_UNREACHABLE after a message.
OM_MUST_CHECK int task_follow(struct api *api, const char *id, const char *label,
                              int64_t timeout_ms, struct api_reply *reply);

// The text of a field of a task, or "".
const char *task_text(const struct api_reply *reply, const char *field);

// Did it end well?
bool task_complete(const struct api_reply *reply);

// Say on stderr how and why it did not.
void task_report(const struct api_reply *reply);

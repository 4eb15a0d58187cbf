// commands.h - what each command of `omni` runs, and the little they share.
#pragma once
#include "api.h"

extern const struct args_command commands[];

int cmd_up(const struct args *args);
int cmd_init(const struct args *args);
int cmd_demo(const struct args *args);
int cmd_version(const struct args *args);

// objects.c: of the resource the command's first word names
int cmd_list(const struct args *args);
int cmd_get(const struct args *args);
int cmd_delete(const struct args *args);
int cmd_cancel(const struct args *args);
int cmd_revoke(const struct args *args);
int cmd_verify(const struct args *args);
int cmd_usage(const struct args *args);
int cmd_file_upload(const struct args *args);
int cmd_schedule_create(const struct args *args);

// tenants.c
int cmd_key_create(const struct args *args);
int cmd_key_rotate(const struct args *args);
int cmd_tenant_create(const struct args *args);
int cmd_tenant_set(const struct args *args);
int cmd_tenant_get(const struct args *args);
int cmd_tenant_clock(const struct args *args);
int cmd_tenant_config(const struct args *args);
int cmd_user_create(const struct args *args);
int cmd_user_set(const struct args *args);
int cmd_user_delete(const struct args *args);
int cmd_team_create(const struct args *args);
int cmd_team_set(const struct args *args);

// roles.c
int cmd_role_get(const struct args *args);
int cmd_role_create(const struct args *args);
int cmd_role_set(const struct args *args);
int cmd_role_give(const struct args *args);
int cmd_role_take(const struct args *args);
int cmd_role_who(const struct args *args);

// submit.c
int cmd_submit(const struct args *args);
int cmd_workflow(const struct args *args);

// jobs.c
int cmd_task_wait(const struct args *args);
int cmd_train(const struct args *args);
int cmd_predict(const struct args *args);

// workers.c
int cmd_task_watch(const struct args *args);
int cmd_task_retry(const struct args *args);
int cmd_workers(const struct args *args);
int cmd_worker_drain(const struct args *args);

// status.c
int cmd_status(const struct args *args);

// queues.c
int cmd_queues(const struct args *args);
int cmd_queue_set(const struct args *args);
int cmd_queue_steer(const struct args *args); // pause, resume, purge
int cmd_limits(const struct args *args);
int cmd_limit_set(const struct args *args);
int cmd_limit_tenant(const struct args *args);

// cache.c
int cmd_request_show(const struct args *args);
int cmd_request_replay(const struct args *args);
int cmd_cache_purge(const struct args *args);

// errors.c
int cmd_errors(const struct args *args);
int cmd_error_show(const struct args *args);
int cmd_error_change(const struct args *args); // resolve, ignore, reopen

// trace.c
int cmd_trace(const struct args *args);

// quotas.c
int cmd_quotas(const struct args *args);
int cmd_quota_set(const struct args *args);
int cmd_plans(const struct args *args);
int cmd_plan_set(const struct args *args);

// Print an answer as --json wants it, free it, close, and return `status`.
int finish_object(const struct args *args, struct api **api, struct api_reply *reply,
                  int status);

// The same for the answer to a submit, whose `field` is the task's id: with --wait, wait
// for the task and print that.
int finish_submit(const struct args *args, struct api **api, struct api_reply *reply,
                  int status, const char *field);

// Wait for a task, print it, close. An ended task that did not complete is a failure.
int finish_task(const struct args *args, struct api **api, const char *id,
                int64_t timeout_s);

// JSON from a word of the command line: itself, @FILE, or - for standard input. NULL
// after a message.
json_t *read_json(const char *text);

// The last part of a path; borrowed from it.
const char *base_name(const char *path);

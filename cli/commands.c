#include <stdio.h>

#include "commands.h"

#define LIST_OPTIONS                                                                     \
    { "limit", "N", "how many, 1 to 100 (default 20)" },                                 \
    {                                                                                    \
        "after", "ID", "go on after this one"                                            \
    }
#define WAIT_OPTIONS                                                                     \
    { "wait", NULL, "wait until it has ended, showing its progress" },                   \
    {                                                                                    \
        "timeout", "SECONDS", "wait no longer than that"                                 \
    }

#define LIMIT_OPTIONS                                                                    \
    { "concurrency", "N", "so many jobs at a time; 0: any number" },                     \
    {                                                                                    \
        "rate", "N/TIME", "so many starts in any such time, e.g. 10/s, 100/5m; 0: any"   \
    }

// clang-format off
const struct args_command commands[] = {
    { "up", NULL, "", 0, 0, false,
      "Run all of Omni on this machine until it is told to stop.", cmd_up,
      { { "data", "DIR", "where everything is kept (default: OMNI_DATA, ./data)" },
        { "listen", "HOST:PORT", "address of the interface (default 127.0.0.1:8080); port 0 is any free one" },
        { "workers", "N", "predictions at a time (default: one a core); half as many trainings" } } },
    { "init", NULL, "", 0, 0, false,
      "Make a data folder, and keys for several machines, without starting.", cmd_init,
      { { "data", "DIR", "the data folder (default: ./data)" },
        { "keys", "DIR", "also the keys with which programs know each other over tcp" } } },
    { "demo", NULL, "", 0, 0, false,
      "Show the main job on sample data: train, forecast, usage, audit.", cmd_demo,
      { { "data", "DIR", "data folder (default: one that is removed at the end)" } } },

    { "keys", "create", "NAME", 1, 1, true, "Make an API key; it is shown only this once.", cmd_key_create,
      { { "scopes", "A,B", "what it may do (default: all but operator and worker)" },
        { "days", "N", "how long it is valid (default: until revoked)" } } },
    { "keys", "list", "", 0, 0, true, "List API keys.", cmd_list, { LIST_OPTIONS } },
    { "keys", "revoke", "ID", 1, 1, true, "Revoke an API key for ever.", cmd_revoke, { { 0 } } },

    { "files", "upload", "FILE", 1, 1, true, "Upload a file.", cmd_file_upload,
      { { "purpose", "WORD", "what it is for (default: dataset)" } } },
    { "files", "list", "", 0, 0, true, "List files.", cmd_list, { LIST_OPTIONS } },
    { "files", "get", "ID", 1, 1, true, "Show a file's entry.", cmd_get, { { 0 } } },
    { "files", "delete", "ID", 1, 1, true, "Delete a file.", cmd_delete, { { 0 } } },

    { "train", NULL, "FILE.csv|FILE_ID", 1, 1, true, "Train a model on a column of a CSV file.", cmd_train,
      { { "target", "COLUMN", "the column to forecast" },
        { "model", "MODEL", "what to train (default: revenue-lstm)" },
        { "horizon", "N", "steps it will forecast (default 12)" },
        { "period", "N", "steps in a season (default: found from the data)" },
        { "name", "NAME", "name of the model" },
        { "epochs", "N", "passes over the data" },
        { "hidden", "N", "size of the hidden layer" },
        { "seed", "N", "of the random start" },
        WAIT_OPTIONS } },
    { "predict", NULL, "MODEL", 1, 1, true, "Forecast a time series.", cmd_predict,
      { { "series", "A,B,…", "the values, oldest first" },
        { "file", "FILE.csv", "or a CSV file with them, - for standard input" },
        { "column", "COLUMN", "and its column" },
        { "steps", "N", "how many values to forecast (default 12)" },
        { "model-id", "ID", "a trained model (default: fitted in the call)" },
        { "period", "N", "steps in a season (default: found from the data)" } } },
    { "models", "list", "", 0, 0, true, "List trained models.", cmd_list, { LIST_OPTIONS } },

    { "tasks", "list", "", 0, 0, true, "List tasks.", cmd_list,
      { { "status", "STATUS", "only these: submitted, running, complete, failed, …" },
        { "queue", "QUEUE", "only of this queue" },
        { "kind", "KIND", "only of this kind" },
        { "code", "CODE", "only those that failed with this code" },
        LIST_OPTIONS } },
    { "tasks", "get", "ID", 1, 1, true, "Show a task.", cmd_get, { { 0 } } },
    { "tasks", "wait", "ID", 1, 1, true, "Wait until a task has ended.", cmd_task_wait,
      { { "timeout", "SECONDS", "wait no longer than that" } } },
    { "tasks", "cancel", "ID", 1, 1, true, "Cancel a task.", cmd_cancel, { { 0 } } },
    { "tasks", "watch", "ID", 1, 1, true, "Follow a task: its progress and its partial results.", cmd_task_watch,
      { { "after", "SEQ", "only what is newer than this number" } } },
    { "tasks", "retry", "[ID]", 0, 1, true, "Try a failed task again, or all that match.", cmd_task_retry,
      { { "queue", "QUEUE", "those of this queue" },
        { "kind", "KIND", "those of this kind" },
        { "code", "CODE", "those that failed with this code" },
        { "all", NULL, "all of them" },
        { "limit", "N", "no more than so many, newest first" } } },
    { "submit", NULL, "QUEUE KIND [JSON|@FILE|-] | --batch FILE.jsonl", 0, 3, true,
      "Submit a job to a queue of your own workers, or many at once.", cmd_submit,
      { { "limit-key", "KEY", "the limits of this key apply" },
        { "unique", "KEY", "one job of this key at a time: answered with the one that holds it" },
        { "unique-for", "SECONDS", "the key holds so long after the submit (default: until the job has ended)" },
        { "after", "ID,ID,…", "wait until these tasks have ended" },
        { "run-anyway", NULL, "even if one of them did not succeed" },
        { "delay", "SECONDS", "do not start before" },
        { "expires", "MS", "do not start after, in ms since 1970" },
        { "priority", "0-9", "0 is served first (default: 5)" },
        { "attempts", "N", "how often it is tried (default: 3)" },
        { "soft", "SECONDS", "a run that takes longer is asked to stop" },
        { "hard", "SECONDS", "a run that takes longer fails; 0: never" },
        { "retain", "SECONDS", "its result is kept so long after the end" },
        { "idempotency-key", "KEY", "said again under this key, it is the same job" },
        { "batch", "FILE.jsonl", "a job on each line, as POST /api/v1/tasks takes it; - for standard input" },
        { "atomic", NULL, "of a batch: all jobs, or none if one is refused" },
        WAIT_OPTIONS } },
    { "workflow", NULL, "FILE.json|-", 1, 1, true,
      "Submit jobs that wait for each other: a chain, group, chord or graph.", cmd_workflow,
      { { "idempotency-key", "KEY", "said again under this key, it is the same workflow" },
        WAIT_OPTIONS } },
    { "workers", "drain", "NODE", 1, 1, true, "Tell a worker to finish what it has and leave.", cmd_worker_drain,
      { { "all", NULL, "of any tenant or of the platform (operators)" } } },
    { "workers", NULL, "", 0, 0, true, "Show your workers, and what they hold.", cmd_workers,
      { { "all", NULL, "those of all tenants and of the platform (operators)" } } },
    { "queues", "set", "QUEUE", 1, 1, true, "Limit a queue; what is not given stays.", cmd_queue_set,
      { LIMIT_OPTIONS } },
    { "queues", "pause", "QUEUE", 1, 1, true, "Start no more jobs of a queue.", cmd_queue_steer, { { 0 } } },
    { "queues", "resume", "QUEUE", 1, 1, true, "Start jobs of a queue again.", cmd_queue_steer, { { 0 } } },
    { "queues", "purge", "QUEUE", 1, 1, true, "Cancel all jobs of a queue that have not started.", cmd_queue_steer, { { 0 } } },
    { "queues", NULL, "", 0, 0, true, "Show what goes on in your queues.", cmd_queues,
      { { "watch", "SECONDS", "show it again and again" },
        { "all", NULL, "the platform's queues and those of all tenants (operators)" } } },
    { "limits", "set", "KEY", 1, 1, true, "Limit the jobs that name a limit key.", cmd_limit_set,
      { LIMIT_OPTIONS } },
    { "limits", "tenant", "TENANT", 1, 1, true, "Limit a tenant (operators).", cmd_limit_tenant,
      { { "weight", "N", "turns in a round of the tenants, 1 to 100" },
        { "queue", "QUEUE", "only its part of this queue" },
        LIMIT_OPTIONS } },
    { "limits", NULL, "", 0, 0, true, "Show what is set for you and your limit keys.", cmd_limits, { { 0 } } },
    { "schedules", "create", "CRON QUEUE KIND [JSON|@FILE|-]", 3, 4, true,
      "Submit a job at the times of a cron expression (UTC).", cmd_schedule_create,
      { { "misfire", "POLICY", "of times missed while down: skip, latest or all (default: latest)" } } },
    { "schedules", "list", "", 0, 0, true, "List schedules.", cmd_list, { LIST_OPTIONS } },
    { "schedules", "delete", "ID", 1, 1, true, "Delete a schedule.", cmd_delete, { { 0 } } },

    { "plans", "set", "CODE", 1, 1, true, "Make a plan, or say anew all it allows (operators).", cmd_plan_set,
      { { "name", "NAME", "for people (default: the code)" },
        { "requests", "N", "in any minute (default: any number)" },
        { "tokens", "N", "in any minute (default: any number)" },
        { "concurrent", "N", "requests at a time (default: any number)" },
        { "quotas", "POLICY=N,…", "what is limited in a month, a day or at a time (default: nothing)" } } },
    { "plans", NULL, "", 0, 0, true, "Show the plans.", cmd_plans, { { 0 } } },
    { "quotas", "set", "TENANT POLICY N|plan", 3, 3, true, "Give a tenant a limit of its own (operators).", cmd_quota_set, { { 0 } } },
    { "quotas", NULL, "", 0, 0, true, "Show your quotas, and what is used of them.", cmd_quotas, { { 0 } } },
    { "usage", NULL, "", 0, 0, true, "Show what was used, by meter.", cmd_usage,
      { { "from", "DAY", "2026-11-01 or seconds since 1970 (default: the month's start)" },
        { "to", "DAY", "until before it (default: now)" } } },
    { "audit", "list", "", 0, 0, true, "List the audit log.", cmd_list, { LIST_OPTIONS } },
    { "audit", "verify", "", 0, 0, true, "Check the hash chain of the audit log.", cmd_verify, { { 0 } } },

    { "version", NULL, "", 0, 0, false, "Print the version.", cmd_version, { { 0 } } },
    { "help", NULL, "", 0, 0, false, "List the commands.", NULL, { { 0 } } },
    { 0 },
};
// clang-format on

int
cmd_version(const struct args *args)
{
    (void)args;
    printf("omni %s\n", OMNI_VERSION);
    return EXIT_DONE;
}

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

#define MINUTE_OPTIONS                                                                   \
    { "requests", "N", "so many requests in any minute; 0: no limit of its own" },       \
        { "tokens", "N", "so many tokens in any minute; 0: no limit of its own" },       \
    {                                                                                    \
        "concurrent", "N", "so many requests at a time; 0: no limit of its own"          \
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
        { "test", NULL, "a key of the sandbox, which sees none of the live data" },
        { "user", "ID", "the user it acts for: it may do no more than that user" },
        { "team", "ID", "the team whose limits it counts against" },
        { "models", "A,B", "models it may use (default: any)" },
        { "cidrs", "A,B", "networks it may be used from, e.g. 192.0.2.0/24 (default: any)" },
        MINUTE_OPTIONS,
        { "version", "DAY", "the Omni-Version it is made for" },
        { "days", "N", "how long it is valid (default: until revoked)" } } },
    { "keys", "list", "", 0, 0, true, "List API keys.", cmd_list, { LIST_OPTIONS } },
    { "keys", "get", "ID", 1, 1, true, "Show an API key.", cmd_get, { { 0 } } },
    { "keys", "rotate", "ID", 1, 1, true,
      "Make the successor of an API key; the old one ends by itself.", cmd_key_rotate,
      { { "overlap", "HOURS", "how long both work, 0 to 168 (default 24)" },
        { "days", "N", "how long the new one is valid (default: as the old one)" } } },
    { "keys", "revoke", "ID", 1, 1, true, "Revoke an API key for ever.", cmd_revoke, { { 0 } } },

    { "tenants", "create", "SLUG", 1, 1, true,
      "Make a tenant (operators); its first key is shown only this once.", cmd_tenant_create,
      { { "name", "NAME", "for people (default: the slug)" },
        { "plan", "CODE", "its plan (default: free)" },
        { "region", "NAME", "where its data is to be kept" },
        { "sensitivity", "WORD", "of its data: normal, high or ultra_high" },
        { "prepaid", "yes|no", "it pays before it uses" },
        { "owner", "EMAIL", "its first user, with the role owner" } } },
    { "tenants", "list", "", 0, 0, true, "List tenants (operators).", cmd_list, { LIST_OPTIONS } },
    { "tenants", "get", "[ID]", 0, 1, true, "Show your tenant, or any (operators).", cmd_tenant_get, { { 0 } } },
    { "tenants", "set", "ID", 1, 1, true, "Change a tenant (operators).", cmd_tenant_set,
      { { "plan", "CODE", "its plan" },
        { "state", "WORD", "active, past_due or suspended" },
        { "name", "NAME", "for people" },
        { "region", "NAME", "where its data is to be kept" },
        { "sensitivity", "WORD", "of its data: normal, high or ultra_high" },
        { "prepaid", "yes|no", "it pays before it uses" } } },
    { "tenants", "close", "ID", 1, 1, true, "Close a tenant for ever (operators); its data stays.", cmd_delete, { { 0 } } },
    { "tenants", "config", "[NAME=VALUE ...]", 0, 8, true,
      "Show what can be set for your tenant, or set it; NAME= is the default.", cmd_tenant_config, { { 0 } } },
    { "tenants", "clock", "SECONDS", 1, 1, true, "Set the sandbox's clock ahead (with a test key).", cmd_tenant_clock, { { 0 } } },

    { "users", "create", "EMAIL", 1, 1, true, "Make a user of your tenant.", cmd_user_create,
      { { "name", "NAME", "for people" },
        { "roles", "A,B", "what it may do (default: nothing)" },
        { "team", "ID", "whose limits count" },
        MINUTE_OPTIONS } },
    { "users", "list", "", 0, 0, true, "List users.", cmd_list, { LIST_OPTIONS } },
    { "users", "get", "ID", 1, 1, true, "Show a user, and what it may do.", cmd_get, { { 0 } } },
    { "users", "set", "ID", 1, 1, true, "Change a user; what is not given stays.", cmd_user_set,
      { { "name", "NAME", "for people" },
        { "state", "WORD", "active or suspended" },
        { "team", "ID", "whose limits count; empty for none" },
        MINUTE_OPTIONS } },
    { "users", "delete", "ID", 1, 1, true, "Delete a user, and revoke its keys.", cmd_user_delete, { { 0 } } },

    { "roles", "create", "NAME", 1, 1, true, "Make a role of your tenant's own.", cmd_role_create,
      { { "allow", "A,B", "permissions: scopes, or files:*, *:read, * for several" },
        { "deny", "A,B", "permissions it takes away, whatever allows them" },
        { "description", "TEXT", "who it is for" } } },
    { "roles", "list", "", 0, 0, true, "List roles, and what they amount to.", cmd_list, { { 0 } } },
    { "roles", "get", "NAME", 1, 1, true, "Show a role, and what it amounts to.", cmd_role_get, { { 0 } } },
    { "roles", "set", "NAME", 1, 1, true, "Say anew what a role of your own allows.", cmd_role_set,
      { { "allow", "A,B", "permissions: scopes, or files:*, *:read, * for several" },
        { "deny", "A,B", "permissions it takes away, whatever allows them" },
        { "description", "TEXT", "who it is for" } } },
    { "roles", "delete", "NAME", 1, 1, true, "Delete a role that nobody has.", cmd_delete, { { 0 } } },
    { "roles", "give", "USER ROLE", 2, 2, true, "Give a user a role.", cmd_role_give,
      { { "days", "N", "for how long (default: until it is taken)" } } },
    { "roles", "take", "BINDING", 1, 1, true, "Take a role from a user; omni roles who shows the bindings.", cmd_role_take, { { 0 } } },
    { "roles", "who", "", 0, 0, true, "Show who has which role.", cmd_role_who,
      { { "user", "ID", "only this user's" } } },

    { "teams", "create", "NAME", 1, 1, true, "Make a team: users and keys that share limits.", cmd_team_create,
      { MINUTE_OPTIONS } },
    { "teams", "list", "", 0, 0, true, "List teams.", cmd_list, { LIST_OPTIONS } },
    { "teams", "get", "ID", 1, 1, true, "Show a team.", cmd_get, { { 0 } } },
    { "teams", "set", "ID", 1, 1, true, "Change a team; what is not given stays.", cmd_team_set,
      { { "name", "NAME", "for people" }, MINUTE_OPTIONS } },
    { "teams", "delete", "ID", 1, 1, true, "Delete a team that nobody is in.", cmd_delete, { { 0 } } },

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
    { "cache", "purge", "", 0, 0, true, "Forget answers that are cached.", cmd_cache_purge,
      { { "model", "MODEL", "only of this model, by its name or the id of a version" },
        { "key-of", "HEX", "only the one with this x-cache-key" },
        { "tenant", "ID", "of this tenant (operators)" } } },
    { "requests", "show", "ID", 1, 1, true, "Show a request that failed, without its secrets.", cmd_request_show, { { 0 } } },
    { "requests", "replay", "ID", 1, 1, true, "Run a request that failed again, in the sandbox.", cmd_request_replay,
      { { "idempotency-key", "KEY", "said again under this key, it is not run again" } } },
    { "requests", NULL, "", 0, 0, true, "List requests that failed.", cmd_list,
      { { "status", "STATUS", "only these: 404, 4xx or 5xx" },
        { "route", "PATH", "only of this path, as in /openapi.json" },
        { "code", "CODE", "only with this code" },
        { "client-id", "ID", "only with this x-request-id of the client's" },
        { "since", "MS", "only that came then or later, in ms since 1970" },
        LIST_OPTIONS } },
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

#include <pthread.h>
#include <stdio.h>

#include "blob.h"
#include "route.h"

enum {
    SMALL = 64 * 1024,
    // A form's parts and boundaries come on top of the file.
    UPLOAD = OM_BLOB_BYTES_MAX + 64 * 1024,
};

// Every request counts as a call; `Q` names what a route takes beside that.
#define R(method_, pattern_, scope_, op_, status_, ...)                                  \
    {                                                                                    \
        .method = OM_HTTP_##method_, .pattern = pattern_, .scope = SCOPE_##scope_,       \
        .op = op_, .status = status_, __VA_ARGS__                                        \
    }
#define Q(symbol) QUOTA_BIT(symbol)
#define OP_NONE   OP_COUNT
// Who may use the platform is changed only when that is in the audit log.
#define CHANGES (ROUTE_MUTATES | ROUTE_PRIVILEGED)
#define JOBS    (ROUTE_MUTATES | ROUTE_COSTS | ROUTE_JOBS)

// clang-format off
const struct route routes[] = {
    // files
    R(POST, "/v1/files", FILES_WRITE, OP_file_create, 201, .flags = ROUTE_MUTATES | ROUTE_COSTS,
      .on_head = file_upload_head, .on_body = file_upload_body,
      .on_request = file_upload_end, .body_max = UPLOAD, .action = "files.create",
      .quotas = Q(STORAGE),
      .doc = "Upload a file: multipart/form-data with the parts file and purpose"),
    R(GET, "/v1/files", FILES_READ, OP_file_list, 200, .doc = "List files, newest first"),
    R(GET, "/v1/files/{id}", FILES_READ, OP_file_get, 200, .param = "id",
      .doc = "One file"),
    R(GET, "/v1/files/{id}/content", FILES_READ, OP_file_get, 200, .param = "id",
      .on_request = file_content, .action = "files.read", .doc = "The bytes of a file"),
    R(DELETE, "/v1/files/{id}", FILES_WRITE, OP_file_delete, 200, .flags = ROUTE_MUTATES,
      .param = "id", .action = "files.delete", .doc = "Delete a file"),

    // models
    R(POST, "/api/v1/train/custom-model", TRAIN, OP_train, 202,
      .flags = JOBS | ROUTE_BODY, .reply = &task_accepted_rec,
      .on_request = train_submit, .action = "models.train",
      .quotas = Q(MODELS) | Q(COMPUTE),
      .doc = "Train a model on a column of an uploaded CSV file"),
    R(GET, "/api/v1/models", MODELS_READ, OP_model_list, 200,
      .doc = "List model versions, newest first"),
    R(GET, "/api/v1/models/{id}", MODELS_READ, OP_model_get, 200, .param = "id",
      .cache = { .ttl_s = 300 }, .doc = "One model version, which never changes"),
    R(POST, "/api/v1/predict/{model}", PREDICT, OP_predict, 200,
      .flags = ROUTE_BODY | ROUTE_COSTS | ROUTE_MODEL | ROUTE_PARTS,
      .on_request = predict, .quotas = Q(INFERENCE) | Q(COMPUTE), .cache = { .ttl_s = 1800 },
      .doc = "Forecast a time series"),

    // the cache of answers
    R(POST, "/api/v1/cache/purge", PREDICT, OP_NONE, 200,
      .flags = ROUTE_MUTATES | ROUTE_BODY, .request = &cache_purge_rec,
      .reply = &cache_purged_rec, .on_request = cache_purge_own, .body_max = SMALL,
      .action = "cache.purge", .doc = "Forget answers that are cached: all, or those that match"),
    R(POST, "/api/v1/admin/tenants/{id}/cache/purge", OPERATOR, OP_NONE, 200,
      .flags = ROUTE_MUTATES | ROUTE_BODY, .request = &cache_purge_rec,
      .reply = &cache_purged_rec, .on_request = cache_purge_admin, .body_max = SMALL,
      .action = "cache.purge", .doc = "The same for a tenant"),

    // tasks
    R(GET, "/api/v1/tasks", TASKS_READ, OP_NONE, 200, .request = &task_list_query_rec,
      .reply = &task_page_rec, .on_request = task_list,
      .doc = "List tasks, newest first, without their results"),
    R(POST, "/api/v1/tasks", TASKS_WRITE, OP_NONE, 202,
      .flags = JOBS | ROUTE_BODY, .request = &task_create_rec,
      .also = 200, .reply = &task_accepted_rec, .on_request = task_submit, .action = "tasks.create",
      .doc = "Submit a job to a queue of your own, for your own workers"),
    R(POST, "/api/v1/tasks/batch", TASKS_WRITE, OP_NONE, 202,
      .flags = JOBS | ROUTE_BODY, .request = &task_batch_rec,
      .also = 200, .reply = &task_batch_reply_rec, .on_request = task_submit_batch,
      .action = "tasks.create_batch",
      .doc = "Submit up to 1,000 jobs; 200 if some were refused"),
    R(POST, "/api/v1/workflows", TASKS_WRITE, OP_NONE, 202,
      .flags = JOBS | ROUTE_BODY, .request = &workflow_create_rec,
      .reply = &workflow_accepted_rec, .on_request = workflow_submit,
      .action = "workflows.create",
      .doc = "Submit jobs that wait for each other: all of them or none"),
    R(GET, "/api/v1/tasks/{id}", TASKS_READ, OP_NONE, 200, .param = "id",
      .request = &task_query_rec, .reply = &task_item_rec, .on_request = task_get,
      .doc = "One task; with wait, once it has ended or the time is over"),
    R(GET, "/api/v1/tasks/{id}/events", TASKS_READ, OP_NONE, 200, .param = "id",
      .flags = ROUTE_EVENTS, .request = &event_query_rec, .reply = &event_page_rec,
      .on_request = task_events,
      .doc = "A task's changes and partial results after a number; with wait, as soon as "
             "there is one; as text/event-stream, as they happen"),
    R(POST, "/api/v1/tasks/retry", TASKS_WRITE, OP_NONE, 202,
      .flags = ROUTE_MUTATES | ROUTE_COSTS | ROUTE_BODY, .request = &retry_request_rec,
      .reply = &retry_reply_rec, .on_request = task_retry_many, .body_max = SMALL,
      .action = "tasks.retry", .doc = "Try the failed tasks that match again"),
    R(POST, "/api/v1/tasks/{id}/cancel", TASKS_WRITE, OP_NONE, 202,
      .flags = ROUTE_MUTATES, .param = "id", .reply = &task_accepted_rec,
      .on_request = task_cancel, .action = "tasks.cancel", .doc = "Cancel a task"),
    R(POST, "/api/v1/tasks/{id}/retry", TASKS_WRITE, OP_NONE, 202, .flags = ROUTE_MUTATES | ROUTE_COSTS,
      .param = "id", .reply = &task_accepted_rec, .on_request = task_retry,
      .action = "tasks.retry", .doc = "Try a failed task again"),

    // queues
    R(GET, "/api/v1/queues", QUEUES_READ, OP_NONE, 200, .reply = &queue_page_rec,
      .on_request = queue_list, .doc = "What goes on in the queues you have jobs in"),
    R(GET, "/api/v1/queues/{queue}", QUEUES_READ, OP_NONE, 200, .reply = &queue_item_rec,
      .on_request = queue_get, .doc = "One queue"),
    R(PUT, "/api/v1/queues/{queue}", QUEUES_WRITE, OP_NONE, 200,
      .flags = ROUTE_MUTATES | ROUTE_BODY, .request = &queue_settings_rec,
      .reply = &queue_item_rec, .on_request = queue_set, .body_max = SMALL,
      .action = "queues.set",
      .doc = "Limit or pause a queue of your own; what is not named stays"),
    R(POST, "/api/v1/queues/{queue}/pause", QUEUES_WRITE, OP_NONE, 200,
      .flags = ROUTE_MUTATES, .reply = &queue_item_rec, .on_request = queue_pause,
      .action = "queues.pause", .doc = "Start no more jobs; those that run go on"),
    R(POST, "/api/v1/queues/{queue}/resume", QUEUES_WRITE, OP_NONE, 200,
      .flags = ROUTE_MUTATES, .reply = &queue_item_rec, .on_request = queue_resume,
      .action = "queues.resume", .doc = "Start jobs again"),
    R(POST, "/api/v1/queues/{queue}/purge", QUEUES_WRITE, OP_NONE, 202,
      .flags = ROUTE_MUTATES, .reply = &queue_item_rec, .on_request = queue_purge,
      .action = "queues.purge",
      .doc = "Cancel all jobs that have not started; GET shows what is left"),
    R(GET, "/api/v1/limits", QUEUES_READ, OP_NONE, 200, .reply = &limit_page_rec,
      .on_request = limit_list, .doc = "What is set for you and your limit keys"),
    R(GET, "/api/v1/limits/{key}", QUEUES_READ, OP_NONE, 200, .reply = &limit_item_rec,
      .on_request = limit_get, .doc = "One limit key"),
    R(PUT, "/api/v1/limits/{key}", QUEUES_WRITE, OP_NONE, 200,
      .flags = ROUTE_MUTATES | ROUTE_BODY, .request = &limit_settings_rec,
      .reply = &limit_item_rec, .on_request = limit_set, .body_max = SMALL,
      .action = "limits.set",
      .doc = "Limit the jobs that name this limit_key; what is not named stays"),
    R(GET, "/api/v1/admin/queues", OPERATOR, OP_NONE, 200, .request = &queue_query_rec,
      .reply = &queue_page_rec, .on_request = admin_queue_list,
      .doc = "The platform's queues, then those parts of tenants with most jobs"),
    R(GET, "/api/v1/admin/tenants/{id}/limits", OPERATOR, OP_NONE, 200,
      .reply = &limit_page_rec, .on_request = admin_limit_list,
      .doc = "What is set for a tenant and its limit keys"),
    R(PUT, "/api/v1/admin/tenants/{id}/limits", OPERATOR, OP_NONE, 200,
      .flags = ROUTE_MUTATES | ROUTE_PRIVILEGED | ROUTE_BODY,
      .request = &tenant_settings_rec, .reply = &limit_item_rec, .other = &queue_item_rec,
      .on_request = admin_tenant_set, .body_max = SMALL, .action = "tenants.limit",
      .doc = "Set a tenant's weight and limits; with queue those of its part, and show that"),

    // workers
    R(GET, "/api/v1/workers", QUEUES_READ, OP_NONE, 200, .reply = &worker_page_rec,
      .on_request = worker_list, .doc = "Your own workers, and what they hold"),
    R(POST, "/api/v1/workers/{node}/drain", QUEUES_WRITE, OP_NONE, 202,
      .flags = ROUTE_MUTATES, .reply = &worker_page_rec, .on_request = worker_drain,
      .action = "workers.drain",
      .doc = "Tell a worker of yours to take no new work, finish and leave"),
    R(GET, "/api/v1/admin/workers", OPERATOR, OP_NONE, 200, .reply = &worker_page_rec,
      .on_request = admin_worker_list, .doc = "All workers, and what they hold"),
    R(POST, "/api/v1/admin/workers/{node}/drain", OPERATOR, OP_NONE, 202,
      .flags = ROUTE_MUTATES | ROUTE_PRIVILEGED, .reply = &worker_page_rec,
      .on_request = admin_worker_drain, .action = "workers.drain",
      .doc = "Tell any worker to take no new work, finish and leave"),

    // schedules
    R(POST, "/api/v1/schedules", SCHEDULES_WRITE, OP_schedule_create, 201,
      .flags = ROUTE_MUTATES | ROUTE_COSTS | ROUTE_BODY, .action = "schedules.create",
      .doc = "Submit a job at the times of a cron expression"),
    R(GET, "/api/v1/schedules", SCHEDULES_READ, OP_schedule_list, 200,
      .doc = "List schedules, newest first"),
    R(DELETE, "/api/v1/schedules/{id}", SCHEDULES_WRITE, OP_schedule_delete, 200,
      .flags = ROUTE_MUTATES, .param = "id", .action = "schedules.delete",
      .doc = "Delete a schedule"),

    // usage and audit
    R(GET, "/api/v1/usage", USAGE_READ, OP_usage_query, 200, .doc = "Usage by meter"),
    R(GET, "/api/v1/plans", USAGE_READ, OP_plan_list, 200, .doc = "The plans there are"),
    R(PUT, "/api/v1/admin/plans/{code}", OPERATOR, OP_plan_set, 200,
      .flags = ROUTE_MUTATES | ROUTE_PRIVILEGED | ROUTE_BODY, .param = "code",
      .on_request = admin_plan_set, .body_max = SMALL, .action = "plans.set",
      .doc = "Make a plan, or say anew all it allows"),
    R(GET, "/api/v1/quotas", USAGE_READ, OP_quota_list, 200, .on_request = quota_list,
      .doc = "Your quotas, and what is used of them"),
    R(GET, "/api/v1/admin/tenants/{id}/quotas/{policy}", OPERATOR, OP_NONE, 200,
      .reply = &quota_item_rec, .on_request = admin_quota_get,
      .doc = "A quota of a tenant, and what is used of it"),
    R(PUT, "/api/v1/admin/tenants/{id}/quotas/{policy}", OPERATOR, OP_quota_set, 200,
      .flags = ROUTE_MUTATES | ROUTE_PRIVILEGED | ROUTE_BODY, .on_request = admin_quota_set,
      .body_max = SMALL, .action = "quotas.set",
      .doc = "Give a tenant a limit of its own; without limit that of its plan again"),
    R(GET, "/api/v1/compliance/audit", AUDIT_READ, OP_audit_list, 200,
      .action = "audit.read", .doc = "The audit log, newest first"),
    R(POST, "/api/v1/compliance/audit/verify", AUDIT_READ, OP_audit_verify, 200,
      .action = "audit.verify", .doc = "Check the hash chain of the audit log"),

    // keys
    R(POST, "/developer/keys", KEYS_WRITE, OP_key_create, 201, .flags = CHANGES | ROUTE_BODY,
      .body_max = SMALL, .action = "keys.create",
      .doc = "Make an API key; it is shown only in this answer"),
    R(GET, "/developer/keys", KEYS_READ, OP_key_list, 200, .action = "keys.list",
      .doc = "List API keys, newest first"),
    R(GET, "/developer/keys/{id}", KEYS_READ, OP_key_get, 200, .param = "id",
      .doc = "One API key"),
    R(POST, "/developer/keys/{id}/rotate", KEYS_WRITE, OP_key_rotate, 201,
      .flags = CHANGES | ROUTE_BODY, .param = "id", .body_max = SMALL,
      .action = "keys.rotate",
      .doc = "Make the successor of an API key, which ends after a time of overlap"),
    R(POST, "/developer/keys/{id}/revoke", KEYS_WRITE, OP_key_revoke, 200,
      .flags = CHANGES, .param = "id", .action = "keys.revoke",
      .doc = "Revoke an API key for ever"),

    // requests that failed
    R(GET, "/developer/requests", REQUESTS_READ, OP_request_list, 200,
      .doc = "Requests that failed, newest first"),
    R(GET, "/developer/requests/{id}", REQUESTS_READ, OP_request_get, 200, .param = "id",
      .action = "requests.read", .doc = "One request that failed, without its secrets"),
    R(POST, "/developer/requests/{id}/replay", REQUESTS_REPLAY, OP_NONE, 200,
      .flags = ROUTE_MUTATES, .reply = &replay_item_rec, .on_request = request_replay,
      .body_max = SMALL, .action = "requests.replay",
      .doc = "Run a request that failed again, in the sandbox"),

    // groups of errors
    R(GET, "/api/v1/errors", ERRORS_READ, OP_error_list, 200,
      .doc = "Errors that came up, grouped, the newest group first"),
    R(GET, "/api/v1/errors/{id}", ERRORS_READ, OP_error_get, 200, .param = "id",
      .flags = ROUTE_ETAG, .doc = "One group of errors, with its newest samples"),
    R(POST, "/api/v1/errors/{id}/resolve", ERRORS_WRITE, OP_error_resolve, 200,
      .flags = ROUTE_MUTATES | ROUTE_ETAG, .param = "id", .action = "errors.resolve",
      .doc = "Say that an error is dealt with; it is open again when it comes again"),
    R(POST, "/api/v1/errors/{id}/ignore", ERRORS_WRITE, OP_error_ignore, 200,
      .flags = ROUTE_MUTATES | ROUTE_ETAG, .param = "id", .action = "errors.ignore",
      .doc = "Have an error counted and no more"),
    R(POST, "/api/v1/errors/{id}/reopen", ERRORS_WRITE, OP_error_reopen, 200,
      .flags = ROUTE_MUTATES | ROUTE_ETAG, .param = "id", .action = "errors.reopen",
      .doc = "Have a group open again that was resolved or ignored"),
    R(GET, "/api/v1/admin/errors", OPERATOR, OP_error_list_all, 200,
      .doc = "Errors of the platform, of all tenants; not those of tenants' own queues"),
    R(GET, "/api/v1/admin/errors/{id}", OPERATOR, OP_error_get_any, 200, .param = "id",
      .flags = ROUTE_ETAG, .doc = "One of those, with its newest samples"),

    // the tenant itself
    R(GET, "/api/v1/tenants/me", TENANTS_READ, OP_tenant_show, 200, .flags = ROUTE_ETAG,
      .doc = "Your own tenant, and what is set for it"),
    R(PATCH, "/api/v1/tenants/me", TENANTS_WRITE, OP_tenant_patch, 200,
      .flags = CHANGES | ROUTE_BODY | ROUTE_ETAG, .body_max = SMALL,
      .action = "tenants.patch",
      .doc = "Change your tenant's name or settings, or with a test key the sandbox's clock"),
    R(GET, "/api/v1/tenants/me/config", TENANTS_READ, OP_config_get, 200,
      .flags = ROUTE_ETAG, .doc = "What is set for your tenant, and what can be set"),
    R(PUT, "/api/v1/tenants/me/config", TENANTS_WRITE, OP_config_put, 200,
      .flags = CHANGES | ROUTE_BODY | ROUTE_ETAG, .body_max = SMALL,
      .action = "tenants.config", .doc = "Set all that is set for your tenant"),

    // all tenants, for operators
    R(POST, "/api/v1/admin/tenants", OPERATOR, OP_tenant_create, 201,
      .flags = CHANGES | ROUTE_BODY, .on_request = tenant_change, .body_max = SMALL,
      .action = "tenants.create",
      .doc = "Make a tenant; its first key is shown only in this answer"),
    R(GET, "/api/v1/admin/tenants", OPERATOR, OP_tenant_list, 200,
      .doc = "List tenants, newest first"),
    R(GET, "/api/v1/admin/tenants/{id}", OPERATOR, OP_tenant_get, 200,
      .flags = ROUTE_ETAG, .param = "id", .doc = "One tenant"),
    R(PATCH, "/api/v1/admin/tenants/{id}", OPERATOR, OP_tenant_update, 200,
      .flags = CHANGES | ROUTE_BODY | ROUTE_ETAG, .param = "id",
      .on_request = tenant_change, .body_max = SMALL, .action = "tenants.update",
      .doc = "Change a tenant's name, plan, state, region, sensitivity or prepayment"),
    R(DELETE, "/api/v1/admin/tenants/{id}", OPERATOR, OP_tenant_close, 200,
      .flags = CHANGES, .param = "id", .action = "tenants.close",
      .doc = "Close a tenant for ever; its data stays"),

    // users, roles and teams
    R(POST, "/api/v1/admin/users", USERS_WRITE, OP_user_create, 201,
      .flags = CHANGES | ROUTE_BODY, .body_max = SMALL, .action = "users.create",
      .doc = "Make a user, or take one in who is another tenant's too"),
    R(GET, "/api/v1/admin/users", USERS_READ, OP_user_list, 200, .action = "users.list",
      .doc = "List users, newest first"),
    R(GET, "/api/v1/admin/users/{id}", USERS_READ, OP_user_get, 200, .param = "id",
      .action = "users.read", .doc = "One user, and what it may do"),
    R(PATCH, "/api/v1/admin/users/{id}", USERS_WRITE, OP_user_update, 200,
      .flags = CHANGES | ROUTE_BODY, .param = "id", .body_max = SMALL,
      .action = "users.update", .doc = "Change a user's name, state, team or limits"),
    R(POST, "/api/v1/admin/users/{id}/delete", USERS_DELETE, OP_user_delete, 200,
      .flags = CHANGES, .param = "id", .action = "users.delete",
      .doc = "Delete a user, and revoke the keys that act for it"),
    R(POST, "/api/v1/admin/roles", ROLES_WRITE, OP_role_create, 201,
      .flags = CHANGES | ROUTE_BODY, .body_max = SMALL, .action = "roles.create",
      .doc = "Make a role of your own"),
    R(GET, "/api/v1/admin/roles", ROLES_READ, OP_role_list, 200,
      .doc = "List roles: those of every tenant, then your own"),
    R(GET, "/api/v1/admin/roles/{id}", ROLES_READ, OP_role_get, 200, .param = "id",
      .doc = "One role, and what it amounts to"),
    R(PUT, "/api/v1/admin/roles/{id}", ROLES_WRITE, OP_role_update, 200,
      .flags = CHANGES | ROUTE_BODY, .param = "id", .body_max = SMALL,
      .action = "roles.update", .doc = "Say anew what a role of your own allows"),
    R(DELETE, "/api/v1/admin/roles/{id}", ROLES_WRITE, OP_role_delete, 200,
      .flags = CHANGES, .param = "id", .action = "roles.delete",
      .doc = "Delete a role that nobody has"),
    R(POST, "/api/v1/admin/bindings", ROLES_WRITE, OP_binding_create, 201,
      .flags = CHANGES | ROUTE_BODY, .body_max = SMALL, .action = "roles.give",
      .doc = "Give a user a role, or change when it ends"),
    R(GET, "/api/v1/admin/bindings", ROLES_READ, OP_binding_list, 200,
      .doc = "Who has which role, newest first"),
    R(DELETE, "/api/v1/admin/bindings/{id}", ROLES_WRITE, OP_binding_delete, 200,
      .flags = CHANGES, .param = "id", .action = "roles.take",
      .doc = "Take a role from a user"),
    R(POST, "/api/v1/admin/teams", USERS_WRITE, OP_team_create, 201,
      .flags = CHANGES | ROUTE_BODY, .body_max = SMALL, .action = "teams.create",
      .doc = "Make a team"),
    R(GET, "/api/v1/admin/teams", USERS_READ, OP_team_list, 200,
      .doc = "List teams, newest first"),
    R(GET, "/api/v1/admin/teams/{id}", USERS_READ, OP_team_get, 200, .param = "id",
      .doc = "One team"),
    R(PATCH, "/api/v1/admin/teams/{id}", USERS_WRITE, OP_team_update, 200,
      .flags = CHANGES | ROUTE_BODY, .param = "id", .body_max = SMALL,
      .action = "teams.update", .doc = "Change a team's name or limits"),
    R(DELETE, "/api/v1/admin/teams/{id}", USERS_WRITE, OP_team_delete, 200,
      .flags = CHANGES, .param = "id", .action = "teams.delete",
      .doc = "Delete a team that nobody is in"),

    // workers that share no directory with this machine
    R(GET, "/internal/blobs/{owner}/{tenant}/{id}", WORKER, OP_NONE, 200,
      .auth = AUTH_GRANT, .on_request = transfer_get, .doc = "Read a blob"),
    R(PUT, "/internal/blobs/{owner}/{tenant}/{id}", WORKER, OP_NONE, 200,
      .auth = AUTH_GRANT, .reply = &blob_written_rec, .on_head = transfer_put_head,
      .on_body = transfer_put_body, .on_request = transfer_put_end,
      .body_max = OM_BLOB_BYTES_MAX, .doc = "Write a blob"),

    // the edge itself
    R(GET, "/healthz", ALL, OP_NONE, 200, .auth = AUTH_NONE, .on_request = show_health,
      .doc = "Is the process alive?"),
    R(GET, "/readyz", ALL, OP_NONE, 200, .auth = AUTH_NONE, .on_request = show_ready,
      .doc = "Can requests be served? 503 until then"),
    R(GET, "/openapi.json", ALL, OP_NONE, 200, .auth = AUTH_NONE,
      .on_request = show_openapi, .doc = "This document"),
    R(GET, "/status", ALL, OP_status_get, 200, .auth = AUTH_NONE,
      .on_request = show_status,
      .doc = "How the platform does and has done: JSON, or a page for browsers"),
    R(GET, "/metrics", OPERATOR, OP_NONE, 200, .on_request = show_metrics,
      .doc = "Counters, as Prometheus text"),
};
// clang-format on

const size_t route_count = OM_COUNT(routes);

// What a request must have for a pattern to be worth a look: most are put aside by their
// number of segments or by its first ones.
enum { LITERALS = 3 };

struct shape {
    size_t segments;
    struct om_str literals[LITERALS]; // data == NULL: a parameter, or none
};

static struct shape shapes[OM_COUNT(routes)];

static void
make_shapes(void)
{
    for (size_t i = 0; i < route_count; i++) {
        const char *at = routes[i].pattern;
        for (; *at == '/'; shapes[i].segments++) {
            struct om_str one = { at + 1, strcspn(at + 1, "/") };
            if (shapes[i].segments < LITERALS && *one.data != '{')
                shapes[i].literals[shapes[i].segments] = one;
            at += one.size + 1;
        }
    }
}

static bool
fits(const struct om_http_request *request, const struct shape *shape)
{
    if (request->segment_count != shape->segments)
        return false;
    for (size_t i = shape->segments < LITERALS ? shape->segments : LITERALS; i-- > 0;)
        if (shape->literals[i].data &&
            !om_str_eq(shape->literals[i], request->segments[i]))
            return false;
    return true;
}

static size_t
parameters(const struct route *route)
{
    size_t count = 0;
    for (const char *at = route->pattern; (at = strchr(at, '{')); at++)
        count++;
    return count;
}

const struct route *
route_find(const struct om_http_request *request, struct om_str params[ROUTE_PARAMS_MAX],
           char *allow, size_t allow_size)
{
    enum om_http_method method =
        request->method == OM_HTTP_HEAD ? OM_HTTP_GET : request->method;
    size_t size = 0, fewest = ROUTE_PARAMS_MAX + 1;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_shapes);
    allow[0] = '\0';
    for (size_t i = 0; i < route_count; i++) {
        if (!fits(request, &shapes[i]) ||
            !om_http_match(request, routes[i].pattern, params, ROUTE_PARAMS_MAX))
            continue;
        if (routes[i].method == method)
            return &routes[i];
        size_t open = parameters(&routes[i]);
        if (open < fewest)
            size = 0; // "/tasks/batch" is itself before it is an {id} of "/tasks/{id}"
        fewest = open < fewest ? open : fewest;
        if (open == fewest && size < allow_size)
            size +=
                (size_t)snprintf(allow + size, allow_size - size, "%s%s%s",
                                 size ? ", " : "", om_http_method_name(routes[i].method),
                                 routes[i].method == OM_HTTP_GET ? ", HEAD" : "");
    }
    return NULL;
}

const struct rec *
route_request(const struct route *route)
{
    if (route->request || route->op == OP_NONE || route->on_body)
        return route->request;
    return ops[route->op].request;
}

const struct rec *
route_reply(const struct route *route)
{
    bool bytes = route->on_request == file_content;
    if (route->reply || route->op == OP_NONE || bytes)
        return route->reply;
    return ops[route->op].reply;
}

// records.h - what routes without an operation of their own read and show.
#pragma once
#include "ops.h"

#define TASK_CREATE(F, M)                                                                \
    F(M, STR, queue, REQUIRED, 1, 64, NULL, "a queue of your own: [a-z][a-z0-9_-]*")     \
    F(M, STR, kind, REQUIRED, 1, 64, NULL, "kind of job, for the worker")                \
    F(M, MAP, payload, OPTIONAL, 0, 1000, NULL, "given to the worker as JSON")           \
    F(M, I64, priority, OPTIONAL, 0, 9, NULL, "0 is served first; 5 if absent")          \
    F(M, I64, max_attempts, OPTIONAL, 1, 100, NULL, "3 if absent")                       \
    F(M, STR, limit_key, OPTIONAL, 1, 128, NULL, "the limits of this key apply")         \
    F(M, I64, delay_ms, OPTIONAL, 0, 1e12, NULL, "not started for so long")              \
    F(M, I64, due_ms, OPTIONAL, 0, 9e15, NULL, "not started before, ms since 1970")      \
    F(M, I64, expires_ms, OPTIONAL, 0, 9e15, NULL, "not started after, ms since 1970")   \
    F(M, I64, soft_ms, OPTIONAL, 0, 9e15, NULL, "asked to stop after so long a run")     \
    F(M, I64, hard_ms, OPTIONAL, 0, 9e15, NULL, "failed as timeout after; 0: never")     \
    F(M, I64, retain_ms, OPTIONAL, 0, 9e15, NULL, "its result is kept so long")          \
    F(M, MAP, unique, OPTIONAL, 1, 2, NULL,                                              \
      "key and for_ms: one job of the key at a time, or within for_ms of its submit")    \
    F(M, STRS, depends_on, OPTIONAL, 0, 256, NULL, "tasks that must have ended before")  \
    F(M, BOOL, run_anyway, OPTIONAL, 0, 1, NULL,                                         \
      "it runs even if one of depends_on did not succeed; else it is cancelled then")
REC_DECLARE(task_create, TASK_CREATE);

#define UNIQUE_KEY(F, M)                                                                 \
    F(M, STR, key, REQUIRED, 1, 128, NULL, "one job of this key at a time")              \
    F(M, I64, for_ms, OPTIONAL, 0, 9e12, NULL,                                           \
      "the key holds so long after the submit; until the job has ended if absent")
REC_DECLARE(unique_key, UNIQUE_KEY);

#define TASK_BATCH(F, M)                                                                 \
    F(M, RECS, jobs, REQUIRED, 1, 1000, &task_create_rec, "the jobs")                    \
    F(M, BOOL, atomic, OPTIONAL, 0, 1, NULL, "all of them, or none if one is refused")
REC_DECLARE(task_batch, TASK_BATCH);

#define TASK_BATCH_ITEM(F, M)                                                            \
    F(M, I64, status, REQUIRED, 200, 599, NULL, "as the job alone would be answered")    \
    F(M, STR, task_id, OPTIONAL, 1, 48, NULL, "of a job that was taken")                 \
    F(M, BOOL, duplicate, OPTIONAL, 0, 1, NULL, "the task holds its unique key already") \
    F(M, MAP, error, OPTIONAL, 0, 4, NULL, "of a job that was refused")
REC_DECLARE(task_batch_item, TASK_BATCH_ITEM);

#define TASK_BATCH_REPLY(F, M)                                                           \
    F(M, STR, object, REQUIRED, 5, 5, NULL, "always batch")                              \
    F(M, RECS, data, REQUIRED, 1, 1000, &task_batch_item_rec, "in the jobs' order")      \
    F(M, I64, accepted, REQUIRED, 0, 1000, NULL, "jobs that were taken")                 \
    F(M, I64, refused, REQUIRED, 0, 1000, NULL, "jobs that were not")
REC_DECLARE(task_batch_reply, TASK_BATCH_REPLY);

#define WORKFLOW_NAME(F, M)                                                              \
    F(M, STR, name, REQUIRED, 1, 64, NULL, "unique in the workflow")                     \
    F(M, STRS, after, OPTIONAL, 0, 256, NULL, "names of tasks that it waits for")
REC_DECLARE(workflow_name, WORKFLOW_NAME);

#define WORKFLOW_TASK(F, M) WORKFLOW_NAME(F, M) TASK_CREATE(F, M)
REC_DECLARE(workflow_task, WORKFLOW_TASK);

#define WORKFLOW_CREATE(F, M)                                                            \
    F(M, RECS, chain, OPTIONAL, 1, 1000, &task_create_rec, "jobs, one after the other")  \
    F(M, RECS, group, OPTIONAL, 1, 1000, &task_create_rec, "jobs side by side")          \
    F(M, MAP, chord, OPTIONAL, 1, 2, NULL,                                               \
      "group: up to 256 jobs side by side; then: the job that follows them all")         \
    F(M, RECS, tasks, OPTIONAL, 1, 1000, &workflow_task_rec, "jobs with names")
REC_DECLARE(workflow_create, WORKFLOW_CREATE);

#define WORKFLOW_CHORD(F, M)                                                             \
    F(M, RECS, group, REQUIRED, 1, 256, &task_create_rec, "jobs side by side")           \
    F(M, MAP, then, REQUIRED, 1, 64, NULL, "the job that follows them all")
REC_DECLARE(workflow_chord, WORKFLOW_CHORD);

#define WORKFLOW_MEMBER(F, M)                                                            \
    F(M, STR, name, REQUIRED, 1, 64, NULL, "given, or its number; then: of a chord")     \
    F(M, STR, task_id, REQUIRED, 1, 48, NULL, "task id")
REC_DECLARE(workflow_member, WORKFLOW_MEMBER);

#define WORKFLOW_ACCEPTED(F, M)                                                          \
    F(M, STR, object, REQUIRED, 8, 8, NULL, "always workflow")                           \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "of the last task")                             \
    F(M, RECS, tasks, REQUIRED, 1, 1000, &workflow_member_rec, "all of them")
REC_DECLARE(workflow_accepted, WORKFLOW_ACCEPTED);

#define TASK_QUERY(F, M)                                                                 \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "task id")                                      \
    F(M, I64, wait, OPTIONAL, 0, 60, NULL, "seconds to wait for the task to end")
REC_DECLARE(task_query, TASK_QUERY);

#define TASK_LIST_QUERY(F, M)                                                            \
    LIST_REQUEST(F, M)                                                                   \
    F(M, STR, status, OPTIONAL, 1, 16, NULL, "only tasks of this status")                \
    F(M, STR, queue, OPTIONAL, 1, 64, NULL, "only of this queue")                        \
    F(M, STR, kind, OPTIONAL, 1, 64, NULL, "only of this kind")                          \
    F(M, STR, code, OPTIONAL, 1, 64, NULL, "only those that failed with this code")
REC_DECLARE(task_list_query, TASK_LIST_QUERY);

#define TASK_ACCEPTED(F, M)                                                              \
    F(M, STR, task_id, REQUIRED, 1, 48, NULL, "task id")                                 \
    F(M, STR, status, OPTIONAL, 1, 16, NULL,                                             \
      "of the task: submitted, or scheduled if it waits for its time; of the holder of " \
      "a unique key its own, if it is known at once")                                    \
    F(M, BOOL, cancel_requested, OPTIONAL, 0, 1, NULL, "its cancel is on disk")          \
    F(M, STR, check_url, REQUIRED, 1, 128, NULL, "where to ask for its result")          \
    F(M, BOOL, duplicate, OPTIONAL, 0, 1, NULL, "the task holds the unique key already")
REC_DECLARE(task_accepted, TASK_ACCEPTED);

// As the document shows a task; tasks.c writes it, and a test compares the two.
#define TASK_ITEM(F, M)                                                                  \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "task id")                                      \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always task")                               \
    F(M, STR, queue, REQUIRED, 1, 64, NULL, "queue")                                     \
    F(M, STR, kind, REQUIRED, 0, 64, NULL, "kind of job")                                \
    F(M, STR, status, REQUIRED, 1, 16, NULL,                                             \
      "submitted, scheduled, running, retrying, complete, failed, cancelled or expired") \
    F(M, I64, priority, REQUIRED, 0, 9, NULL, "0 is served first")                       \
    F(M, STR, limit_key, OPTIONAL, 1, 128, NULL,                                         \
      "the limits of this key apply, or null")                                           \
    F(M, STR, unique_key, OPTIONAL, 1, 128, NULL, "as it was submitted, or null")        \
    F(M, F64, progress, REQUIRED, 0, 1, NULL, "share done")                              \
    F(M, MAP, detail, REQUIRED, 0, 64, NULL, "what the worker says of its progress")     \
    F(M, MAP, result, OPTIONAL, 0, 1000, NULL, "of a complete task, else null")          \
    F(M, MAP, error, OPTIONAL, 0, 2, NULL,                                               \
      "code and message of a failed task, else null")                                    \
    F(M, I64, attempts, REQUIRED, 0, 1e9, NULL, "attempts started")                      \
    F(M, I64, max_attempts, REQUIRED, 1, 100, NULL, "how often it is tried at most")     \
    F(M, I64, lost, REQUIRED, 0, 1e9, NULL,                                              \
      "attempts whose worker was lost; 3 of them "                                       \
      "fail the task as worker_lost")                                                    \
    F(M, BOOL, cancel_requested, REQUIRED, 0, 1, NULL, "a cancel is under way")          \
    F(M, STRS, depends_on, OPTIONAL, 0, 256, NULL, "not in a list")                      \
    F(M, I64, waits_for, REQUIRED, 0, 256, NULL, "how many of those have not ended")     \
    F(M, I64, created_at, REQUIRED, 0, 9e12, NULL, "s since 1970")                       \
    F(M, I64, due_at, OPTIONAL, 0, 9e12, NULL,                                           \
      "s since 1970; of one that waits: it is not started before; else null")            \
    F(M, I64, retry_at, OPTIONAL, 0, 9e12, NULL,                                         \
      "s since 1970; of a retrying one: its next attempt; else null")                    \
    F(M, I64, expires_at, OPTIONAL, 0, 9e12, NULL,                                       \
      "s since 1970; it is not started after; or null")                                  \
    F(M, I64, started_at, OPTIONAL, 0, 9e12, NULL, "s since 1970, or null")              \
    F(M, I64, finished_at, OPTIONAL, 0, 9e12, NULL, "s since 1970, or null")
REC_DECLARE(task_item, TASK_ITEM);

#define TASK_PAGE(F, M) PAGE_REPLY(F, M, &task_item_rec)
REC_DECLARE(task_page, TASK_PAGE);

// A queue as the broker shows it.
#define QUEUE_ITEM(F, M)                                                                 \
    F(M, STR, object, OPTIONAL, 5, 5, NULL, "always queue")                              \
    WIRE_QUEUE_FIELDS(F, M)
REC_DECLARE(queue_item, QUEUE_ITEM);

#define QUEUE_PAGE(F, M)                                                                 \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always list")                               \
    F(M, RECS, data, REQUIRED, 0, 1000, &queue_item_rec, "the queues")
REC_DECLARE(queue_page, QUEUE_PAGE);

// What a tenant may say of its own queues and keys.
#define LIMIT_SETTINGS(F, M)                                                             \
    F(M, I64, concurrency, OPTIONAL, 0, 1000000, NULL, "jobs running at a time; 0: any") \
    F(M, I64, rate, OPTIONAL, 0, 10000, NULL, "starts in any rate_ms; 0: any")           \
    F(M, I64, rate_ms, OPTIONAL, 1, 86400000, NULL, "1000 if rate is given without it")
REC_DECLARE(limit_settings, LIMIT_SETTINGS);

#define QUEUE_SETTINGS(F, M)                                                             \
    LIMIT_SETTINGS(F, M)                                                                 \
    F(M, BOOL, paused, OPTIONAL, 0, 1, NULL, "no job is started")
REC_DECLARE(queue_settings, QUEUE_SETTINGS);

// What an operator may say of a tenant.
#define TENANT_SETTINGS(F, M)                                                            \
    F(M, STR, queue, OPTIONAL, 1, 64, NULL,                                              \
      "of the tenant's part of this queue; absent: of the whole tenant")                 \
    F(M, I64, weight, OPTIONAL, 1, 100, NULL, "turns in a round; of the whole tenant")   \
    QUEUE_SETTINGS(F, M)
REC_DECLARE(tenant_settings, TENANT_SETTINGS);

#define LIMIT_ITEM(F, M)                                                                 \
    F(M, STR, object, OPTIONAL, 5, 5, NULL, "always limit")                              \
    WIRE_LIMIT_FIELDS(F, M)
REC_DECLARE(limit_item, LIMIT_ITEM);

#define LIMIT_PAGE(F, M)                                                                 \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always list")                               \
    F(M, RECS, data, REQUIRED, 0, 1000, &limit_item_rec, "the limits")
REC_DECLARE(limit_page, LIMIT_PAGE);

#define QUEUE_QUERY(F, M)                                                                \
    F(M, STR, tenant, OPTIONAL, 1, 48, NULL, "only this tenant's part of them")          \
    F(M, STR, queue, OPTIONAL, 1, 64, NULL, "only this queue")
REC_DECLARE(queue_query, QUEUE_QUERY);

#define EVENT_QUERY(F, M)                                                                \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "task id")                                      \
    F(M, I64, after, OPTIONAL, 0, 9e15, NULL, "only what is newer than this seq")        \
    F(M, I64, wait, OPTIONAL, 0, 60, NULL, "seconds to wait for something newer")
REC_DECLARE(event_query, EVENT_QUERY);

#define EVENT_ITEM(F, M)                                                                 \
    F(M, I64, seq, REQUIRED, 1, 9e15, NULL, "rises within the task, with gaps")          \
    F(M, STR, type, REQUIRED, 1, 16, NULL, "task: it changed; chunk: a partial result")  \
    F(M, MAP, task, OPTIONAL, 0, 64, NULL, "of type task: the task as it is now")        \
    F(M, I64, attempt, OPTIONAL, 1, 1e9, NULL,                                           \
      "of type chunk: the attempt that made it")                                         \
    F(M, STR, content_type, OPTIONAL, 0, 64, NULL, "of type chunk")                      \
    F(M, MAP, data, OPTIONAL, 0, 1000, NULL, "of type chunk: a JSON value, or a text")   \
    F(M, STR, data_base64, OPTIONAL, 0, 2000000, NULL, "of type chunk: any other bytes")
REC_DECLARE(event_item, EVENT_ITEM);

#define EVENT_PAGE(F, M)                                                                 \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always list")                               \
    F(M, RECS, data, REQUIRED, 0, 2000, &event_item_rec, "oldest first")                 \
    F(M, I64, last_seq, REQUIRED, 0, 9e15, NULL, "give it as after")                     \
    F(M, BOOL, ended, REQUIRED, 0, 1, NULL, "the task has ended: nothing more will come")
REC_DECLARE(event_page, EVENT_PAGE);

#define WORKER_ITEM(F, M)                                                                \
    F(M, STR, object, OPTIONAL, 6, 6, NULL, "always worker")                             \
    WIRE_WORKER_FIELDS(F, M)
REC_DECLARE(worker_item, WORKER_ITEM);

#define WORKER_PAGE(F, M)                                                                \
    F(M, STR, object, REQUIRED, 4, 4, NULL, "always list")                               \
    F(M, RECS, data, REQUIRED, 0, 1000, &worker_item_rec, "the workers")
REC_DECLARE(worker_page, WORKER_PAGE);

#define RETRY_REQUEST(F, M)                                                              \
    F(M, STR, queue, OPTIONAL, 1, 64, NULL, "only of this queue")                        \
    F(M, STR, kind, OPTIONAL, 1, 64, NULL, "only of this kind")                          \
    F(M, STR, code, OPTIONAL, 1, 64, NULL, "only those that failed with this code")      \
    F(M, I64, limit, OPTIONAL, 1, 10000, NULL, "how many at most; 1000 if absent")       \
    F(M, STR, after, OPTIONAL, 1, 48, NULL, "go on behind this task")
REC_DECLARE(retry_request, RETRY_REQUEST);

#define RETRY_REPLY(F, M)                                                                \
    F(M, I64, retried, REQUIRED, 0, 9e15, NULL, "so many are ready again")               \
    F(M, BOOL, has_more, REQUIRED, 0, 1, NULL, "there may be more that match")           \
    F(M, STR, after, OPTIONAL, 1, 48, NULL, "give it as after to go on")
REC_DECLARE(retry_reply, RETRY_REPLY);

#define CACHE_PURGE(F, M)                                                                \
    F(M, STR, model, OPTIONAL, 1, 64, NULL,                                              \
      "only answers of this model: the name in the path, or the id of a version")        \
    F(M, STR, key, OPTIONAL, 64, 64, NULL, "only the answer of this x-cache-key")
REC_DECLARE(cache_purge, CACHE_PURGE);

#define CACHE_PURGED(F, M)                                                               \
    F(M, STR, object, REQUIRED, 11, 11, NULL, "always cache_purge")                      \
    F(M, I64, purged, REQUIRED, 0, 9e15, NULL, "answers this process had in memory")     \
    F(M, BOOL, shared, REQUIRED, 0, 1, NULL,                                             \
      "the answers that edges share are gone too; false: they share none, and each "     \
      "forgets "                                                                         \
      "its own within a second")
REC_DECLARE(cache_purged, CACHE_PURGED);

#define BLOB_WRITTEN(F, M)                                                               \
    F(M, STR, ref, REQUIRED, 1, 128, NULL, "its reference")                              \
    F(M, I64, bytes, REQUIRED, 0, 9e15, NULL, "its size")                                \
    F(M, STR, sha256, REQUIRED, 64, 64, NULL, "checksum of its bytes, hexadecimal")
REC_DECLARE(blob_written, BLOB_WRITTEN);

#define REPLAY_ITEM(F, M)                                                                \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "request id of the replay itself")              \
    F(M, STR, object, REQUIRED, 6, 6, NULL, "always replay")                             \
    F(M, STR, request, REQUIRED, 1, 48, NULL, "the request that failed")                 \
    F(M, STR, tenant, REQUIRED, 1, 48, NULL, "the sandbox it was replayed in")           \
    F(M, I64, status, REQUIRED, 200, 599, NULL, "of the answer to the replay")           \
    F(M, RECS, headers, REQUIRED, 0, 64, &header_item_rec, "of that answer")             \
    F(M, STR, body, OPTIONAL, 0, 1048576, NULL, "of that answer; absent if over 1 MiB")  \
    F(M, I64, body_bytes, REQUIRED, 0, 9e15, NULL, "how long it is")
REC_DECLARE(replay_item, REPLAY_ITEM);

#define PREDICT_END(F, M)                                                                \
    F(M, I64, steps, REQUIRED, 1, 1000, NULL, "values that were forecast")               \
    F(M, F64, confidence, REQUIRED, 0, 1, NULL,                                          \
      "share of values the interval is meant to hold")                                   \
    F(M, STR, model_type, REQUIRED, 1, 64, NULL, "what made the forecast")               \
    F(M, STR, model_id, OPTIONAL, 1, 48, NULL, "the trained model used")                 \
    F(M, MAP, usage, REQUIRED, 0, 8, NULL, "what the answer cost, by meter")
REC_DECLARE(predict_end, PREDICT_END);

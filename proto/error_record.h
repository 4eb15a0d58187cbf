// error_record.h - what goes wrong, told as an event of topic "error", and the groups
// that the scheduler makes of it; ops.h has the operations.
//
// An event counts one error, or several that were alike. The broker commits one with
// every attempt that failed; the edge publishes one of requests answered with a 5xx.
#pragma once
#include "record.h"

#define ERROR_TOPIC       "error"
#define ERROR_SOURCE_JOB  "job"
#define ERROR_SOURCE_HTTP "http"

enum { ERROR_TEXT_MAX = 1024, ERROR_TITLE_MAX = 256, ERROR_HOURS = 24 };

// clang-format off

// Where one error came up; of the newest ones a group keeps.
#define ERROR_PLACE(F, M)                                                                 \
    F(M, STR,  trace_id,   OPTIONAL, 32, 32, NULL, "of the trace it belongs to: omni trace shows it") \
    F(M, STR,  task_id,    OPTIONAL, 1, 48, NULL, "the task whose attempt failed")        \
    F(M, STR,  request_id, OPTIONAL, 1, 48, NULL, "the request that failed")              \
    F(M, I64,  attempt,    OPTIONAL, 1, 1e9, NULL, "which attempt of the task it was")    \
    F(M, STR,  worker,     OPTIONAL, 1, 64, NULL, "that had the job")                     \
    F(M, STR,  model,      OPTIONAL, 1, 64, NULL, "that was asked, if it is known")

// What is the same for all errors of a group, beside what the message says.
#define ERROR_KIND(F, M)                                                                  \
    F(M, STR,  source,     REQUIRED, 3, 4, NULL, "job: an attempt failed; http: a request was answered with a 5xx") \
    F(M, STR,  queue,      OPTIONAL, 1, 64, NULL, "of the job, or that the request was for") \
    F(M, STR,  kind,       OPTIONAL, 1, 64, NULL, "kind of job")                          \
    F(M, STR,  route,      OPTIONAL, 1, 160, NULL, "method and path, as in /openapi.json") \
    F(M, STR,  code,       REQUIRED, 1, 64, NULL, "of the error")

// Body of an event of topic "error".
#define ERROR_EVENT(F, M)                                                                 \
    ERROR_KIND(F, M)                                                                      \
    F(M, STR,  text,       REQUIRED, 0, ERROR_TEXT_MAX, NULL, "for people")               \
    F(M, BOOL, retried,    OPTIONAL, 0, 1, NULL, "the job is tried again")                \
    F(M, I64,  count,      OPTIONAL, 1, 1e9, NULL, "how many there were; 1 if absent")    \
    ERROR_PLACE(F, M)
REC_DECLARE(error_event, ERROR_EVENT);

#define ERROR_SAMPLE(F, M)                                                                \
    F(M, I64,  at_ms,      REQUIRED, 0, 9e15, NULL, "when, ms since 1970")                \
    F(M, STR,  message,    REQUIRED, 0, ERROR_TEXT_MAX, NULL, "what was said, without secrets") \
    F(M, BOOL, retried,    OPTIONAL, 0, 1, NULL, "the job was tried again")               \
    ERROR_PLACE(F, M)
REC_DECLARE(error_sample, ERROR_SAMPLE);

#define ERROR_GROUP(F, M)                                                                 \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "id of the group")                      \
    F(M, STR,  object,     REQUIRED, 11, 11, NULL, "always error_group")                  \
    F(M, STR,  tenant,     OPTIONAL, 1, 48, NULL, "whose it is; for operators")           \
    F(M, STR,  status,     REQUIRED, 4, 8, NULL, "open, resolved or ignored")             \
    F(M, BOOL, regressed,  REQUIRED, 0, 1, NULL, "it is open because it came again after it was resolved") \
    ERROR_KIND(F, M)                                                                      \
    F(M, STR,  title,      REQUIRED, 0, ERROR_TITLE_MAX, NULL, "the message without what differs from one time to the next") \
    F(M, I64,  count,      REQUIRED, 1, 9e15, NULL, "how often it came")                  \
    F(M, I64,  retried,    REQUIRED, 0, 9e15, NULL, "how often of those the job was tried again") \
    F(M, I64,  first_seen_ms, REQUIRED, 0, 9e15, NULL, "ms since 1970")                   \
    F(M, I64,  last_seen_ms, REQUIRED, 0, 9e15, NULL, "ms since 1970")                    \
    F(M, NUMS, hours,      REQUIRED, ERROR_HOURS, ERROR_HOURS, NULL, "how often in each of the last 24 hours, the last one until now") \
    F(M, I64,  version,    REQUIRED, 1, 9e15, NULL, "rises with every change")            \
    F(M, STR,  message,    REQUIRED, 0, ERROR_TEXT_MAX, NULL, "what was said last, without secrets") \
    ERROR_PLACE(F, M)
REC_DECLARE(error_group, ERROR_GROUP);

#define ERROR_DETAIL(F, M)                                                                \
    ERROR_GROUP(F, M)                                                                     \
    F(M, RECS, samples,    REQUIRED, 0, 16, &error_sample_rec, "the newest ones, newest first")

#define ERROR_LIST_REQUEST(F, M)                                                          \
    F(M, STR, status,      OPTIONAL, 4, 8, NULL, "only these: open, resolved or ignored") \
    F(M, STR, source,      OPTIONAL, 3, 4, NULL, "only these: job or http")               \
    F(M, STR, queue,       OPTIONAL, 1, 64, NULL, "only of this queue")                   \
    F(M, I64, since,       OPTIONAL, 0, 9e15, NULL, "only that came then or later, ms since 1970")

#define ERROR_CHANGE_REQUEST(F, M)                                                        \
    F(M, STR, id,          REQUIRED, 1, 48, NULL, "id of the group")                      \
    F(M, I64, if_version,  INTERNAL, 0, 9e15, NULL, "only if this is its version")
// clang-format on

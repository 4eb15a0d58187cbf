// wire.h - the broker's messages, once: numbers, fields, who sends them.
//
// A message is two frames, [header][payload]; the payload may be absent. The header is
// one msgpack map with short string keys. Whatever the broker acts on is a header field;
// the payload is a service's or a user's bytes, which the broker never parses and never
// copies. Small messages to a peer that understands it may come as one BUNDLE: bundle.h.
//
// Compatibility: unknown header keys are ignored, unknown types are answered with ERROR
// "unsupported", numbers and keys are never reused, and no field changes its meaning.
// Version N talks to N-1. A queue's payload changes by a new kind, never in place.
#pragma once
#include "peer.h"
#include "uuid.h"

enum {
    WIRE_VERSION = 1,
    WIRE_VERSION_MIN = 1,
    WIRE_HEADER_MAX = 16 * 1024,
    WIRE_PAYLOAD_MAX = 1024 * 1024,
    WIRE_EVENT_RUN_MAX = 512,
    WIRE_WAIT_MAX_MS = 60 * 1000,
    WIRE_RETRY_MAX_MS = 24 * 60 * 60 * 1000,
    WIRE_CHUNK_MAX = 64 * 1024, // of a part of a call's answer
    WIRE_CHUNK_COST = 256,      // what a part counts beside its bytes
    WIRE_TOKEN_BYTES = 32,
};

// clang-format off
// One usage item of DONE, FAIL, CANCELLED or REPLY.
#define WIRE_USAGE_FIELDS(F, M)                                                           \
    F(M, STR, meter,    REQUIRED, 1, 64, NULL, "what was used, e.g. compute_ms; those of a tenant's own worker are kept as own.NAME") \
    F(M, I64, quantity, REQUIRED, 0, 9e15, NULL, "in the meter's base unit")              \
    F(M, STR, subject,  OPTIONAL, 0, 128, NULL, "what used it, e.g. a model's name")

// One event to append, in PUBLISH, SUBMIT or DONE.
#define WIRE_EVENT_FIELDS(F, M)                                                           \
    F(M, STR, topic, REQUIRED, 1, 32, NULL, "chooses the subscribers")                    \
    F(M, STR, id,    REQUIRED, 1, 128, NULL, "the same id is applied once")               \
    F(M, I64, at,    REQUIRED, 0, 9e15, NULL, "when it happened, ms since 1970")          \
    F(M, BIN, body,  REQUIRED, 0, 8192, NULL, "a record the subscribers know")

// One event of a run, as a subscriber gets it: a run's payload is an array of these.
#define WIRE_LOGGED_FIELDS(F, M)                                                          \
    F(M, I64, seq,         REQUIRED, 1, 9e15, NULL, "place in the shard's log")           \
    F(M, STR, topic,       REQUIRED, 1, 32, NULL, "as published")                         \
    F(M, STR, id,          REQUIRED, 1, 128, NULL, "the same id is applied once")         \
    F(M, STR, tenant,      REQUIRED, 1, 48, NULL, "whose event it is")                    \
    F(M, I64, at,          REQUIRED, 0, 9e15, NULL, "when it happened, ms since 1970")    \
    F(M, BIN, body,        REQUIRED, 0, 8192, NULL, "as published")                       \
    F(M, STR, traceparent, OPTIONAL, 0, 64, NULL, "context the event was made in")        \
    F(M, STR, tracestate,  OPTIONAL, 0, 512, NULL, "of that context")

// A lease a worker holds, in HELLO and BEAT.
#define WIRE_HELD_FIELDS(F, M)                                                            \
    F(M, BIN, token,    REQUIRED, 32, 32, NULL, "the lease")                              \
    F(M, F64, progress, OPTIONAL, 0, 1, NULL, "share done")                               \
    F(M, STR, detail,   OPTIONAL, 0, 1024, NULL, "JSON object shown to the user")

// A task as GET, LIST and EVENT show it.
#define WIRE_TASK_FIELDS(F, M)                                                            \
    F(M, STR, task,        REQUIRED, 1, 48, NULL, "task id")                              \
    F(M, STR, tenant,      REQUIRED, 1, 48, NULL, "its owner")                            \
    F(M, STR, queue,       REQUIRED, 1, 64, NULL, "queue")                                \
    F(M, STR, kind,        REQUIRED, 0, 64, NULL, "what kind of job")                     \
    F(M, I64, state,       REQUIRED, 1, 99, NULL, "number of STATE_LIST")                 \
    F(M, I64, attempts,    REQUIRED, 0, 1e9, NULL, "attempts started")                    \
    F(M, I64, lost,        OPTIONAL, 0, 1e9, NULL, "attempts whose worker was lost")      \
    F(M, I64, created_ms,  REQUIRED, 0, 9e15, NULL, "when it was submitted")              \
    F(M, I64, started_ms,  OPTIONAL, 0, 9e15, NULL, "start of the last attempt")          \
    F(M, I64, finished_ms, OPTIONAL, 0, 9e15, NULL, "when it ended")                      \
    F(M, I64, due_ms,      OPTIONAL, 0, 9e15, NULL, "a waiting task is not ready before") \
    F(M, F64, progress,    OPTIONAL, 0, 1, NULL, "share done")                            \
    F(M, STR, detail,      OPTIONAL, 0, 1024, NULL, "JSON object of the last progress")   \
    F(M, STR, code,        OPTIONAL, 0, 64, NULL, "why it failed")                        \
    F(M, STR, text,        OPTIONAL, 0, 1024, NULL, "why it failed, for people")          \
    F(M, STR, ctype,       OPTIONAL, 0, 64, NULL, "content type of the result")           \
    F(M, BOOL, cancel_requested, OPTIONAL, 0, 1, NULL, "a cancel is under way")           \
    F(M, I64, priority,    OPTIONAL, 0, 9, NULL, "0 is served first")                     \
    F(M, I64, expires_ms,  OPTIONAL, 0, 9e15, NULL, "not started after")                  \
    F(M, STR, limit_key,   OPTIONAL, 1, 128, NULL, "limits of this key apply")            \
    F(M, STRS, depends_on, OPTIONAL, 0, 256, NULL, "tasks that must have ended before")   \
    F(M, I64, waits_for,   OPTIONAL, 0, 256, NULL, "how many of those have not ended")    \
    F(M, STR, node,        OPTIONAL, 1, 64, NULL, "the worker that holds it")             \
    F(M, I64, max_attempts, OPTIONAL, 1, 100, NULL, "how often it is tried at most")      \
    F(M, STR, unique_key,  OPTIONAL, 1, 128, NULL, "as it was submitted")

// What is set for a tenant, for one of its queues, or for one of its limit keys.
#define WIRE_SETTING_FIELDS(F, M)                                                         \
    F(M, I64, weight,      OPTIONAL, 1, 100, NULL, "turns in the round of the tenants; 1 if absent; of a tenant") \
    F(M, I64, concurrency, OPTIONAL, 0, 1000000, NULL, "jobs at workers at a time; 0: no limit") \
    F(M, I64, rate,        OPTIONAL, 0, 10000, NULL, "starts in any rate_ms; 0: no limit") \
    F(M, I64, rate_ms,     OPTIONAL, 1, 86400000, NULL, "1000 if absent")                 \
    F(M, BOOL, paused,     OPTIONAL, 0, 1, NULL, "no job is started; of a queue")

// A queue as QUEUE list shows it; without `tenant` all tenants of a platform queue.
#define WIRE_QUEUE_FIELDS(F, M)                                                           \
    F(M, STR, queue,      REQUIRED, 1, 64, NULL, "queue")                                 \
    F(M, STR, tenant,     OPTIONAL, 1, 48, NULL, "whose part of it")                      \
    F(M, I64, ready,      REQUIRED, 0, 9e15, NULL, "jobs that could start now")           \
    F(M, I64, scheduled,  REQUIRED, 0, 9e15, NULL, "jobs that wait for their time")       \
    F(M, I64, retrying,   REQUIRED, 0, 9e15, NULL, "jobs that wait for their next attempt") \
    F(M, I64, blocked,    REQUIRED, 0, 9e15, NULL, "jobs that wait for others")           \
    F(M, I64, running,    REQUIRED, 0, 9e15, NULL, "jobs at workers")                     \
    F(M, I64, oldest_ms,  REQUIRED, 0, 9e15, NULL, "age of the oldest ready job")         \
    F(M, F64, in_rate,    REQUIRED, 0, 1e9, NULL, "jobs submitted a second, over the last minute") \
    F(M, F64, out_rate,   REQUIRED, 0, 1e9, NULL, "jobs ended a second, over the last minute") \
    F(M, I64, submitted,  REQUIRED, 0, 9e15, NULL, "jobs since the broker's start")       \
    F(M, I64, completed,  REQUIRED, 0, 9e15, NULL, "jobs that succeeded since then")      \
    F(M, I64, failed,     REQUIRED, 0, 9e15, NULL, "dead letters since then")             \
    F(M, I64, lost,       REQUIRED, 0, 9e15, NULL, "attempts whose worker was lost since then") \
    F(M, I64, workers,    REQUIRED, 0, 9e15, NULL, "sessions that take from it")          \
    F(M, I64, credit,     REQUIRED, 0, 9e15, NULL, "jobs they would take now")            \
    F(M, I64, events_behind, OPTIONAL, 0, 9e15, NULL, "of a subscriber: events it has not applied, at most") \
    F(M, I64, events_stuck_ms, OPTIONAL, 0, 9e15, NULL, "since the slowest of its cursors that have events moved") \
    F(M, I64, events_dead, OPTIONAL, 0, 9e15, NULL, "events set aside since the broker's start") \
    F(M, MAP, settings,   OPTIONAL, 0, 16, NULL, "what is set: a wire_setting record")

// What stands on a tenant, or on one of its limit keys.
#define WIRE_LIMIT_FIELDS(F, M)                                                           \
    F(M, STR, limit_key,  OPTIONAL, 1, 128, NULL, "the key; absent: the whole tenant")    \
    F(M, I64, running,    REQUIRED, 0, 9e15, NULL, "its jobs at workers")                 \
    F(M, I64, started,    REQUIRED, 0, 9e15, NULL, "starts in the last rate_ms, if there is a rate") \
    F(M, MAP, settings,   OPTIONAL, 0, 16, NULL, "what is set: a wire_setting record")

// A worker as WORKERS shows it.
#define WIRE_WORKER_FIELDS(F, M)                                                          \
    F(M, STR, node,        REQUIRED, 1, 64, NULL, "name of the process")                  \
    F(M, I64, incarnation, REQUIRED, 0, 9e15, NULL, "rises with each start of a node")    \
    F(M, STR, role,        REQUIRED, 1, 32, NULL, "a platform role, or tenant")           \
    F(M, STR, tenant,      OPTIONAL, 1, 48, NULL, "whose worker it is")                   \
    F(M, BOOL, connected,  REQUIRED, 0, 1, NULL, "false: its leases wait for it")         \
    F(M, BOOL, draining,   OPTIONAL, 0, 1, NULL, "it was told to take no new work")       \
    F(M, I64, heard_ms,    REQUIRED, 0, 9e15, NULL, "since its last word")                \
    F(M, STRS, queues,     REQUIRED, 0, 256, NULL, "queues it takes from")                \
    F(M, I64, held,        REQUIRED, 0, 9e15, NULL, "leases it holds")                    \
    F(M, STRS, tasks,      REQUIRED, 0, 64, NULL, "tasks it holds, the first of them")

// One job of SUBMIT_BATCH, and what became of it.
#define WIRE_BATCH_JOB_FIELDS(F, M)                                                       \
    F(M, BIN, header,  REQUIRED, 1, 16384, NULL, "a SUBMIT as it would be sent alone")    \
    F(M, BIN, payload, OPTIONAL, 0, 1048576, NULL, "its payload")
#define WIRE_BATCH_ITEM_FIELDS(F, M)                                                      \
    F(M, STR, task,       REQUIRED, 0, 48, NULL, "task id")                               \
    F(M, BOOL, duplicate, OPTIONAL, 0, 1, NULL, "this task was known already")            \
    F(M, STR, param,      OPTIONAL, 1, 64, NULL, "of a duplicate: the key it was known by") \
    F(M, STR, code,       OPTIONAL, 1, 64, NULL, "why it was not taken")                  \
    F(M, STR, text,       OPTIONAL, 0, 1024, NULL, "why, for people")
// clang-format on

REC_DECLARE(wire_usage, WIRE_USAGE_FIELDS);
REC_DECLARE(wire_event, WIRE_EVENT_FIELDS);
REC_DECLARE(wire_logged, WIRE_LOGGED_FIELDS);
REC_DECLARE(wire_held, WIRE_HELD_FIELDS);
REC_DECLARE(wire_task, WIRE_TASK_FIELDS);
REC_DECLARE(wire_setting, WIRE_SETTING_FIELDS);
REC_DECLARE(wire_queue, WIRE_QUEUE_FIELDS);
REC_DECLARE(wire_limit, WIRE_LIMIT_FIELDS);
REC_DECLARE(wire_worker, WIRE_WORKER_FIELDS);
REC_DECLARE(wire_batch_job, WIRE_BATCH_JOB_FIELDS);
REC_DECLARE(wire_batch_item, WIRE_BATCH_ITEM_FIELDS);

// clang-format off
// Every header field. Presence is decided a message, below.
//   type  name           key    low high item
#define WIRE_FIELDS(F, M)                                                                 \
    F(M, I64,  version,     "v",    1, 255, NULL, "wire version")                         \
    F(M, I64,  type,        "t",    1, 255, NULL, "message number")                       \
    F(M, STR,  id,          "id",   1, 64, NULL,                                          \
      "message id, made by the sender; an answer carries the id of what it answers")      \
    F(M, STR,  role,        "role", 1, 32, NULL, "role the peer asks for")                \
    F(M, STR,  node,        "node", 1, 64, NULL, "name of the process")                   \
    F(M, I64,  incarnation, "inc",  0, 9e15, NULL, "rises with each start of a node")     \
    F(M, STR,  credential,  "cred", 1, 256, NULL, "API key of a tenant's worker")         \
    F(M, RECS, held,        "held", 0, 1024, &wire_held_rec, "leases the worker holds")   \
    F(M, I64,  epoch,       "ep",   0, 9e15, NULL, "the broker's epoch")                  \
    F(M, I64,  heartbeat_ms, "hb",  1, 60000, NULL, "send BEAT or PING this often")       \
    F(M, STR,  from,        "from", 1, 32, NULL, "the caller's verified role")            \
    F(M, STR,  tenant,      "ten",  1, 48, NULL,                                          \
      "tenant acted for; believed from platform roles only")                              \
    F(M, STR,  task,        "task", 1, 48, NULL, "task id, made by the client")           \
    F(M, STR,  queue,       "q",    1, 64, NULL, "queue")                                 \
    F(M, STR,  kind,        "k",    1, 64, NULL, "kind of job, or operation of a call")   \
    F(M, BIN,  hash,        "hash", 32, 32, NULL, "SHA-256 of what is submitted")         \
    F(M, I64,  priority,    "pri",  0, 9, NULL, "0 is served first; 5 if absent")         \
    F(M, I64,  due_ms,      "due",  0, 9e15, NULL, "not before, ms since 1970")           \
    F(M, I64,  expires_ms,  "exp",  0, 9e15, NULL, "not started after, ms since 1970")    \
    F(M, I64,  max_attempts, "max", 1, 100, NULL, "3 if absent")                          \
    F(M, I64,  soft_ms,     "soft", 0, 9e15, NULL, "asked to stop after")                 \
    F(M, I64,  hard_ms,     "hard", 0, 9e15, NULL, "failed as timeout after; 0 = never")  \
    F(M, I64,  ttl_ms,      "ttl",  0, 9e15, NULL, "time left, reduced at each hop")      \
    F(M, STR,  traceparent, "tp",   1, 64, NULL, "W3C trace context of the creation")     \
    F(M, STR,  tracestate,  "ts",   1, 512, NULL, "W3C tracestate")                       \
    F(M, STR,  ctype,       "ct",   1, 64, NULL, "content type of the payload")           \
    F(M, STR,  grant,       "gr",   1, 512, NULL, "token to read and write blobs with")   \
    F(M, BIN,  token,       "tok",  32, 32, NULL, "the lease: opaque to the worker")      \
    F(M, I64,  attempt,     "att",  1, 1e9, NULL, "number of this attempt, from 1")       \
    F(M, I64,  lease_ms,    "ls",   1, 9e15, NULL, "lost after this long a silence")      \
    F(M, I64,  call,        "call", 1, 9e15, NULL, "the broker's number of a call")       \
    F(M, I64,  limit,       "lim",  0, 9e15, NULL,                                        \
      "CREDIT: jobs ever allowed in this session; LIST: rows; CALL, CALL_CREDIT: what "    \
      "the CHUNKs of the answer may count in all, each its bytes and 256")                \
    F(M, I64,  sent,        "sent", 0, 9e15, NULL, "jobs sent in this session so far")    \
    F(M, RECS, usage,       "use",  0, 32, &wire_usage_rec, "what was used")              \
    F(M, RECS, events,      "ev",   0, 64, &wire_event_rec, "events to append")           \
    F(M, STRS, tokens,      "toks", 0, 1024, NULL, "leases to cancel")                    \
    F(M, STRS, stale,       "stale", 0, 1024, NULL, "leases no longer held: stop")        \
    F(M, BOOL, drain,       "drain", 0, 1, NULL, "take no new work and leave")            \
    F(M, BOOL, duplicate,   "dup",  0, 1, NULL, "this task was known already")            \
    F(M, BOOL, retryable,   "rt",   0, 1, NULL, "may succeed if tried again")             \
    F(M, I64,  retry_ms,    "ra",   0, 9e15, NULL, "try again after; of FAIL more than a day counts as a day")                     \
    F(M, STR,  code,        "code", 1, 64, NULL, "code of RC_LIST, or the worker's own")  \
    F(M, STR,  text,        "text", 0, 1024, NULL, "for people")                          \
    F(M, STR,  param,       "par",  0, 64, NULL, "the field that is wrong")               \
    F(M, I64,  shard,       "sh",   0, 255, NULL, "shard of an event run")                \
    F(M, I64,  seq,         "seq",  0, 9e15, NULL, "last event of a run; watch sequence; number of a CHUNK, from 1; REPLY: of the last one") \
    F(M, STR,  status,      "st",   1, 16, NULL, "public status; LIST: only this one")    \
    F(M, STR,  after,       "aft",  1, 48, NULL, "LIST: older than this task")            \
    F(M, MAP,  info,        "info", 0, 64, NULL, "a task record")                         \
    F(M, STRS, ids,         "ids",  0, 1024, NULL, "messages answered at once")           \
    F(M, I64,  caps,        "caps", 0, 9e15, NULL, "what the peer understands: bits of CAPABILITY_LIST") \
    F(M, STR,  idem_key,    "ik",   1, 255, NULL, "Idempotency-Key: names the job beside its id") \
    F(M, STR,  unique_key,  "uk",   1, 128, NULL, "one job of this key at a time")        \
    F(M, I64,  unique_ms,   "ukw",  0, 9e15, NULL, "the key holds so long after the submit; absent: until the job has ended") \
    F(M, STR,  limit_key,   "lk",   1, 128, NULL, "limits of this key apply")             \
    F(M, STRS, depends_on,  "dep",  0, 256, NULL, "tasks that must have ended before")    \
    F(M, BOOL, run_anyway,  "any",  0, 1, NULL, "runs even if one of depends_on did not succeed") \
    F(M, I64,  retain_ms,   "ret",  0, 9e15, NULL, "the result is kept so long after the end") \
    F(M, BOOL, atomic,      "all",  0, 1, NULL, "all jobs of the batch or none")          \
    F(M, STR,  action,      "act",  1, 16, NULL, "what to do: list, limits, set, pause, resume or purge; drain") \
    F(M, MAP,  settings,    "set",  0, 16, NULL, "a wire_setting record")                 \
    F(M, I64,  ahead,       "ah",   0, 1000, NULL,                                        \
      "CREDIT: so many calls at a time, beside the jobs; CALL: it is one of them")
// clang-format on

#define WIRE_MEMBER(M, type, name, key, low, high, item, doc) rec_##type##_t name;
#define WIRE_NUMBER(M, type, name, key, low, high, item, doc) WIRE_F_##name,

// A decoded header. Strings point into the frame.
struct wire_msg {
    uint64_t has;
    WIRE_FIELDS(WIRE_MEMBER, wire_msg)
};

enum { WIRE_FIELDS(WIRE_NUMBER, wire_msg) WIRE_F_COUNT };

extern const struct rec wire_msg_rec;

// A field as a bit of the mask, in the message list and for tests of presence.
#define W(name)                     (UINT64_C(1) << WIRE_F_##name)
#define WIRE_HAS(msg, name)         ((msg)->has >> WIRE_F_##name & 1)
#define WIRE_SET(msg, field, value) ((msg)->field = (value), (msg)->has |= W(field))

enum wire_from {
    WIRE_ANY,       // either end
    WIRE_CLIENT,    // client to broker
    WIRE_WORKER,    // worker to broker
    WIRE_TO_CLIENT, // broker to client
    WIRE_TO_WORKER, // broker to worker
};

// clang-format off
// What a client may say of a job it submits.
#define WIRE_JOB_OPTIONS                                                                  \
    (W(hash) | W(priority) | W(due_ms) | W(expires_ms) | W(max_attempts) | W(soft_ms) |   \
     W(hard_ms) | W(traceparent) | W(tracestate) | W(ctype) | W(grant) | W(events) |      \
     W(idem_key) | W(unique_key) | W(unique_ms) | W(limit_key) | W(depends_on) |          \
     W(run_anyway) | W(retain_ms))

//  no  name        from       required                             optional
#define WIRE_LIST(X)                                                                      \
    X(1,  HELLO,      ANY,       W(role) | W(node) | W(incarnation),                      \
      W(credential) | W(held) | W(id) | W(caps),                                          \
      "opens a session; said again it has the same id, or it opens another one, without " \
      "credit; a worker says which leases it holds")                                      \
    X(2,  WELCOME,    ANY,       W(node) | W(epoch) | W(heartbeat_ms),                    \
      W(id) | W(tenant) | W(caps), "the session is open")                                 \
    X(3,  RESET,      ANY,       0, 0,                                                    \
      "the broker does not know this session: say HELLO again")                           \
    X(4,  PING,       ANY,       0, W(id), "asks for PONG")                               \
    X(5,  PONG,       ANY,       0, W(id), "answers PING")                                \
    X(6,  BYE,        ANY,       0, W(id), "closes the session; unstarted leases go back") \
    X(7,  ERROR,      ANY,       W(code),                                                 \
      W(id) | W(text) | W(param) | W(retry_ms) | W(call) | W(task) | W(usage),            \
      "refuses a message, or ends a call without a result")                               \
    X(8,  BUNDLE,     ANY,       0, 0,                                                    \
      "several messages as one: the payload is binary after binary, the header and the "  \
      "payload of each in turn; to who has said that it understands it")                  \
    X(16, SUBMIT,     CLIENT,    W(id) | W(task) | W(queue) | W(kind),                    \
      W(tenant) | WIRE_JOB_OPTIONS, "a durable job; the payload is the worker's")         \
    X(17, SUBMITTED,  TO_CLIENT, 0,                                                       \
      W(id) | W(task) | W(duplicate) | W(param) | W(ids) | W(status),                     \
      "the job is on disk, or all jobs of the messages `ids` are; with duplicate `task` " \
      "may be another: the one that the key named by `param` has; status, if it is known: " \
      "submitted of a new job if absent")                                                 \
    X(18, REJECT,     TO_CLIENT, W(id) | W(code), W(task) | W(text) | W(retry_ms),        \
      "the job was not taken")                                                            \
    X(19, CALL,       ANY,       W(queue) | W(kind),                                      \
      W(id) | W(call) | W(from) | W(tenant) | W(ttl_ms) | W(traceparent) | W(tracestate) | \
      W(ctype) | W(grant) | W(idem_key) | W(hash) | W(limit) | W(ahead),                  \
      "a question answered by REPLY or ERROR, never stored; with limit, CHUNKs come "     \
      "before it, up to that and what CALL_CREDIT adds; "                                 \
      "the broker passes it to a worker with call and from set; what its service does "   \
      "for an idem_key it does once, and answers the same again")                         \
    X(20, REPLY,      ANY,       0,                                                       \
      W(id) | W(call) | W(ctype) | W(usage) | W(events) | W(duplicate) | W(seq),          \
      "the answer of a call; with duplicate, that of an earlier one of the same "         \
      "idem_key; with seq, so many CHUNKs came before it")                                \
    X(21, CALL_CANCEL, ANY,      0, W(id) | W(call),                                      \
      "nobody waits for the answer; who makes it in parts ends it by REPLY or ERROR, "    \
      "with the usage of what was made")                                                  \
    X(22, PUBLISH,    CLIENT,    W(id) | W(tenant) | W(events),                           \
      W(traceparent) | W(tracestate),                                                     \
      "appends events to the tenant's shard")                                             \
    X(23, PUBLISHED,  TO_CLIENT, W(id), 0, "the events are on disk")                      \
    X(24, GET,        CLIENT,    W(id) | W(task), W(tenant),                              \
      "asks for one task: TASK")                                                          \
    X(25, LIST,       CLIENT,    W(id) | W(limit),                                        \
      W(tenant) | W(status) | W(after) | W(queue) | W(kind) | W(code),                    \
      "asks for tasks, newest first: TASKS")                                              \
    X(26, TASK,       TO_CLIENT, W(id) | W(task) | W(info), W(ctype),                     \
      "one task; the payload is its result, if it has one")                               \
    X(27, TASKS,      TO_CLIENT, W(id), W(after),                                         \
      "payload: array of task records; with after, it may have fewer than were asked "    \
      "for, as no task older than that one was looked at")                                \
    X(28, CANCEL,     CLIENT,    W(id) | W(task), W(tenant),                              \
      "asks to cancel: CANCEL_ACK, or ERROR conflict when it has ended")                  \
    X(29, CANCEL_ACK, TO_CLIENT, W(id) | W(task), 0, "the intent to cancel is on disk")   \
    X(30, RETRY,      CLIENT,    W(id) | W(task), W(tenant),                              \
      "makes a failed task ready again: SUBMITTED, or ERROR conflict")                    \
    X(31, WATCH,      CLIENT,    W(id) | W(task) | W(ttl_ms), W(tenant) | W(seq),         \
      "asks for EVENTs of a task until it ends or the time is over")                      \
    X(32, EVENT,      TO_CLIENT, W(id) | W(task) | W(seq) | W(info), W(drain),            \
      "the task changed; drain is set on the last EVENT of a watch")                      \
    X(33, SUBMIT_BATCH, CLIENT,  W(id), W(tenant) | W(atomic),                            \
      "up to 1000 jobs; payload: array of wire_batch_job")                                \
    X(34, BATCH,      TO_CLIENT, W(id), 0,                                                \
      "payload: array of wire_batch_item in the order of the jobs; those without code "   \
      "are on disk")                                                                      \
    X(35, UNWATCH,    CLIENT,    W(id), 0, "ends the WATCH of that id; not answered")     \
    X(36, CHUNK,      ANY,       0, W(token) | W(id) | W(call) | W(task) | W(seq) |       \
      W(attempt) | W(ctype),                                                              \
      "a partial result: of a job (token; to a watcher id, task, seq and attempt), or a "  \
      "part of the answer of a call that has a limit (call, seq; to the caller id), of "   \
      "up to 64 KiB; what is made anew has another call")                                 \
    X(38, QUEUE,      CLIENT,    W(id) | W(action),                                       \
      W(tenant) | W(queue) | W(limit_key) | W(settings),                                  \
      "list: queues, the tenant's or all; limits: what is set for the tenant and its "    \
      "limit keys, or for this one; set: of the tenant's part of the queue, or of its "   \
      "limit key, or of the tenant, fields that are absent stay; pause, resume, purge: "  \
      "of the tenant's part of the queue; QUEUES, of one row when something was done, "   \
      "which then is on disk")                                                            \
    X(39, QUEUES,     TO_CLIENT, W(id), 0,                                                \
      "payload: array of wire_queue records, or of wire_limit records of a tenant and "   \
      "its limit keys")                                                                   \
    X(40, WORKERS,    CLIENT,    W(id), W(tenant) | W(node) | W(action),                  \
      "asks who holds what; without tenant: all workers; with node: that worker, which "  \
      "the action drain has told to take no new work and leave")                          \
    X(41, WORKERS_ARE, TO_CLIENT, W(id), 0, "payload: array of wire_worker records")      \
    X(42, RETRY_MANY, CLIENT,    W(id) | W(limit),                                        \
      W(tenant) | W(queue) | W(kind) | W(code) | W(after),                                \
      "makes up to limit failed tasks that match ready again, newest first: RETRIED")     \
    X(43, RETRIED,    TO_CLIENT, W(id) | W(sent), W(after),                               \
      "so many are ready again, on disk; after: there may be more behind this one")       \
    X(44, CALL_CREDIT, ANY,      W(limit), W(id) | W(call),                               \
      "more CHUNKs of the answer are taken: cumulative, from the limit of the CALL")      \
    X(48, CREDIT,     WORKER,    W(queue) | W(limit), W(id) | W(ahead),                   \
      "how many jobs this session may ever be sent from the queue: cumulative; ahead: "   \
      "calls it takes without credit, to answer them at once or to RELEASE them")         \
    X(49, CREDIT_OK,  TO_WORKER, W(queue) | W(limit) | W(sent), W(id), "takes it")        \
    X(50, JOB,        TO_WORKER, W(token) | W(queue) | W(kind) | W(attempt) | W(lease_ms), \
      W(task) | W(tenant) | W(soft_ms) | W(hard_ms) | W(traceparent) | W(tracestate) |    \
      W(ctype) | W(grant) | W(shard) | W(seq) | W(depends_on),                            \
      "a lease on a job, or on a run of events (shard and seq are set)")                  \
    X(51, CANCEL_JOB, TO_WORKER, W(token), 0, "stop this job and answer CANCELLED")       \
    X(52, DRAIN,      TO_WORKER, 0, 0, "take no new work and leave")                      \
    X(53, START,      WORKER,    W(token), 0, "the handler runs")                         \
    X(54, BEAT,       WORKER,    W(held), W(id), "renews every lease named in it")        \
    X(55, BEAT_ACK,   TO_WORKER, 0, W(id) | W(tokens) | W(stale) | W(drain),              \
      "leases to cancel, and leases no longer held")                                      \
    X(56, DONE,       WORKER,    W(token), W(usage) | W(events) | W(ctype),               \
      "the job succeeded; the payload is its result; resent until acknowledged")          \
    X(57, FAIL,       WORKER,    W(token) | W(code),                                      \
      W(text) | W(retryable) | W(retry_ms) | W(usage),                                    \
      "the attempt failed; resent until acknowledged")                                    \
    X(58, CANCELLED,  WORKER,    W(token), W(usage), "stopped as asked; resent")          \
    X(59, RELEASE,    WORKER,    0, W(token) | W(call),                                   \
      "not started; costs no attempt; a call that came ahead now waits for credit")       \
    X(60, DONE_ACK,   TO_WORKER, 0, W(token) | W(tokens),                                 \
      "DONE, FAIL or CANCELLED is on disk; tokens: of several jobs")                      \
    X(61, STALE,      TO_WORKER, W(token), 0,                                             \
      "this worker no longer holds the lease: stop and discard")                          \
    X(62, PARENT,     WORKER,    W(id) | W(token) | W(task), 0,                           \
      "asks for the result of a task the held job depends on: PARENT_IS or ERROR")        \
    X(63, PARENT_IS,  TO_WORKER, W(id) | W(task) | W(info), W(ctype),                     \
      "a parent's record; the payload is its result, if it has one")
// clang-format on

enum wire_type {
#define WIRE_ENUM(number, name, from, required, optional, doc) WIRE_##name = number,
    WIRE_LIST(WIRE_ENUM)
#undef WIRE_ENUM
};

struct wire_info {
    int64_t number;
    const char *name;
    enum wire_from from;
    uint64_t required, optional;
    const char *doc;
};

// What a peer may understand beyond the first version of the wire.
// clang-format off
//  bit name       doc
#define CAPABILITY_LIST(X)                                                                \
    X(0, ACK_LISTS, "SUBMITTED with ids, DONE_ACK with tokens")                           \
    X(1, BUNDLE, "BUNDLE; in WELCOME: the broker does")
// clang-format on

#define CAPABILITY_ENUM(bit, name, doc) CAPABILITY_##name = 1 << (bit),
enum { CAPABILITY_LIST(CAPABILITY_ENUM) };
#undef CAPABILITY_ENUM

extern const struct wire_info wire_infos[];
extern const size_t wire_info_count;

// The row of a message number, or NULL.
const struct wire_info *wire_find(int64_t number);

// Read a header.
//   OM_EPROTO       not a map of known fields of the right types and sizes
//   OM_EUNSUPPORTED an unknown version or type; `out->id` is set if it had one
//   OM_EINVAL       a field the type requires is missing
OM_MUST_CHECK enum om_rc wire_decode(struct om_str header, struct wire_msg *out);

// Append the header of `msg` to `buf`, with version and `type`. Fields the type does not
// list are left out. The caller checks buf->failed.
void wire_encode(enum wire_type type, const struct wire_msg *msg, struct om_buf *buf);

// Fields of a header that were encoded before, to be spliced into one or more headers.
struct wire_part {
    uint64_t has;
    struct om_str bytes;
};

// Append the fields of `mask` that `msg` has and the type lists. The part's bytes are
// borrowed from `buf`.
struct wire_part wire_encode_part(enum wire_type type, const struct wire_msg *msg,
                                  uint64_t mask, struct om_buf *buf);

// The same as wire_encode(), with the part's fields in place of those in `msg`.
void wire_encode_spliced(enum wire_type type, const struct wire_msg *msg,
                         struct wire_part part, struct om_buf *buf);

// A lease, as the 32 bytes of a token. Leases on event runs have the shard and the
// subscription in place of a task.
struct wire_token {
    struct om_uuid task;
    uint32_t attempt;
    uint32_t epoch;
    uint64_t lease; // unique within an epoch
};

void wire_token_encode(const struct wire_token *token, char out[WIRE_TOKEN_BYTES]);
OM_MUST_CHECK enum om_rc wire_token_decode(struct om_str bytes, struct wire_token *out);

// ops.h - what services answer, once: operation, queue, lane, request, reply and callers.
//
// A CALL's or job's payload is the request record, a REPLY's or result's the reply
// record. The edge makes request bodies and the OpenAPI document from the same tables. A
// service's own records change by adding optional fields; a change of meaning is a new
// operation.
#pragma once
#include "error_record.h"
#include "request_log.h"
#include "status_record.h"
#include "tenant.h"
#include "wire.h"

// ---- what the edge and the broker ask identity

// clang-format off
#define KEY_RESOLVE_REQUEST(F, M)                                                         \
    F(M, BIN, hash, REQUIRED, 32, 32, NULL, "SHA-256 of the key as it was sent")          \
    F(M, BOOL, sandbox, OPTIONAL, 0, 1, NULL, "as if it were a test key: in the sandbox, which is made if there is none")

// What stands on a key, and on the user, the team and the tenant it belongs to.
#define RATE_LIMIT_ITEM(F, M)                                                             \
    F(M, STR, scope,    REQUIRED, 1, 16, NULL, "key, user, team or tenant")               \
    F(M, STR, subject,  REQUIRED, 1, 64, NULL, "id of what it stands on")                 \
    F(M, I64, requests, OPTIONAL, 0, 1e9, NULL, "requests in any minute")                 \
    F(M, I64, tokens,   OPTIONAL, 0, 1e12, NULL, "tokens in any minute")                  \
    F(M, I64, concurrent, OPTIONAL, 0, 1e6, NULL, "requests at a time")
REC_DECLARE(rate_limit_item, RATE_LIMIT_ITEM);

// The tenant of a test key is its tenant's sandbox, a tenant of its own.
#define KEY_RESOLVE_REPLY(F, M)                                                           \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "key id")                               \
    F(M, STR,  tenant,     REQUIRED, 1, 48, NULL, "tenant id")                            \
    F(M, STR,  name,       REQUIRED, 0, 128, NULL, "what its owner calls it")             \
    F(M, STRS, scopes,     REQUIRED, 0, 64, NULL, "what it may do")                       \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when it ends, ms since 1970")        \
    F(M, STR,  user,       OPTIONAL, 1, 48, NULL, "the user it acts for")                 \
    F(M, BOOL, sandbox,    OPTIONAL, 0, 1, NULL, "it is a test key")                      \
    F(M, STR,  state,      OPTIONAL, 1, 16, NULL, "of the tenant: active if absent, past_due, suspended or closed") \
    F(M, STR,  plan,       OPTIONAL, 1, 32, NULL, "the tenant's plan; free if absent")    \
    F(M, BOOL, prepaid,    OPTIONAL, 0, 1, NULL, "the tenant pays before it uses")        \
    F(M, STRS, cidrs,      OPTIONAL, 0, 32, NULL, "networks it may be used from; any if absent") \
    F(M, STRS, models,     OPTIONAL, 0, 64, NULL, "models it may use; any if absent")     \
    F(M, RECS, limits,     OPTIONAL, 0, 8, &rate_limit_item_rec, "beside those of the plan") \
    F(M, STRS, origins,    OPTIONAL, 0, 32, NULL, "web origins that may use the tenant's keys") \
    F(M, STR,  version,    OPTIONAL, 1, 16, NULL, "the Omni-Version it was made for")     \
    F(M, I64,  clock_ms,   OPTIONAL, -9e15, 9e15, NULL, "what the sandbox's clock is ahead") \
    F(M, BOOL, cache,      OPTIONAL, 0, 1, NULL, "the tenant's answers may be kept; true if absent")

#define KEY_CHANGE_ITEM(F, M)                                                             \
    F(M, I64, seq,  REQUIRED, 1, 9e15, NULL, "place in the feed")                         \
    F(M, BIN, hash, REQUIRED, 32, 32, NULL, "hash of a key that changed; zeros for all of a tenant's") \
    F(M, STR, tenant, OPTIONAL, 1, 48, NULL, "the tenant that changed, or one of whose users did")
REC_DECLARE(key_change_item, KEY_CHANGE_ITEM);
#define KEY_CHANGES_REQUEST(F, M)                                                         \
    F(M, I64, since, REQUIRED, 0, 9e15, NULL, "the last seq the caller has applied")
#define KEY_CHANGES_REPLY(F, M)                                                           \
    F(M, RECS, data, REQUIRED, 0, 256, &key_change_item_rec, "changes after it, in order")\
    F(M, I64,  last, REQUIRED, 0, 9e15, NULL, "seq of the newest change there is")

// ---- purges of the edges' caches

#define PURGE_ADD_REQUEST(F, M)                                                           \
    F(M, BIN, what, REQUIRED, 8, 40, NULL, "of the tenant's answers those with this tag, zeros for all, and this key") \
    F(M, BIN, by,   REQUIRED, 16, 16, NULL, "the process that forgets them itself")
#define PURGE_ITEM(F, M)                                                                  \
    F(M, I64, seq,    REQUIRED, 1, 9e15, NULL, "place in the feed")                       \
    F(M, STR, tenant, REQUIRED, 1, 48, NULL, "whose answers are to be forgotten")         \
    PURGE_ADD_REQUEST(F, M)
REC_DECLARE(purge_item, PURGE_ITEM);
#define PURGE_CHANGES_REPLY(F, M)                                                         \
    F(M, RECS, data, REQUIRED, 0, 256, &purge_item_rec, "purges after it, in order")      \
    F(M, I64,  last, REQUIRED, 0, 9e15, NULL, "seq of the newest purge there is")

// ---- requests with an Idempotency-Key that have their effect in the broker

#define IDEM_REQUEST(F, M)                                                                \
    F(M, STR, name, REQUIRED, 1, 64, NULL, "the key, its method and path, hashed")        \
    F(M, BIN, hash, REQUIRED, 32, 32, NULL, "SHA-256 of what is asked for")
#define IDEM_ANSWER(F, M, presence)                                                       \
    F(M, I64, status,   presence, 200, 299, NULL, "of the first answer; absent: there was none") \
    F(M, BIN, body,     OPTIONAL, 0, 900000, NULL, "its JSON")                            \
    F(M, STR, location, OPTIONAL, 1, 512, NULL, "its Location")
#define IDEM_CLAIM_REPLY(F, M) IDEM_ANSWER(F, M, OPTIONAL)
#define IDEM_KEEP_REQUEST(F, M) IDEM_REQUEST(F, M) IDEM_ANSWER(F, M, REQUIRED)

// ---- requests and replies that many operations share

#define EMPTY_REQUEST(F, M)                                                               \
    F(M, I64, unused, INTERNAL, 0, 0, NULL, "nothing is asked for")
#define EMPTY_REPLY(F, M)                                                                 \
    F(M, I64, unused, INTERNAL, 0, 0, NULL, "nothing is said")
#define ID_REQUEST(F, M)                                                                  \
    F(M, STR, id, REQUIRED, 1, 48, NULL, "id of the object")
#define FORWARD_REQUEST(F, M)                                                             \
    F(M, I64, limit, OPTIONAL, 1, 100, NULL, "how many at most; 20 if absent")            \
    F(M, STR, after, OPTIONAL, 1, 64, NULL, "id of the last object of the page before")
#define LIST_REQUEST(F, M)                                                                \
    FORWARD_REQUEST(F, M)                                                                 \
    F(M, STR, before, OPTIONAL, 1, 64, NULL, "id of the first object of the page behind")  \
    F(M, STR, order, OPTIONAL, 3, 4, NULL, "desc, the newest first, or asc; desc if absent")
#define DELETED_REPLY(F, M)                                                               \
    F(M, STR,  id,      REQUIRED, 1, 48, NULL, "id of what was deleted")                  \
    F(M, BOOL, deleted, REQUIRED, 0, 1, NULL, "always true")

// A page of objects: {object:"list", data, has_more, first_id, last_id}.
#define PAGE_REPLY(F, M, item)                                                            \
    F(M, STR,  object,   REQUIRED, 4, 4, NULL, "always list")                             \
    F(M, RECS, data,     REQUIRED, 0, 1000, item, "the objects, newest first")            \
    F(M, BOOL, has_more, REQUIRED, 0, 1, NULL, "are there older ones?")                   \
    F(M, STR,  first_id, OPTIONAL, 1, 64, NULL, "id of the first object")                 \
    F(M, STR,  last_id,  OPTIONAL, 1, 64, NULL, "id of the last object; give it as after")

#define KEY_PAGE(F, M) PAGE_REPLY(F, M, &key_item_rec)
#define TENANT_PAGE(F, M) PAGE_REPLY(F, M, &tenant_item_rec)
#define USER_PAGE(F, M) PAGE_REPLY(F, M, &user_item_rec)
#define ROLE_PAGE(F, M) PAGE_REPLY(F, M, &role_item_rec)
#define BINDING_PAGE(F, M) PAGE_REPLY(F, M, &binding_item_rec)
#define TEAM_PAGE(F, M) PAGE_REPLY(F, M, &team_item_rec)

// ---- registry

#define FILE_ITEM(F, M)                                                                   \
    F(M, STR, id,         REQUIRED, 1, 48, NULL, "file id")                               \
    F(M, STR, object,     REQUIRED, 1, 32, NULL, "always file")                           \
    F(M, STR, purpose,    REQUIRED, 1, 32, NULL, "dataset")                               \
    F(M, STR, filename,   REQUIRED, 0, 255, NULL, "as it was uploaded")                   \
    F(M, I64, bytes,      REQUIRED, 0, 9e15, NULL, "its size")                            \
    F(M, STR, sha256,     REQUIRED, 64, 64, NULL, "checksum of its bytes, hexadecimal")   \
    F(M, I64, created_at, REQUIRED, 0, 9e15, NULL, "when it was made, s since 1970")      \
    F(M, STR, blob,       INTERNAL, 1, 128, NULL, "where its bytes are")
REC_DECLARE(file_item, FILE_ITEM);
#define FILE_CREATE_REQUEST(F, M)                                                         \
    F(M, STR, id,       REQUIRED, 1, 48, NULL, "made by the edge: the same id is one file")\
    F(M, STR, purpose,  REQUIRED, 1, 32, NULL, "dataset")                                 \
    F(M, STR, filename, REQUIRED, 0, 255, NULL, "as it was uploaded")                     \
    F(M, I64, bytes,    REQUIRED, 0, 9e15, NULL, "its size")                              \
    F(M, STR, sha256,   REQUIRED, 64, 64, NULL, "checksum of its bytes, hexadecimal")     \
    F(M, STR, blob,     REQUIRED, 1, 128, NULL, "where its bytes are")
#define FILE_PAGE(F, M) PAGE_REPLY(F, M, &file_item_rec)

#define MODEL_ITEM(F, M)                                                                  \
    F(M, STR, id,         REQUIRED, 1, 48, NULL, "model version id")                      \
    F(M, STR, object,     REQUIRED, 1, 32, NULL, "always model")                          \
    F(M, STR, name,       REQUIRED, 1, 64, NULL, "name of the model, unique in a tenant") \
    F(M, I64, version,    REQUIRED, 1, 1e9, NULL, "counts from 1 within the name")        \
    F(M, STR, model_type, REQUIRED, 1, 64, NULL, "the plug-in that made it")              \
    F(M, STR, task_id,    REQUIRED, 1, 48, NULL, "the training that made it")             \
    F(M, STR, training_file, OPTIONAL, 1, 48, NULL, "the file it learned from")           \
    F(M, MAP, metrics,    REQUIRED, 0, 64, NULL, "what the backtest measured")            \
    F(M, I64, bytes,      REQUIRED, 0, 9e15, NULL, "size of its parameters")              \
    F(M, STR, sha256,     REQUIRED, 64, 64, NULL, "checksum of its parameters")           \
    F(M, I64, created_at, REQUIRED, 0, 9e15, NULL, "when it was made, s since 1970")      \
    F(M, STR, blob,       INTERNAL, 1, 128, NULL, "where its parameters are")
REC_DECLARE(model_item, MODEL_ITEM);
#define MODEL_CREATE_REQUEST(F, M)                                                        \
    F(M, STR, task_id,    REQUIRED, 1, 48, NULL, "the same task makes one version")       \
    F(M, STR, name,       REQUIRED, 1, 64, NULL, "name of the model")                     \
    F(M, STR, model_type, REQUIRED, 1, 64, NULL, "the plug-in that made it")              \
    F(M, STR, training_file, OPTIONAL, 1, 48, NULL, "the file it learned from")           \
    F(M, MAP, metrics,    REQUIRED, 0, 64, NULL, "what the backtest measured")            \
    F(M, I64, bytes,      REQUIRED, 0, 9e15, NULL, "size of its parameters")              \
    F(M, STR, sha256,     REQUIRED, 64, 64, NULL, "checksum of its parameters")           \
    F(M, STR, blob,       REQUIRED, 1, 128, NULL, "where its parameters are")
#define MODEL_PAGE(F, M) PAGE_REPLY(F, M, &model_item_rec)

// ---- inference

#define TRAIN_REQUEST(F, M)                                                               \
    F(M, STR, model,         REQUIRED, 1, 64, NULL, "model plug-in, e.g. revenue-lstm")   \
    F(M, STR, training_file, REQUIRED, 1, 48, NULL, "id of an uploaded CSV file")         \
    F(M, STR, target,        REQUIRED, 1, 128, NULL, "the CSV column to forecast")        \
    F(M, I64, horizon,       OPTIONAL, 1, 1000, NULL, "steps to forecast; 12 if absent")  \
    F(M, I64, period,        OPTIONAL, 1, 10000, NULL, "steps in a season; found from the data if absent") \
    F(M, STR, name,          OPTIONAL, 1, 64, NULL, "name of the model; the plug-in's if absent") \
    F(M, MAP, params,        OPTIONAL, 0, 32, NULL, "epochs, hidden, learning_rate, members, seed")
#define TRAIN_CHECK_REPLY(F, M)                                                           \
    F(M, I64, rows,   REQUIRED, 1, 1e9, NULL, "values in the column")                     \
    F(M, I64, period, REQUIRED, 1, 1e9, NULL, "steps in a season, as given or found")
#define TRAIN_REPLY(F, M)                                                                 \
    F(M, STR, model_id,   REQUIRED, 1, 48, NULL, "id of the new model version")           \
    F(M, I64, version,    REQUIRED, 1, 1e9, NULL, "its number")                           \
    F(M, STR, model_type, REQUIRED, 1, 64, NULL, "the plug-in that made it")              \
    F(M, MAP, metrics,    REQUIRED, 0, 64, NULL, "loss, and errors of the backtest")

#define PREDICT_REQUEST(F, M)                                                             \
    F(M, NUMS, time_series,    REQUIRED, 1, 100000, NULL, "observed values, oldest first")\
    F(M, I64,  forecast_steps, REQUIRED, 1, 1000, NULL, "how many values to forecast")    \
    F(M, STR,  model_id,       OPTIONAL, 1, 48, NULL, "a trained model; without it the model is fitted in the call") \
    F(M, I64,  period,         OPTIONAL, 1, 10000, NULL, "steps in a season; found from the data if absent") \
    F(M, F64,  confidence,     OPTIONAL, 0.5, 0.99, NULL, "of the interval; 0.9 if absent") \
    F(M, BOOL, stream,         OPTIONAL, 0, 1, NULL, "answer with events, part by part")  \
    F(M, STR,  model,          INTERNAL, 1, 64, NULL, "model plug-in, from the path")
#define PREDICT_REPLY(F, M)                                                               \
    F(M, NUMS, predictions, REQUIRED, 0, 1000, NULL, "forecast values")                   \
    F(M, NUMS, lower,       REQUIRED, 0, 1000, NULL, "lower bounds of the interval")      \
    F(M, NUMS, upper,       REQUIRED, 0, 1000, NULL, "upper bounds of the interval")      \
    F(M, F64,  confidence,  REQUIRED, 0, 1, NULL, "share of values the interval is meant to hold") \
    F(M, STR,  model_type,  REQUIRED, 1, 64, NULL, "what made the forecast")              \
    F(M, STR,  model_id,    OPTIONAL, 1, 48, NULL, "the trained model used")

// A part of a prediction, for a caller that takes parts: the REPLY then has no values.
#define PREDICT_PART(F, M)                                                                \
    F(M, I64,  step,        REQUIRED, 1, 1000, NULL, "which step its first value is, from 1") \
    F(M, NUMS, predictions, REQUIRED, 1, 1000, NULL, "forecast values")                   \
    F(M, NUMS, lower,       REQUIRED, 1, 1000, NULL, "lower bounds of the interval")      \
    F(M, NUMS, upper,       REQUIRED, 1, 1000, NULL, "upper bounds of the interval")
REC_DECLARE(predict_part, PREDICT_PART);

// ---- billing

#define USAGE_ITEM(F, M)                                                                  \
    F(M, STR, meter,    REQUIRED, 1, 64, NULL, "meter")                                   \
    F(M, STR, unit,     REQUIRED, 1, 32, NULL, "its base unit")                           \
    F(M, STR, quantity, REQUIRED, 1, 32, NULL, "used in the range, a decimal integer")
REC_DECLARE(usage_item, USAGE_ITEM);
#define USAGE_QUERY_REQUEST(F, M)                                                         \
    F(M, I64, from,     OPTIONAL, 0, 9e12, NULL, "start, s since 1970; start of the month if absent") \
    F(M, I64, to,       OPTIONAL, 0, 9e12, NULL, "end (exclusive), s since 1970; now if absent") \
    F(M, STR, group_by, OPTIONAL, 5, 5, NULL, "meter")
#define USAGE_PAGE(F, M) PAGE_REPLY(F, M, &usage_item_rec)

// A limit of a plan on what is used in a window of time.
#define PLAN_QUOTA(F, M)                                                                  \
    F(M, STR, policy, REQUIRED, 1, 32, NULL, "name of a quota (quota.h)")                 \
    F(M, I64, limit,  REQUIRED, 0, 9e15, NULL, "in the base unit of its meter")
REC_DECLARE(plan_quota, PLAN_QUOTA);
#define PLAN_ITEM(F, M)                                                                   \
    F(M, STR,  code,       REQUIRED, 1, 32, NULL, "free, pro, enterprise, ...")           \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always plan")                          \
    F(M, STR,  name,       REQUIRED, 1, 64, NULL, "for people")                           \
    F(M, I64,  requests,   OPTIONAL, 0, 1e9, NULL, "requests in any minute; absent: no limit") \
    F(M, I64,  tokens,     OPTIONAL, 0, 1e12, NULL, "tokens in any minute; absent: no limit") \
    F(M, I64,  concurrent, OPTIONAL, 0, 1e6, NULL, "requests at a time; absent: no limit") \
    F(M, RECS, quotas,     REQUIRED, 0, 32, &plan_quota_rec, "a quota that is absent is not limited")
REC_DECLARE(plan_item, PLAN_ITEM);
#define PLAN_CHANGES_REQUEST(F, M)                                                        \
    F(M, I64, since, REQUIRED, 0, 9e15, NULL, "the version the caller has; 0 for none")
#define PLAN_CHANGES_REPLY(F, M)                                                          \
    F(M, I64,  version, REQUIRED, 0, 9e15, NULL, "of the plans")                          \
    F(M, RECS, data,    OPTIONAL, 0, 256, &plan_item_rec, "all plans, if they changed")   \
    F(M, STRS, tenants, OPTIONAL, 0, 256, NULL, "whose own quotas changed; with data and without this: perhaps any tenant's")
#define PLAN_PAGE(F, M) PAGE_REPLY(F, M, &plan_item_rec)
#define PLAN_SET_REQUEST(F, M)                                                            \
    F(M, STR,  code,       INTERNAL, 1, 32, NULL, "[a-z][a-z0-9_-]*")                     \
    F(M, STR,  name,       REQUIRED, 1, 64, NULL, "for people")                           \
    F(M, I64,  requests,   OPTIONAL, 0, 1e9, NULL, "requests in any minute; absent: no limit") \
    F(M, I64,  tokens,     OPTIONAL, 0, 1e12, NULL, "tokens in any minute; absent: no limit") \
    F(M, I64,  concurrent, OPTIONAL, 0, 1e6, NULL, "requests at a time; absent: no limit") \
    F(M, RECS, quotas,     OPTIONAL, 0, 32, &plan_quota_rec, "a quota that is absent is not limited")

// A block of a quota that an edge spends by itself. The call's id is the lease's: asking
// again gives the same.
#define QUOTA_LEASE_REQUEST(F, M)                                                         \
    F(M, STR, policy, REQUIRED, 1, 32, NULL, "name of a quota (quota.h)")                 \
    F(M, STR, plan,   REQUIRED, 1, 32, NULL, "the tenant's plan")                         \
    F(M, I64, amount, REQUIRED, 1, 9e15, NULL, "how much is wanted")                      \
    F(M, I64, least,  REQUIRED, 1, 9e15, NULL, "less than this is of no use")
#define QUOTA_LEASE_REPLY(F, M)                                                           \
    F(M, STR, lease,      REQUIRED, 0, 64, NULL, "its name; empty if nothing was granted") \
    F(M, I64, granted,    REQUIRED, 0, 9e15, NULL, "0: the quota is used up")             \
    F(M, I64, expires_ms, REQUIRED, 0, 9e15, NULL, "what was not used by then is given back, ms since 1970") \
    F(M, I64, limit,      OPTIONAL, 0, 9e15, NULL, "of the window; absent: no limit")     \
    F(M, I64, remaining,  REQUIRED, 0, 9e15, NULL, "beside what was granted")             \
    F(M, I64, leased,     OPTIONAL, 0, 9e15, NULL, "in all blocks: some of it may come back") \
    F(M, I64, resets_ms,  REQUIRED, 0, 9e15, NULL, "when the window ends, ms since 1970; 0: never")
#define QUOTA_SETTLE_REQUEST(F, M)                                                        \
    F(M, STR, lease, REQUIRED, 1, 64, NULL, "as it was granted")                          \
    F(M, I64, used,  REQUIRED, 0, 9e15, NULL, "of it; the rest is given back")            \
    F(M, STR, object, OPTIONAL, 1, 48, NULL, "the task or file whose usage event is to come: all of the block is out until then")
#define QUOTA_ITEM(F, M)                                                                  \
    F(M, STR, policy,    REQUIRED, 1, 32, NULL, "name of the quota")                      \
    F(M, STR, object,    REQUIRED, 1, 32, NULL, "always quota")                           \
    F(M, STR, meter,     REQUIRED, 1, 64, NULL, "what it counts")                         \
    F(M, STR, window,    REQUIRED, 1, 16, NULL, "month, day, or none: what is there now") \
    F(M, I64, limit,     OPTIONAL, 0, 9e15, NULL, "absent: no limit")                     \
    F(M, I64, used,      REQUIRED, 0, 9e15, NULL, "metered in the window")                \
    F(M, I64, leased,    REQUIRED, 0, 9e15, NULL, "given out in blocks, and not settled")  \
    F(M, I64, resets_ms, OPTIONAL, 0, 9e15, NULL, "when the window ends, ms since 1970")  \
    F(M, BOOL, overridden, OPTIONAL, 0, 1, NULL, "the limit is the tenant's own, not its plan's")
REC_DECLARE(quota_item, QUOTA_ITEM);
#define QUOTA_LIST_REQUEST(F, M)                                                          \
    F(M, STR, plan, INTERNAL, 1, 32, NULL, "the tenant's plan; absent: as it was seen last")
#define QUOTA_PAGE(F, M) PAGE_REPLY(F, M, &quota_item_rec)
#define QUOTA_SET_REQUEST(F, M)                                                           \
    F(M, STR, policy, INTERNAL, 1, 32, NULL, "name of the quota")                         \
    F(M, I64, limit,  OPTIONAL, 0, 9e15, NULL, "the tenant's own; absent: as its plan says") \
    F(M, STR, plan,   INTERNAL, 1, 32, NULL, "the tenant's plan; absent: as it was seen last")

// ---- compliance

// Body of an event of topic "audit".
#define AUDIT_EVENT(F, M)                                                                 \
    F(M, STR, actor,       REQUIRED, 1, 128, NULL, "who: a key, a user or a service")     \
    F(M, STR, action,      REQUIRED, 1, 128, NULL, "what, e.g. keys.create")              \
    F(M, STR, resource,    REQUIRED, 0, 256, NULL, "to what")                             \
    F(M, STR, result,      REQUIRED, 1, 32, NULL, "pending, success, denied or failed")   \
    F(M, STR, ip,          OPTIONAL, 0, 64, NULL, "from where")                           \
    F(M, STR, user_agent,  OPTIONAL, 0, 256, NULL, "with what")                           \
    F(M, STR, correlation, OPTIONAL, 0, 64, NULL, "request id")
REC_DECLARE(audit_event, AUDIT_EVENT);
#define AUDIT_ITEM(F, M)                                                                  \
    F(M, STR, id,          REQUIRED, 1, 48, NULL, "place in the tenant's chain")          \
    F(M, I64, at,          REQUIRED, 0, 9e15, NULL, "when, ms since 1970")                \
    AUDIT_EVENT(F, M)                                                                     \
    F(M, STR, hash,        REQUIRED, 64, 64, NULL, "SHA-256 over the row and the one before") 
REC_DECLARE(audit_item, AUDIT_ITEM);
#define AUDIT_PAGE(F, M) PAGE_REPLY(F, M, &audit_item_rec)
#define REQUEST_PAGE(F, M) PAGE_REPLY(F, M, &request_summary_rec)
#define ERROR_PAGE(F, M) PAGE_REPLY(F, M, &error_group_rec)
#define AUDIT_VERIFY_REPLY(F, M)                                                          \
    F(M, BOOL, valid,     REQUIRED, 0, 1, NULL, "does every row's hash hold?")            \
    F(M, I64,  entries,   REQUIRED, 0, 9e15, NULL, "rows checked")                        \
    F(M, STR,  head,      REQUIRED, 0, 64, NULL, "hash of the newest row")                \
    F(M, I64,  broken_at, OPTIONAL, 1, 9e15, NULL, "the first row that does not hold")

// ---- scheduler

#define ERROR_TENANT_REQUEST(F, M)                                                        \
    LIST_REQUEST(F, M)                                                                    \
    ERROR_LIST_REQUEST(F, M)
#define ERROR_ALL_REQUEST(F, M)                                                           \
    LIST_REQUEST(F, M)                                                                    \
    ERROR_LIST_REQUEST(F, M)                                                              \
    F(M, STR, tenant, OPTIONAL, 1, 48, NULL, "only of this tenant")

#define SCHEDULE_ITEM(F, M)                                                               \
    F(M, STR, id,         REQUIRED, 1, 48, NULL, "schedule id")                           \
    F(M, STR, object,     REQUIRED, 1, 32, NULL, "always schedule")                       \
    F(M, STR, cron,       REQUIRED, 1, 128, NULL, "five fields, UTC")                     \
    F(M, STR, queue,      REQUIRED, 1, 64, NULL, "where the jobs go")                     \
    F(M, STR, kind,       REQUIRED, 1, 64, NULL, "kind of job")                           \
    F(M, STR, misfire,    REQUIRED, 1, 16, NULL, "skip, latest or all")                   \
    F(M, I64, next_ms,    OPTIONAL, 0, 9e15, NULL, "next nominal time, ms since 1970")    \
    F(M, I64, last_ms,    OPTIONAL, 0, 9e15, NULL, "last nominal time fired")             \
    F(M, STR, last_task,  OPTIONAL, 1, 48, NULL, "the task it made")                      \
    F(M, I64, created_at, REQUIRED, 0, 9e15, NULL, "when it was made, s since 1970")
REC_DECLARE(schedule_item, SCHEDULE_ITEM);
#define SCHEDULE_CREATE_REQUEST(F, M)                                                     \
    F(M, STR, cron,    REQUIRED, 1, 128, NULL, "minute hour day month weekday, UTC")      \
    F(M, STR, queue,   REQUIRED, 1, 64, NULL, "a queue of your own")                      \
    F(M, STR, kind,    REQUIRED, 1, 64, NULL, "kind of job")                              \
    F(M, MAP, payload, OPTIONAL, 0, 1000, NULL, "given to the worker as JSON")            \
    F(M, STR, misfire, OPTIONAL, 1, 16, NULL, "of times missed while down: skip, latest (default) or all")
#define SCHEDULE_PAGE(F, M) PAGE_REPLY(F, M, &schedule_item_rec)

//  name             queue       lane  request                  reply              callers
#define OP_LIST(X)                                                                        \
    X(key_resolve,     IDENTITY,   CALL, KEY_RESOLVE_REQUEST,     KEY_RESOLVE_REPLY,      \
      ROLE_BIT(INGEST) | ROLE_BIT(BROKER),                                                \
      "whose key is this, and what may it do?")                                           \
    X(key_create,      IDENTITY,   CALL, KEY_CREATE_REQUEST,      KEY_ITEM,               \
      ROLE_BIT(INGEST), "make an API key")                                                \
    X(key_list,        IDENTITY,   CALL, LIST_REQUEST,            KEY_PAGE,               \
      ROLE_BIT(INGEST), "the tenant's API keys")                                          \
    X(key_revoke,      IDENTITY,   CALL, ID_REQUEST,              KEY_ITEM,               \
      ROLE_BIT(INGEST), "revoke an API key for ever")                                     \
    X(key_changes,     IDENTITY,   CALL, KEY_CHANGES_REQUEST,     KEY_CHANGES_REPLY,      \
      ROLE_BIT(INGEST) | ROLE_BIT(BROKER), "which keys changed since?")                   \
    X(key_get,         IDENTITY,   CALL, ID_REQUEST,              KEY_ITEM,               \
      ROLE_BIT(INGEST), "one API key")                                                    \
    X(key_rotate,      IDENTITY,   CALL, KEY_ROTATE_REQUEST,      KEY_ITEM,               \
      ROLE_BIT(INGEST), "make the successor of an API key")                               \
    X(key_used,        IDENTITY,   CALL, KEY_USED_REQUEST,        EMPTY_REPLY,            \
      ROLE_BIT(INGEST), "say which API keys were used")                                   \
    X(idem_claim,      IDENTITY,   CALL, IDEM_REQUEST,            IDEM_CLAIM_REPLY,       \
      ROLE_BIT(INGEST), "begin a request with an Idempotency-Key, or get its answer")     \
    X(idem_keep,       IDENTITY,   CALL, IDEM_KEEP_REQUEST,       EMPTY_REPLY,            \
      ROLE_BIT(INGEST), "keep the answer of a request that was begun")                    \
    X(idem_drop,       IDENTITY,   CALL, IDEM_REQUEST,            EMPTY_REPLY,            \
      ROLE_BIT(INGEST), "a request that was begun had no effect")                         \
    X(purge_add,       IDENTITY,   CALL, PURGE_ADD_REQUEST,       EMPTY_REPLY,            \
      ROLE_BIT(INGEST), "have every edge forget answers")                                 \
    X(purge_changes,   IDENTITY,   CALL, KEY_CHANGES_REQUEST,     PURGE_CHANGES_REPLY,    \
      ROLE_BIT(INGEST), "which answers are to be forgotten since?")                       \
    X(tenant_show,     IDENTITY,   CALL, EMPTY_REQUEST,           TENANT_ITEM,            \
      ROLE_BIT(INGEST), "the caller's own tenant")                                        \
    X(tenant_patch,    IDENTITY,   CALL, TENANT_PATCH_REQUEST,    TENANT_ITEM,            \
      ROLE_BIT(INGEST), "change the caller's own tenant")                                 \
    X(config_get,      IDENTITY,   CALL, EMPTY_REQUEST,           CONFIG_ITEM,            \
      ROLE_BIT(INGEST), "what is set for the tenant, and what can be")                    \
    X(config_put,      IDENTITY,   CALL, CONFIG_PUT_REQUEST,      CONFIG_ITEM,            \
      ROLE_BIT(INGEST), "set all that is set for the tenant")                             \
    X(tenant_create,   IDENTITY,   CALL, TENANT_CREATE_REQUEST,   TENANT_ITEM,            \
      ROLE_BIT(INGEST), "make a tenant and its first key")                                \
    X(tenant_list,     IDENTITY,   CALL, LIST_REQUEST,            TENANT_PAGE,            \
      ROLE_BIT(INGEST), "all tenants but sandboxes")                                      \
    X(tenant_get,      IDENTITY,   CALL, ID_REQUEST,              TENANT_ITEM,            \
      ROLE_BIT(INGEST), "one tenant")                                                     \
    X(tenant_update,   IDENTITY,   CALL, TENANT_UPDATE_REQUEST,   TENANT_ITEM,            \
      ROLE_BIT(INGEST), "change a tenant")                                                \
    X(tenant_close,    IDENTITY,   CALL, ID_REQUEST,              TENANT_ITEM,            \
      ROLE_BIT(INGEST), "close a tenant for ever")                                        \
    X(user_create,     IDENTITY,   CALL, USER_CREATE_REQUEST,     USER_ITEM,              \
      ROLE_BIT(INGEST), "make a user, or take one in")                                    \
    X(user_list,       IDENTITY,   CALL, LIST_REQUEST,            USER_PAGE,              \
      ROLE_BIT(INGEST), "the tenant's users")                                             \
    X(user_get,        IDENTITY,   CALL, ID_REQUEST,              USER_ITEM,              \
      ROLE_BIT(INGEST), "one user")                                                       \
    X(user_update,     IDENTITY,   CALL, USER_UPDATE_REQUEST,     USER_ITEM,              \
      ROLE_BIT(INGEST), "change a user")                                                  \
    X(user_delete,     IDENTITY,   CALL, USER_DELETE_REQUEST,     DELETED_REPLY,          \
      ROLE_BIT(INGEST), "delete a user, and end its keys")                                \
    X(role_create,     IDENTITY,   CALL, ROLE_CREATE_REQUEST,     ROLE_ITEM,              \
      ROLE_BIT(INGEST), "make a role")                                                    \
    X(role_list,       IDENTITY,   CALL, EMPTY_REQUEST,           ROLE_PAGE,              \
      ROLE_BIT(INGEST), "the roles there are in the tenant")                              \
    X(role_get,        IDENTITY,   CALL, ID_REQUEST,              ROLE_ITEM,              \
      ROLE_BIT(INGEST), "one role")                                                       \
    X(role_update,     IDENTITY,   CALL, ROLE_UPDATE_REQUEST,     ROLE_ITEM,              \
      ROLE_BIT(INGEST), "say anew what a role allows")                                    \
    X(role_delete,     IDENTITY,   CALL, ROLE_DELETE_REQUEST,     DELETED_REPLY,          \
      ROLE_BIT(INGEST), "delete a role nobody has")                                       \
    X(binding_create,  IDENTITY,   CALL, BINDING_CREATE_REQUEST,  BINDING_ITEM,           \
      ROLE_BIT(INGEST), "give a user a role")                                             \
    X(binding_list,    IDENTITY,   CALL, BINDING_LIST_REQUEST,    BINDING_PAGE,           \
      ROLE_BIT(INGEST), "who has which role")                                             \
    X(binding_delete,  IDENTITY,   CALL, BINDING_DELETE_REQUEST,  DELETED_REPLY,          \
      ROLE_BIT(INGEST), "take a role from a user")                                        \
    X(team_create,     IDENTITY,   CALL, TEAM_CREATE_REQUEST,     TEAM_ITEM,              \
      ROLE_BIT(INGEST), "make a team")                                                    \
    X(team_list,       IDENTITY,   CALL, LIST_REQUEST,            TEAM_PAGE,              \
      ROLE_BIT(INGEST), "the tenant's teams")                                             \
    X(team_get,        IDENTITY,   CALL, ID_REQUEST,              TEAM_ITEM,              \
      ROLE_BIT(INGEST), "one team")                                                       \
    X(team_update,     IDENTITY,   CALL, TEAM_UPDATE_REQUEST,     TEAM_ITEM,              \
      ROLE_BIT(INGEST), "change a team")                                                  \
    X(team_delete,     IDENTITY,   CALL, ID_REQUEST,              DELETED_REPLY,          \
      ROLE_BIT(INGEST), "delete a team nobody is in")                                     \
    X(file_create,     REGISTRY,   CALL, FILE_CREATE_REQUEST,     FILE_ITEM,              \
      ROLE_BIT(INGEST), "register uploaded bytes as a file")                              \
    X(file_get,        REGISTRY,   CALL, ID_REQUEST,              FILE_ITEM,              \
      ROLE_BIT(INGEST) | ROLE_BIT(INFERENCE), "one file")                                 \
    X(file_list,       REGISTRY,   CALL, LIST_REQUEST,            FILE_PAGE,              \
      ROLE_BIT(INGEST), "the tenant's files")                                             \
    X(file_delete,     REGISTRY,   CALL, ID_REQUEST,              DELETED_REPLY,          \
      ROLE_BIT(INGEST), "delete a file")                                                  \
    X(model_create,    REGISTRY,   CALL, MODEL_CREATE_REQUEST,    MODEL_ITEM,             \
      ROLE_BIT(INFERENCE), "register a trained model version")                            \
    X(model_get,       REGISTRY,   CALL, ID_REQUEST,              MODEL_ITEM,             \
      ROLE_BIT(INGEST) | ROLE_BIT(INFERENCE), "one model version")                        \
    X(model_list,      REGISTRY,   CALL, LIST_REQUEST,            MODEL_PAGE,             \
      ROLE_BIT(INGEST), "the tenant's model versions")                                    \
    X(predict,         INFERENCE,  CALL, PREDICT_REQUEST,         PREDICT_REPLY,          \
      ROLE_BIT(INGEST), "forecast a time series")                                         \
    X(train_check,     INFERENCE,  CALL, TRAIN_REQUEST,           TRAIN_CHECK_REPLY,      \
      ROLE_BIT(INGEST), "could this training learn from its file?")                       \
    X(train,           TRAINING,   JOB,  TRAIN_REQUEST,           TRAIN_REPLY,            \
      ROLE_BIT(INGEST) | ROLE_BIT(SCHEDULER), "train a model on a CSV file")              \
    X(usage_query,     BILLING,    CALL, USAGE_QUERY_REQUEST,     USAGE_PAGE,             \
      ROLE_BIT(INGEST), "what was used, by meter")                                        \
    X(plan_changes,    BILLING,    CALL, PLAN_CHANGES_REQUEST,    PLAN_CHANGES_REPLY,     \
      ROLE_BIT(INGEST), "the plans, if they changed")                                     \
    X(plan_list,       BILLING,    CALL, FORWARD_REQUEST,         PLAN_PAGE,              \
      ROLE_BIT(INGEST), "the plans")                                                      \
    X(plan_set,        BILLING,    CALL, PLAN_SET_REQUEST,        PLAN_ITEM,              \
      ROLE_BIT(INGEST), "make or change a plan")                                          \
    X(quota_lease,     BILLING,    CALL, QUOTA_LEASE_REQUEST,     QUOTA_LEASE_REPLY,      \
      ROLE_BIT(INGEST), "take a block of a quota, to spend")                              \
    X(quota_settle,    BILLING,    CALL, QUOTA_SETTLE_REQUEST,    EMPTY_REPLY,            \
      ROLE_BIT(INGEST), "say what was used of a block, and give back the rest")           \
    X(quota_list,      BILLING,    CALL, QUOTA_LIST_REQUEST,      QUOTA_PAGE,             \
      ROLE_BIT(INGEST), "the tenant's quotas, and what is used")                          \
    X(quota_set,       BILLING,    CALL, QUOTA_SET_REQUEST,       QUOTA_ITEM,             \
      ROLE_BIT(INGEST), "give a tenant a limit of its own")                               \
    X(audit_list,      COMPLIANCE, CALL, LIST_REQUEST,            AUDIT_PAGE,             \
      ROLE_BIT(INGEST), "the tenant's audit log")                                         \
    X(audit_verify,    COMPLIANCE, CALL, EMPTY_REQUEST,           AUDIT_VERIFY_REPLY,     \
      ROLE_BIT(INGEST), "check the hash chain of the tenant's audit log")                 \
    X(request_keep,    COMPLIANCE, CALL, REQUEST_KEEP_REQUEST,    REQUEST_KEEP_REPLY,     \
      ROLE_BIT(INGEST), "keep requests that failed, of any tenants")                      \
    X(request_list,    COMPLIANCE, CALL, REQUEST_LIST_REQUEST,    REQUEST_PAGE,           \
      ROLE_BIT(INGEST), "the tenant's requests that failed")                              \
    X(request_get,     COMPLIANCE, CALL, ID_REQUEST,              REQUEST_ITEM,           \
      ROLE_BIT(INGEST), "one request that failed")                                        \
    X(schedule_create, SCHEDULER,  CALL, SCHEDULE_CREATE_REQUEST, SCHEDULE_ITEM,          \
      ROLE_BIT(INGEST), "submit a job at the times of a cron expression")                 \
    X(schedule_list,   SCHEDULER,  CALL, LIST_REQUEST,            SCHEDULE_PAGE,          \
      ROLE_BIT(INGEST), "the tenant's schedules")                                         \
    X(schedule_delete, SCHEDULER,  CALL, ID_REQUEST,              DELETED_REPLY,          \
      ROLE_BIT(INGEST), "delete a schedule")                                              \
    X(status_get,      SCHEDULER,  CALL, EMPTY_REQUEST,           STATUS_REPLY,           \
      ROLE_BIT(INGEST), "how the platform does, and has done")                            \
    X(error_list,      SCHEDULER,  CALL, ERROR_TENANT_REQUEST,    ERROR_PAGE,             \
      ROLE_BIT(INGEST), "the tenant's groups of errors")                                  \
    X(error_get,       SCHEDULER,  CALL, ID_REQUEST,              ERROR_DETAIL,           \
      ROLE_BIT(INGEST), "one group, with its newest errors")                              \
    X(error_resolve,   SCHEDULER,  CALL, ERROR_CHANGE_REQUEST,    ERROR_GROUP,            \
      ROLE_BIT(INGEST), "it is done with, until it comes again")                          \
    X(error_ignore,    SCHEDULER,  CALL, ERROR_CHANGE_REQUEST,    ERROR_GROUP,            \
      ROLE_BIT(INGEST), "it is counted, and nobody wants to know")                        \
    X(error_reopen,    SCHEDULER,  CALL, ERROR_CHANGE_REQUEST,    ERROR_GROUP,            \
      ROLE_BIT(INGEST), "it is open again")                                               \
    X(error_list_all,  SCHEDULER,  CALL, ERROR_ALL_REQUEST,       ERROR_PAGE,             \
      ROLE_BIT(INGEST), "the platform's groups of errors, of all tenants")                \
    X(error_get_any,   SCHEDULER,  CALL, ID_REQUEST,              ERROR_DETAIL,           \
      ROLE_BIT(INGEST), "one of those, of whatever tenant")
// clang-format on

// struct NAME_request and struct NAME_reply for every operation.
#define OP_DECLARE(name, queue, lane, request, reply, callers, doc)                      \
    REC_DECLARE(name##_request, request);                                                \
    REC_DECLARE(name##_reply, reply);
OP_LIST(OP_DECLARE)
#undef OP_DECLARE

enum op_lane { LANE_CALL, LANE_JOB };

enum op {
#define OP_ENUM(name, queue, lane, request, reply, callers, doc) OP_##name,
    OP_LIST(OP_ENUM)
#undef OP_ENUM
        OP_COUNT
};

struct op_info {
    const char *name; // the kind of its CALL or job
    enum queue queue;
    enum op_lane lane;
    const struct rec *request, *reply;
    unsigned callers; // ROLE_BITs
    const char *doc;
};

extern const struct op_info ops[OP_COUNT];

// The operation of that name, or NULL.
const struct op_info *op_find(struct om_str name);

// rc.h - every way a call can end: one row decides whether it is retried, what HTTP
// status it becomes, and the error type and code a client reads.
//
// The code (lower-case name) travels on the wire and in HTTP errors, so a row's name
// never changes its meaning.
#pragma once
#include "base.h"

// clang-format off
//  symbol          code                 retry  http  type                     text
#define OM_RC_LIST(X)                                                                     \
    X(OM_OK,          "ok",                false, 200, "",                                \
      "done")                                                                             \
    X(OM_EDUP,        "duplicate",         false, 200, "",                                \
      "already done; nothing changed")                                                    \
    X(OM_EINVAL,      "invalid_request",   false, 400, "invalid_request_error",           \
      "the request is not valid")                                                         \
    X(OM_EPROTO,      "malformed",         false, 400, "invalid_request_error",           \
      "the message cannot be decoded")                                                    \
    X(OM_EAUTH,       "invalid_api_key",   false, 401, "authentication_error",            \
      "no valid API key was given")                                                       \
    X(OM_EFORBIDDEN,  "permission_denied", false, 403, "permission_error",                \
      "this key may not do that")                                                         \
    X(OM_ENOTFOUND,   "not_found",         false, 404, "not_found_error",                 \
      "there is no such object")                                                          \
    X(OM_ECONFLICT,   "conflict",          false, 409, "conflict_error",                  \
      "the object's state does not allow that")                                           \
    X(OM_ETOOBIG,     "too_large",         false, 413, "invalid_request_error",           \
      "the request is larger than the limit")                                             \
    X(OM_EREUSED,     "id_reused",         false, 422, "idempotency_error",               \
      "this id or key was used before with other content")                                \
    X(OM_EFULL,       "queue_full",        true,  429, "rate_limit_error",                \
      "too many jobs are waiting; try again later")                                       \
    X(OM_ERATE,       "rate_limited",      true,  429, "rate_limit_error",                \
      "too many requests; try again later")                                               \
    X(OM_EQUOTA,      "quota_exceeded",    false, 429, "quota_error",                     \
      "a quota is used up")                                                               \
    X(OM_EINTERNAL,   "internal_error",    false, 500, "api_error",                       \
      "something went wrong inside the platform")                                         \
    X(OM_EUNSUPPORTED,"unsupported",       false, 501, "api_error",                       \
      "the receiver does not know this message or operation")                             \
    X(OM_EDB,         "storage_error",     true,  503, "api_error",                       \
      "storage failed; the change may or may not have happened, repeating it is safe")    \
    X(OM_ENOSPACE,    "storage_full",      true,  503, "api_error",                       \
      "storage is full; free space on the machine that runs Omni")                        \
    X(OM_EUNAVAILABLE,"unavailable",       true,  503, "api_error",                       \
      "a service this needs cannot be reached; try again later")                          \
    X(OM_ETIMEOUT,    "timeout",           true,  504, "api_error",                       \
      "no answer came in time")                                                           \
    X(OM_ESTALE,      "stale_lease",       false, 409, "conflict_error",                  \
      "this lease is held by nobody or by another worker")                                \
    X(OM_ECANCELLED,  "cancelled",         false, 409, "conflict_error",                  \
      "it was cancelled")                                                                 \
    X(OM_ELOST,       "worker_lost",       true,  500, "api_error",                       \
      "the worker was lost while it held the job")                                        \
    X(OM_EEXPIRED,    "expired",           false, 410, "conflict_error",                  \
      "it was not started before it expired")                                             \
    X(OM_EMATCH,      "precondition_failed", false, 412, "conflict_error",                \
      "the object has changed since it was read")                                         \
    X(OM_EBUSY,       "request_in_progress", false, 409, "idempotency_error",              \
      "the first request with this Idempotency-Key is still under way; repeat it later")
// clang-format on

enum om_rc {
#define OM_RC_ENUM(symbol, code, retry, http, type, text) symbol,
    OM_RC_LIST(OM_RC_ENUM)
#undef OM_RC_ENUM
        OM_RC_COUNT
};

struct om_rc_info {
    const char *symbol;
    const char *code;
    bool retryable;
    int http_status;
    const char *type; // the error type of an HTTP answer
    const char *text;
};

// The row of `rc`; the row of OM_EINTERNAL if it is none of the list.
const struct om_rc_info *om_rc_info(enum om_rc rc);

// The result whose code is `code`; OM_EINTERNAL if there is none.
enum om_rc om_rc_find(struct om_str code);

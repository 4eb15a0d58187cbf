// request_log.h - what operations on the request log carry; ops.h has the operations.
//
// The log keeps requests that failed, without secrets: what the edge keeps of one is what
// compliance stores and gives back.
#pragma once
#include "record.h"

enum { REQUEST_BODY_MAX = 16 * 1024, REQUEST_PAGE_MAX = 64 };

// clang-format off

#define HEADER_ITEM(F, M)                                                                 \
    F(M, STR, name,  REQUIRED, 1, 128, NULL, "of the header field, in lower case")        \
    F(M, STR, value, REQUIRED, 0, 2048, NULL, "[redacted] if it could be a secret")
REC_DECLARE(header_item, HEADER_ITEM);

#define REQUEST_SUMMARY(F, M)                                                             \
    F(M, STR,  id,          REQUIRED, 1, 48, NULL, "request id, as x-request-id or omni-request-id had it") \
    F(M, STR,  object,      REQUIRED, 7, 7, NULL, "always request")                       \
    F(M, I64,  created_ms,  REQUIRED, 0, 9e15, NULL, "when it came, ms since 1970")       \
    F(M, I64,  duration_us, REQUIRED, 0, 9e15, NULL, "until it was answered")             \
    F(M, STR,  method,      REQUIRED, 1, 16, NULL, "GET, POST, …")                        \
    F(M, STR,  route,       REQUIRED, 1, 128, NULL, "the path it fits, as in /openapi.json") \
    F(M, STR,  path,        REQUIRED, 0, 2048, NULL, "as it was sent; empty if the client had left") \
    F(M, I64,  status,      REQUIRED, 400, 599, NULL, "of the answer")                    \
    F(M, STR,  code,        OPTIONAL, 1, 64, NULL, "of the error")                        \
    F(M, STR,  key_id,      REQUIRED, 1, 48, NULL, "the API key that was used")           \
    F(M, STR,  client_id,   OPTIONAL, 1, 128, NULL, "the x-request-id the client sent")

#define REQUEST_DETAIL(F, M)                                                              \
    REQUEST_SUMMARY(F, M)                                                                 \
    F(M, STR,  trace_id,    REQUIRED, 32, 32, NULL, "of the trace it belongs to")         \
    F(M, STR,  user,        OPTIONAL, 1, 48, NULL, "the user the key acts for")           \
    F(M, BOOL, sandbox,     REQUIRED, 0, 1, NULL, "it was made with a test key")          \
    F(M, STR,  query,       REQUIRED, 0, 4096, NULL, "as it was sent, without the question mark") \
    F(M, RECS, headers,     REQUIRED, 0, 128, &header_item_rec, "of the request")         \
    F(M, STR,  body,        OPTIONAL, 0, REQUEST_BODY_MAX, NULL, "of the request, as far as it is kept") \
    F(M, I64,  body_bytes,  REQUIRED, 0, 9e15, NULL, "how long it was, as far as it was read") \
    F(M, STR,  body_kept,   REQUIRED, 3, 8, NULL, "whole; cut: only its first 16 KiB; none: there was none; unread: it was refused before; binary: not kept") \
    F(M, BOOL, redacted,    REQUIRED, 0, 1, NULL, "something was taken out of path, query, body or a field that matters") \
    F(M, RECS, reply_headers, REQUIRED, 0, 64, &header_item_rec, "of the answer")         \
    F(M, STR,  reply_body,  OPTIONAL, 0, REQUEST_BODY_MAX, NULL, "of the answer")         \
    F(M, I64,  reply_bytes, REQUIRED, 0, 9e15, NULL, "how long it was")                   \
    F(M, BOOL, reply_cut,   OPTIONAL, 0, 1, NULL, "only its first 16 KiB are kept")

REC_DECLARE(request_summary, REQUEST_SUMMARY);

#define REQUEST_ITEM(F, M)                                                                \
    REQUEST_DETAIL(F, M)                                                                  \
    F(M, I64,  expires_ms,  REQUIRED, 0, 9e15, NULL, "when it is forgotten, ms since 1970")

// What the edge sends: those of any tenant.
#define REQUEST_KEPT(F, M)                                                                \
    F(M, STR,  tenant,      REQUIRED, 1, 48, NULL, "tenant id")                           \
    REQUEST_DETAIL(F, M)
REC_DECLARE(request_kept, REQUEST_KEPT);

#define REQUEST_KEEP_REQUEST(F, M)                                                        \
    F(M, RECS, data,        REQUIRED, 1, REQUEST_PAGE_MAX, &request_kept_rec, "requests that failed")
#define REQUEST_KEEP_REPLY(F, M)                                                          \
    F(M, I64,  kept,        REQUIRED, 0, REQUEST_PAGE_MAX, NULL, "of them; others were kept before")

#define REQUEST_LIST_REQUEST(F, M)                                                        \
    F(M, I64,  limit,       OPTIONAL, 1, 100, NULL, "how many at most; 20 if absent")     \
    F(M, STR,  after,       OPTIONAL, 1, 64, NULL, "id of the last object of the page before") \
    F(M, STR,  status,      OPTIONAL, 3, 3, NULL, "only these: 404, 4xx or 5xx")          \
    F(M, STR,  route,       OPTIONAL, 1, 128, NULL, "only of this path, as in /openapi.json") \
    F(M, STR,  code,        OPTIONAL, 1, 64, NULL, "only with this code")                 \
    F(M, STR,  client_id,   OPTIONAL, 1, 128, NULL, "only with this x-request-id of the client's") \
    F(M, I64,  since,       OPTIONAL, 0, 9e15, NULL, "only that came then or later, ms since 1970")
// clang-format on

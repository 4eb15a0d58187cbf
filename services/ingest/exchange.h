// exchange.h - one request being answered, from its head to its response.
//
// An exchange waits for at most one answer of the broker. It ends with one of the reply
// functions, which free it: a handler that has replied touches it no more. When the
// client leaves, one that changes something, or whose answer others wait for (cached.h),
// goes on without it; any other ends.
#pragma once
#include "arena.h"
#include "cached.h"
#include "guess.h"
#include "ingest.h"
#include "multipart.h"
#include "route.h"
#include "trace.h"

// Bytes on their way into a blob.
struct upload {
    struct om_multipart form;
    struct om_blob_writer *writer;
    struct om_blob_ref ref;
    enum { UPLOAD_SKIP, UPLOAD_FILE, UPLOAD_PURPOSE } part;
    bool has_file, ended;
    char purpose[33], filename[OM_MULTIPART_FILENAME_MAX + 1];
    size_t purpose_size;
    int64_t bytes; // of the file
};

struct exchange {
    struct edge *edge;
    const struct route *route;
    uint64_t handle; // of the request; om_http_find() gives it
    struct om_uuid id;
    char id_text[OM_TYPEID_MAX];
    struct om_str params[ROUTE_PARAMS_MAX]; // of the path; in the arena
    struct caller caller;
    bool authenticated;
    uint8_t key_hash[KEY_HASH];
    int64_t asked_seq;     // of the cache of keys when identity was asked
    struct ticket *ticket; // what it took of the counters; NULL: nothing (admit.h)
    bool limited;          // refused for a limit: no news for the audit log
    const char *version;   // of the interface it is made for; NULL: not known yet
    struct om_trace trace;
    struct traced traced;
    const struct request_asked *asked; // held for the log (request_note.h)
    struct om_arena arena;
    uint64_t pending;       // the client's number of what it waits for
    struct om_str idem_key; // of the request, once it is handled; in the arena
    char idem_name[65];     // names the request by method, path and key (keyed.h)
    uint8_t idem_hash[32];  // of what it asks for
    bool claimed;           // its key is claimed: the answer has to be kept
    bool replayed;          // its answer is that of an earlier request
    void *record;           // what the request says, of route_request()
    struct upload *upload;
    struct commit *commit;   // of the upload, under way
    struct stream *stream;   // the answer, if it has begun and goes on
    struct parts *parts;     // what is left to write of it (parts.h); in the arena
    char resource[128];      // to what, in the audit log
    const char *remote;      // the client's address, as long as it is there
    bool secure;             // it uses TLS, to us or to a proxy
    struct om_str ip, agent; // in the arena
    struct quota_use quota;  // what it has taken of the tenant's quotas
    struct cached_use cached;
    struct guess guess; // of its key
    bool asking;        // identity about the key, in edge->asking
    UT_hash_handle hh;
    int status; // of the reply; 0: none yet
    int64_t started_us;
    // What to do when the edge stops, of one that may wait long; else NULL.
    void (*on_stop)(struct exchange *x);
    // What to do when its client leaves and it does not go on; else NULL.
    void (*on_gone)(struct exchange *x);
    struct om_str client_id;         // the x-request-id it came with; in the arena
    const char *code;                // of the error it is answered with
    const char *failure;             // its message, of a 5xx; in the arena
    struct om_http_request *instead; // it replays this one (replay.h); in the arena
    struct exchange *other;          // the replay, and of a replay who asked for it
    struct later *later;             // a prediction that is a job (later.h); in the arena
    struct task_watch *watch;        // a task it waits for (tasks.h); in the arena
    void (*announced)(struct exchange *x);
    struct exchange *prev, *next;
};

// Begin with a request whose head has come; and end it because the client left.
struct exchange *exchange_begin(struct edge *edge, struct om_http_request *request);
void exchange_gone(struct exchange *x);

// End without an answer to anybody.
void exchange_abandon(struct exchange *x);

// Add the fields that say which exchange it is.
void exchange_name(const struct exchange *x, struct om_http_response *response);

// The caller is known: give the exchange its tenant.
void exchange_identify(struct exchange *x, const struct caller *caller);

struct om_http_request *exchange_request(struct exchange *x);

// Read path, query or body into a record of `type` in the arena. NULL: replied.
void *exchange_read(struct exchange *x, const struct rec *type);

// A header for the broker, in the caller's name: tenant, trace, and for the message that
// has the effect the request's id.
struct wire_msg exchange_msg(struct exchange *x, bool effect, char *traceparent);

// Send and wait; `fn` gets the exchange. If it cannot be sent, replies.
void exchange_send(struct exchange *x, enum wire_type type, struct wire_msg *msg,
                   struct om_str payload, int64_t timeout_ms, om_answer_fn *fn);

// Call an operation with a request record; a limit of 0 is the queue's.
void exchange_call(struct exchange *x, enum op op, bool effect, const void *request,
                   int64_t limit_ms, om_answer_fn *fn);

// Say in the audit log what is about to happen, and go on with `fn` when that is on disk.
void exchange_announce(struct exchange *x, void (*fn)(struct exchange *x));

// The answer of what it waited for has come. False: it was a failure, and replied.
bool exchange_answered(struct exchange *x, const struct om_answer *answer);

// What the audit log says of it; borrows from the exchange.
struct audit_event exchange_audit_event(const struct exchange *x, const char *result);

// Answer with the bytes of a blob.
void transfer_send(struct exchange *x, const struct om_blob_ref *ref);

struct error_text;

// ---- replies: each ends the exchange

// The route's status with a record as JSON.
void exchange_reply_record(struct exchange *x, const struct rec *type,
                           const void *record);

// The response with what was written to edge->out, which is JSON.
void exchange_reply_json(struct exchange *x, struct om_http_response *response);

// Begin a response whose body is written as it comes (stream.h). It is counted, audited
// and logged now, and the exchange goes on.
void exchange_begin_reply(struct exchange *x, struct om_http_response *response);

// A response of one's own; x-request-id is added, audit and counters are kept.
void exchange_reply(struct exchange *x, struct om_http_response *response);

// An error: its status, type and code are rc's. `param` may be NULL. In a stream it is
// the last event.
void exchange_fail(struct exchange *x, enum om_rc rc, const char *param,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

// An error of one's own, which is 429 or 503 if it has a time to come back after.
void exchange_refuse(struct exchange *x, int status, const struct error_text *error,
                     int64_t retry_s);

// An error as another request got it. `retry_after` may be NULL.
void exchange_fail_as(struct exchange *x, int status, const struct error_text *error,
                      const char *retry_after);

// An error by status, for those that are HTTP's own.
void exchange_fail_status(struct exchange *x, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- error bodies (error.c)

struct error_text {
    const char *type, *code, *param; // param may be NULL
    struct om_str message;
    const char *const *violated; // names of the limits or quotas that are exceeded
    size_t violated_count;
};

void error_write(struct om_buf *out, const struct error_text *error,
                 const char *request_id);

// Type and code of a status of HTTP's own.
struct error_text error_of_status(int status);

// The codes that may say; NULL at the end.
const char *error_code(size_t index);

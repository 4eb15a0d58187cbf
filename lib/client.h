// client.h - asks the broker things and gets answers: submit, call, get, watch.
//
// A request is kept until it is answered or its time is over, and sent again when the
// session opens anew: every message a client sends is harmless to repeat. One thread.
#pragma once
#include "link.h"
#include "ops.h"

struct om_client;

struct om_answer {
    enum om_rc rc;              // OM_OK, the code of ERROR or REJECT, OM_ETIMEOUT,
                                // OM_EUNAVAILABLE: no session until the deadline
    const struct wire_msg *msg; // NULL if no message came; SUBMITTED may be but an id
    struct om_str payload;
};

// Called once, or for WATCH once an EVENT and CHUNK until the EVENT with `drain`. A CALL
// with a limit is answered by CHUNKs too, all of them in order before the REPLY, or by an
// error. It may send and forget, and must not destroy the client.
typedef void om_answer_fn(void *context, const struct om_answer *answer);

// A session of its own, beside those of the process's worker and other clients:
// conf->node gets "/" and a number behind it, because a node has one session, and a new
// one would take the place, and the leases, of the one before.
OM_MUST_CHECK enum om_rc om_client_create(const struct om_link_conf *conf,
                                          struct om_client **out, const char **why);

// Requests that are not answered yet are dropped without a call of their function.
void om_client_destroy(struct om_client **self_p);

struct om_link *om_client_link(struct om_client *self);

// Send a request and have its answer given to `fn`. `msg` needs no id; payload and
// strings are copied. Returns a number for om_client_forget(), or 0: too many requests
// are waiting for answers, and fn is not called.
uint64_t om_client_send(struct om_client *self, enum wire_type type,
                        const struct wire_msg *msg, struct om_str payload,
                        int64_t timeout_ms, om_answer_fn *fn, void *context);

// Take more CHUNKs of a call's answer: `limit` counts from its first (wire.h). It is said
// again each second that none comes.
void om_client_allow(struct om_client *self, uint64_t number, int64_t limit);

// The answer is not wanted any more; fn will not be called. A call is cancelled, a watch
// ends.
void om_client_forget(struct om_client *self, uint64_t number);

// Receive what has come, call functions, do what is due. Returns when to call it next at
// the latest, on the mono clock. To be called whenever a descriptor of om_link_fds()
// fires and after sending.
int64_t om_client_process(struct om_client *self);

// Requests that wait for answers.
size_t om_client_pending(const struct om_client *self);

// Send a request and wait for its answer, which is borrowed until the next request.
struct om_answer om_client_request(struct om_client *self, enum wire_type type,
                                   const struct wire_msg *msg, struct om_str payload,
                                   int64_t timeout_ms);

// Call an operation for a tenant (text, e.g. "ten_…") and wait. The reply's strings are
// borrowed until the next request. On failure `text` (may be NULL) points to the reason.
OM_MUST_CHECK enum om_rc om_client_call(struct om_client *self, enum op op,
                                        struct om_str tenant, const void *request,
                                        void *reply, int64_t timeout_ms,
                                        struct om_str *text);

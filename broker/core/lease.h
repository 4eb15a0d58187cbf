// lease.h - work at a worker: given, renewed, given back, lost.
//
// A lease is current while its token is the one its task or run has. Whatever a worker
// says with another token is answered STALE, and changes nothing.
#pragma once
#include "inner.h"

enum lease_wait { WAIT_COMMIT = 1, WAIT_PAYLOAD = 2 };

// Why an attempt ended without a result.
struct failure {
    struct om_str code, text;
    bool retryable, cancelled;
    int64_t retry_ms; // up to WIRE_RETRY_MAX_MS; -1: the broker chooses
    struct om_str usage;
    core_conn conn; // who waits for DONE_ACK; 0: nobody
};

// What a lease is on. `done` and what follows end the lease.
struct lease_kind {
    void (*send)(struct core *self, struct lease *lease);
    void (*started)(struct core *self, struct lease *lease);
    void (*progress)(struct core *self, struct lease *lease,
                     const struct wire_held *held);
    void (*chunk)(struct core *self, struct lease *lease, const struct input *in);
    void (*done)(struct core *self, struct lease *lease, const struct input *in);
    void (*fail)(struct core *self, struct lease *lease, const struct failure *failure);
    void (*release)(struct core *self, struct lease *lease);
    void (*lost)(struct core *self, struct lease *lease);
};

struct lease {
    const struct lease_kind *kind;
    struct wire_token token;
    bool active;
    bool started; // the handler runs
    bool cancel;  // its worker shall stop
    bool claimed; // a worker has spoken of it to this broker, or got it from this broker
    uint8_t doubts;   // beats of its worker that have not named it, while it is unclaimed
    unsigned waiting; // lease_wait: what must come before JOB is sent
    struct queue_state *queue;
    struct share *share;     // where it counts as in flight; NULL for a run
    struct flow *flow;       // whose job it is; NULL for a run
    unsigned reserved;       // limits at which its start has a place (limit.c)
    int64_t decided_ms;      // when it got that, if a rate is among them
    struct session *session; // NULL: of a worker that is not connected
    struct node *home;       // then the node it waits for
    struct credit *credit;   // reserved, until JOB is sent
    struct label node;
    int64_t incarnation;
    int64_t lease_ms, hard_ms;
    int64_t expires_ms, hard_at_ms; // mono clock
    int64_t doubted_ms;             // when its worker said HELLO, or beat, without it
    struct timer timer;
    struct lease *prev, *next; // in its session's list or its node's list of orphans
};

// Give work to the session of `credit`. The caller has set kind, queue, share and
// hard_ms, sets `waiting`, and calls lease_ready() for each thing that has come (0: for
// none).
void lease_grant(struct core *self, struct lease *lease, struct credit *credit,
                 const struct om_uuid *about, uint32_t attempt);

// Something the lease waited for is there. JOB goes out with the last.
void lease_ready(struct core *self, struct lease *lease, unsigned what);

// The lease is over. If `conn` is not 0 that worker's word ended it and is to be
// acknowledged by lease_ack() when it is durable.
void lease_end(struct core *self, struct lease *lease, core_conn conn);

// The word that ended the lease `token` is durable: DONE_ACK.
void lease_ack(struct core *self, const struct wire_token *token, core_conn conn);

// A lease found in the store: it counts from now, and its worker may come back for it.
// `node` is "<node>#<incarnation>".
void lease_restore(struct core *self, struct lease *lease, const struct wire_token *token,
                   struct om_str node);
void lease_count_anew(struct core *self, struct lease *lease);

// Its worker shall stop: said now, and in each BEAT_ACK.
void lease_cancel(struct core *self, struct lease *lease);

// The current lease the message speaks of. NULL: the sender has been told why not.
struct lease *lease_said(struct core *self, const struct input *in);

bool token_eq(const struct wire_token *a, const struct wire_token *b);

// Leases of a session that closes: those not yet sent go back, the others wait for their
// worker.
void lease_orphan_all(struct core *self, struct session *session);
void lease_release_unstarted(struct core *self, struct session *session);

// Leases that earlier incarnations of the node of an open session held are lost.
void lease_lose_earlier(struct core *self, struct session *session);

// The session holds these (HELLO's list): it keeps those that are current. One of an
// earlier start of the broker that it does not name may still be on its way to it, and is
// given to another when the worker's beats do not name it either, or it has run out.
void lease_adopt(struct core *self, struct session *session, struct om_str held);

void on_start(struct core *self, const struct input *in);
void on_beat(struct core *self, const struct input *in);
void on_chunk(struct core *self, const struct input *in);
void on_done(struct core *self, const struct input *in);
void on_fail(struct core *self, const struct input *in);
void on_cancelled(struct core *self, const struct input *in);
void on_release(struct core *self, const struct input *in);

// lease.h - work at a worker: given, renewed, given back, lost.
//
// A lease is current while its token is the one its task or run has. Whatever a worker
// says with another token is answered STALE, and changes nothing.
#pragma once
#include "inner.h"

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

bool token_eq(const struct wire_token *a, const struct wire_token *b);

// Leases of a session that closes: those not yet sent go back, the others wait for their
// worker.
void lease_orphan_all(struct core *self, struct session *session);
void lease_release_unstarted(struct core *self, struct session *session);

// Leases an earlier incarnation of the session's node held are lost.
void lease_lose_earlier(struct core *self, struct session *session);

// The session holds these (HELLO's list): it keeps those that are current.
void lease_adopt(struct core *self, struct session *session, struct om_str held);

void lease_forget_all(struct core *self);

void on_start(struct core *self, const struct input *in);
void on_beat(struct core *self, const struct input *in);
void on_done(struct core *self, const struct input *in);
void on_fail(struct core *self, const struct input *in);
void on_cancelled(struct core *self, const struct input *in);
void on_release(struct core *self, const struct input *in);

// session.h - who is connected, with what authority, and whether it is alive.
#pragma once
#include "acks.h"

struct session {
    core_conn conn;
    enum role role;
    struct om_uuid tenant; // of ROLE_TENANT
    struct label node, hello;
    struct node *home; // NULL while it is pending
    int64_t incarnation;
    int64_t caps;    // CAPABILITY_LIST
    char holder[96]; // "<node>#<incarnation>", as marks of its leases name it
    bool pending;    // its key is being looked up
    bool suspect;    // a send to it failed and it has not spoken since
    bool draining;   // it was told to take no new work
    int64_t heard_ms;
    struct om_buf held; // of its HELLO, while it is pending
    struct timer timer;
    size_t credit_count;
    struct credit *credits;
    struct lease *leases;
    struct key *key; // of a tenant's worker
    bool key_known;  // it stands in the key's list of open sessions
    struct session *key_prev, *key_next;
    struct call *made, *taken; // calls it waits for, by their id; calls it works on
    struct watch *watches;     // by the id of their WATCH
    struct acks acks;
    struct session *ack_prev, *ack_next; // in the core's list, while acks wait
    UT_hash_handle hh;
};

struct session *session_find(const struct core *self, core_conn conn);

// Heard of lately, authenticated, and no send to it failed since?
bool session_live(const struct core *self, const struct session *session);

// A message came: it is alive.
void session_heard(struct core *self, struct session *session);

// So much of its silence was the broker's own.
void session_excuse(struct core *self, struct session *session, int64_t ms);

// Identity has answered who the session's key belongs to. `rc` OM_OK: to `tenant`, as a
// worker, and a pending session opens; else it is closed.
void session_key_resolved(struct core *self, struct session *session, enum om_rc rc,
                          const struct om_uuid *tenant);

// Its leases stay until they time out, its calls end, its credit goes.
void session_close(struct core *self, struct session **session_p);

void on_hello(struct core *self, const struct input *in);
void on_bye(struct core *self, const struct input *in);
void on_ping(struct core *self, const struct input *in);

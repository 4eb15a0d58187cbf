// key.h - the API keys of tenants' workers: whose they are, and whether they still are.
//
// Identity is asked once a key, however many workers come with it, and for the changes of
// keys twice a second while such workers are there. A key that was revoked or has
// expired, or whose tenant is suspended, loses its sessions. While identity does not
// answer, sessions stay: nothing can be revoked meanwhile.
#pragma once
#include "inner.h"

struct key {
    uint8_t hash[32];
    struct om_uuid tenant; // zero: not known yet
    int64_t expires_ms;    // wall clock; 0: never
    int64_t call;          // the question under way; 0: none
    bool again;            // it changed since that was asked, or the answer failed
    bool told;             // its sessions are being told: it is not freed meanwhile
    struct session *waiting, *sessions; // pending; open
    UT_hash_handle hh;
};

// A pending session came with this credential: session_key_resolved() follows.
void key_join(struct core *self, struct session *session, struct om_str credential);

// The session closes.
void key_leave(struct core *self, struct session *session);

// persona.h - everybody who may ask an edge, and the broker, identity and billing that
// the edge believes in, played by a thread of the test.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "fake_broker.h"
#include "keys.h"
#include "scope.h"
#include "stage.h"

enum persona {
    NOBODY,  // no key at all
    NO_KEY,  // something else than a key
    UNKNOWN, // a key identity does not know
    EXPIRED,
    ELSEWHERE, // a key for another network
    UNSCOPED,  // all scopes but the route's
    UNMODELED, // a key for other models
    SUSPENDED,
    CLOSED,
    PAST_DUE,
    NO_RATE,   // no request a minute is left to the user
    NO_PLACE,  // no request may be in flight
    NO_TOKENS, // no token a minute
    NO_QUOTA,  // billing gives the tenant nothing
    ONE,       // nothing is wrong
    OTHER,     // nor with this, of another tenant
    PERSONAS
};

extern const char *const persona_names[PERSONAS];

struct personas {
    struct fake_broker broker;
    pthread_t thread;
    atomic_bool stop;
    struct om_uuid tenants[PERSONAS];
    char tenant_texts[PERSONAS][OM_TYPEID_MAX];
    uint8_t hashes[PERSONAS][SCOPE_COUNT][KEY_HASH];
    // What came from the edge for others than identity and billing's quotas: in the name
    // of the asker, and of anybody else.
    atomic_int asker, seen, foreign;
    atomic_int statuses; // how often the scheduler was asked for the status
    char foreign_kind[64];
    bool forecasts; // a worker answers predictions
    // Requests a minute of OTHER's user, who is no operator then; 0: no limit.
    int64_t ration;
};

// Play at self->broker.endpoint until personas_close().
void personas_open(struct personas *self);
void personas_close(struct personas *self);

// Add the settings of an edge that believes in them, with one thread.
void personas_settle(const struct personas *self, struct stage *stage);

// A key of the persona; of UNSCOPED one without `scope`.
enum { PERSONA_KEY = 64 };
void persona_key(enum persona who, enum scope scope, char out[PERSONA_KEY]);

// The persona asks from now on: nothing was seen yet.
void personas_ask(struct personas *self, enum persona who);

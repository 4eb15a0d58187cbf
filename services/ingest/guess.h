// guess.h - bounds the guessing of keys: in any minute an address may send so many
// requests whose key does not hold (OMNI_FAILED_KEYS), and then it gets 429 for whatever
// has to be looked up.
//
// An address is one of IPv4, or a /64 of IPv6, which is what one customer is given; of a
// trusted proxy's requests it is the client's. What is counted slides as any limit does
// (counters.h), and with Redis over all edges (shared.h).
//
// A key that this thread knows, or knew before something about it changed, is no guess:
// it is not asked about here, so whoever guesses from an address stops nobody there who
// has used a key at this thread lately. A key that is new to it counts until identity has
// said that it holds.
//
// The number of addresses is bounded; when all are in use, further ones are not counted:
// a key has 160 random bits, and shutting out everybody would be the greater harm.
#pragma once
#include "counters.h"

enum { GUESS_ADDRESSES_MAX = 16384 };

struct exchange;

// What an exchange has to do with it.
struct guess {
    bool taken, shared;
    struct counter_want want;
    int64_t at_ms, shared_ms; // when it was taken of either
    uint64_t asked;           // of Redis; 0: nothing
    void (*go_on)(struct exchange *x);
};

// Count the request. True: go on. False: it was refused, and replied to; or it waits for
// Redis, and `go_on` is called once it may.
OM_MUST_CHECK bool guess_begin(struct exchange *x, void (*go_on)(struct exchange *x));

// It was no guess: its key holds, or nobody could say. It is not counted after all.
void guess_take_back(struct exchange *x);

// The request is over.
void guess_end(struct exchange *x);

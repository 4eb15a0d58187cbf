// sender.h - submits the tasks of pending fires until the broker has each.
//
// A bounded number is under way at a time. An answer is kept until sender_flush() has
// stored it. One thread.
#pragma once
#include "client.h"
#include "fire.h"
#include "trace.h"

enum {
    SENDER_MAX = 64,           // submits under way
    SENDER_TIMEOUT_MS = 10000, // then the submit is sent anew
    SENDER_BACKOFF_MS = 5000,  // after a refusal that may pass
};

struct sender {
    struct om_client *client;
    struct sending {
        struct sender *owner;
        enum { SENDING_FREE = 0, SENDING_WAITS, SENDING_ANSWERED } state;
        struct fire_outcome outcome;
        struct om_trace trace, made; // its own; that of the schedule
        int64_t since_us;
    } slots[SENDER_MAX];
    size_t answered;
};

// Submit pending fires that are not under way, as many as there is room for.
enum om_rc sender_submit(struct sender *self, struct om_db *db);

// Store the answers that came. On failure they are kept for the next time.
enum om_rc sender_flush(struct sender *self, struct om_db *db);

// queue.h - queues, who may take from them, and the hand-out of work to credit.
#pragma once
#include "fair.h"

struct queue_key {
    struct om_uuid owner; // zero: the platform
    char name[64];
};

struct queue_state {
    struct queue_key key;
    const struct queue_info *info; // NULL: a tenant's
    enum queue_class class;
    int64_t hard_ms;
    size_t refs; // shares and credits
    struct share *shares;
    struct band calls, jobs[BANDS];
    struct band long_calls; // those that were given back (ahead.h)
    uint8_t passed[BANDS];  // picks that passed over a band where something could start
    struct run *runs;       // event runs that wait for credit
    struct credit *takers;  // every session's credit
    struct credit *open;    // those with some left, next taker first
    bool dirty;
    struct queue_state *prev, *next; // in the core's list of queues to look at
    UT_hash_handle hh;
};

// How many jobs a session may be sent from a queue.
struct credit {
    struct session *session;
    struct queue_state *queue;
    int64_t limit, sent;
    int64_t reserved;         // picked, and not yet sent
    int64_t ahead_max, ahead; // calls it may have, and has, beside those (ahead.h)
    bool is_open;
    struct credit *session_prev, *session_next;
    struct credit *queue_prev, *queue_next;
    struct credit *open_prev, *open_next;
};

// The queue `name` of the platform, or of `tenant`; made if it is new. NULL if a tenant
// may not have a queue of that name, or the platform has none such.
struct queue_state *queue_get(struct core *self, const struct om_uuid *tenant,
                              struct om_str name);

// Free the queue if nothing needs it. Call after a queue_get() that led to nothing.
void queue_tidy(struct core *self, struct queue_state *queue);

struct om_str queue_name(const struct queue_state *queue);

// May the session take work from the queue?
bool queue_serves(const struct queue_state *queue, const struct session *session);

// Does any session that is alive have credit or had it?
bool queue_has_takers(const struct core *self, const struct queue_state *queue);

// The queue has new work or new credit: hand out when the input is handled.
void queue_touch(struct core *self, struct queue_state *queue);

// Hand out work of all touched queues.
void queue_hand_out(struct core *self);

// CREDIT of a session.
void on_credit(struct core *self, const struct input *in);

// `reserved` or `sent` changed.
void credit_update(struct core *self, struct credit *credit);
void credit_destroy(struct core *self, struct credit **credit_p);

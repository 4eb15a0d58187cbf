// task.h - the job lane: a task from SUBMIT to its end.
//
// Memory is ahead of the disk by the batches under way, but nothing is said of a change
// before it is durable.
#pragma once
#include "commit.h"
#include "fair.h"
#include "lease.h"
#include "stats.h"

struct tenant_state {
    struct om_uuid id;
    size_t open, blocked;
    size_t away;        // of `open`, not in memory
    size_t away_timed;  // of those, waiting for a time
    struct task *tasks; // in the order of their seq
    UT_hash_handle hh;
};

struct task {
    struct om_uuid id;
    int64_t seq;
    struct tenant_state *tenant;
    struct share *share;
    struct flow *flow;
    enum task_state state;
    bool committed;         // its SUBMIT, or its REOPEN, is durable
    enum task_state ending; // its result, which waits for the disk; STATE_NONE: none
    bool cancel;            // somebody asked to cancel it
    bool cancel_durable;
    bool reopened;    // not committed for a RETRY
    bool timed;       // it waits for a time, in memory
    bool parked;      // it stands in its flow's deque (spill.h)
    enum gauge gauge; // where it counts in its share
    uint8_t priority;
    int64_t created_ms, due_ms, expires_ms, started_ms; // wall clock
    int64_t finished_ms;
    int64_t since_us; // of what it goes through now (told.h); 0: not known
    int64_t attempts, lost, max_attempts;
    uint32_t last_attempt; // of its tokens: rises for ever, released or reopened
    double progress;
    char *detail, *code, *text; // of the last progress, of the last failure
    int64_t stream_seq;         // newest number of its changes and chunks; 0: not known
    int64_t stored_seq;         // every stored chunk has a number up to this
    struct stream *stream;      // NULL while it has no chunks
    struct wire_part job;       // what JOB says whatever the lease; in `memory`
    struct om_str kind;         // in `job`, as traceparent
    struct om_str traceparent;
    struct om_str depends_on;
    struct om_str unique_key; // in `memory` behind `job`
    bool has_hash;
    uint8_t hash[32];
    struct payload *payload; // NULL: in the store, unless it is empty
    bool empty_payload;
    bool cached;                   // `payload` counts in the cache
    struct asker asker;            // of SUBMIT or RETRY
    struct submission *submission; // NULL of a plain SUBMIT, and once it is durable
    struct depend *depend;         // NULL: it waits for no other task
    struct lease lease;
    struct change_slot lease_mark; // of the last attempt
    int64_t changed;               // the batch of its newest change; 0: none
    uint8_t releases;              // in a row
    struct item item;
    struct timer backoff; // mono clock
    struct timer wall;    // due or expiry, wall clock
    struct watch *watches;
    struct task *prev, *next; // of its tenant
    UT_hash_handle hh;
    char memory[];
};

// The open and committed task of that id, if it is the tenant's; else NULL.
struct task *task_find(const struct core *self, const struct om_uuid *tenant,
                       const struct om_uuid *id);

// The open task of that id, committed or not, of whatever tenant; else NULL.
struct task *task_find_any(const struct core *self, const struct om_uuid *id);

// The lease of the task a token is about, current or not; NULL if there is no such task.
struct lease *task_lease(struct core *self, const struct wire_token *token);

// Give the next ready job to the session of `credit`; false if none is ready.
bool task_hand_out(struct core *self, struct queue_state *queue, struct credit *credit);

// CANCEL of an open task by `asker`: CANCEL_ACK when the intent is durable.
void task_cancel(struct core *self, struct task *task, const struct asker *asker);

// RETRY of a task that is open in memory: SUBMITTED if it was opened again, else ERROR
// conflict. False if there is no such task in memory.
bool task_retry_open(struct core *self, const struct om_uuid *tenant,
                     const struct om_uuid *id, const struct asker *asker);

// Open a failed task, read from the store, again. OM_OK: then `send` (NULL: nothing),
// which is taken, goes out when that is durable. Else *why may say more (or NULL).
OM_MUST_CHECK enum om_rc task_reopen(struct core *self, const struct stored_task *stored,
                                     struct out **send_p, const char **why);

// The payload of the lease `token` was read.
void task_payload_read(struct core *self, const struct wire_token *token,
                       const struct read *read);

// Put the loaded tasks where they belong.
void task_serve_all(struct core *self);
void task_destroy_all(struct core *self);

// The task as a wire_task record; a stored one, for which there is no open task, too.
void task_info(const struct task *task, struct om_buf *out);
void task_stored_info(const struct core *self, const struct stored_task *stored,
                      struct om_buf *out);

// The same with all that it depends on.
void task_info_whole(const struct task *task, struct om_buf *out);
void task_stored_info_whole(const struct core *self, const struct stored_task *stored,
                            struct om_buf *out);

// ---- what follows when a group is durable

void task_lease_durable(struct core *self, struct group *group, struct change *change);
void task_cancel_durable(struct core *self, struct group *group, struct change *change);
void task_end_durable(struct core *self, struct group *group, struct change *change);
void task_retry_durable(struct core *self, struct group *group, struct change *change);
void task_reopen_durable(struct core *self, struct group *group, struct change *change);

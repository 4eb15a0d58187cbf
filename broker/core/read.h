// read.h - what the core asks the store to look up. A read is answered by filling in its
// second half; it sees what was committed when it runs.
#pragma once
#include "change.h"

enum read_kind {
    READ_TASK,    // one task by (tenant, id), with its result
    READ_LIST,    // a tenant's tasks, newest first
    READ_PAYLOAD, // the payload a task was submitted with, by seq
    READ_EVENTS,  // a run of a shard's events of one topic, within WIRE_PAYLOAD_MAX
    READ_TASKS,   // the tasks of `seqs` that are there, in that order; small payloads too
    READ_OPEN,    // a tenant's tasks without a result, newest first
    READ_CHUNKS,  // partial results of a task, after `after_seq`
};

// A task as it is stored. Strings live as long as the read (or, while loading, the call).
struct stored_task {
    int64_t seq;
    struct om_uuid id, tenant;
    struct om_str queue, kind, header;
    int64_t created_ms;

    // From its marks, folded in order.
    int64_t attempts, lost; // since the last REOPEN
    int64_t due_ms;         // of the last FAIL or LOST, 0 if another mark came later
    int64_t started_ms;     // of the last LEASE
    bool cancel;            // a CANCEL, and no REOPEN after it
    bool reopened;          // a REOPEN: due and expiry times of its header are over
    int64_t reopen_seq; // of the last REOPEN: tasks of a smaller seq were there before
    bool leased;        // the last mark that is no CANCEL is a LEASE
    struct wire_token token;
    struct om_str node, code, text; // of the last LEASE; of the last FAIL or LOST

    // Its partial results: how many, their size; of the last its number, its attempt and
    // what number its worker gave it.
    int64_t chunk_count, chunk_bytes, chunk_seq, chunk_attempt, chunk_worker_seq;

    // A task that depends on others: which of those have not ended, as a bit by their
    // place in depends_on, and whether one of the ended did not succeed. One that was
    // opened again after this task was added has ended without success: what its end set
    // free is not held again. Loading and TASKS only.
    uint64_t parents_open[4];
    bool parent_failed;

    // What it was submitted with: of TASKS only, if it is small and the answer is not yet
    // large; else NULL. The read's.
    struct payload *payload;

    // From its result; STATE_NONE while it is open.
    enum task_state state;
    int64_t finished_ms;
    struct om_str ctype;
};

// A task that waits to be started for the first time: what the core keeps of it.
struct stored_waiting {
    int64_t seq;
    struct om_uuid tenant;
    struct om_str queue, limit_key;
    uint8_t priority;
    int64_t created_ms, due_ms, expires_ms; // 0: none
};

struct read {
    enum read_kind kind;
    void *context; // the core's

    // Asked.
    struct om_uuid tenant, id; // TASK, LIST (id: older than this one; zero: the newest)
    enum task_state state;     // LIST: only this ended state; STATE_NONE: all
    int64_t seq;               // PAYLOAD: task; EVENTS: after this event
    uint8_t shard;             // EVENTS
    const char *topic;         // EVENTS
    size_t limit;              // LIST, EVENTS, OPEN, CHUNKS
    int64_t *seqs;             // TASKS: `seq_count`; from malloc()
    size_t seq_count;
    int64_t after_seq;                    // CHUNKS; `seq` is the task
    struct om_str queue, task_kind, code; // LIST: only these, unless absent; read_keep()

    // Answered. OM_ENOTFOUND: no such task; OM_EDB: cannot be read now.
    enum om_rc rc;
    struct stored_task *tasks; // TASK: one; LIST: `count`; from malloc()
    size_t count;              // LIST; EVENTS: events in the run
    struct om_uuid cut;      // LIST, OPEN: no older one was looked at; zero: none is left
    int64_t last_seq;        // EVENTS: of the run's last event
    struct payload *payload; // TASK: result or NULL; EVENTS: array of wire_logged
    struct change_chunk
        *chunks; // CHUNKS: `count`, payloads owned by the read; from malloc()
    struct read_block *memory; // what read_keep() holds
};

// Copy the bytes of `text`, a string of an answer, into memory that lives as long as the
// read. False when there is no memory.
OM_MUST_CHECK bool read_keep(struct read *self, struct om_str *text);

// Free the answers and the read itself, both from malloc; sets *self_p to NULL.
void read_destroy(struct read **self_p);

// Read the task's header: the options of its SUBMIT, without what has a member of its
// own.
//   OM_EPROTO, OM_EUNSUPPORTED  as wire_decode()
OM_MUST_CHECK enum om_rc stored_task_header(const struct stored_task *task,
                                            struct wire_msg *out);

// Fold a task's next mark into it. Strings of the mark are borrowed by the task.
void stored_task_mark(struct stored_task *task, const struct change_mark *mark);

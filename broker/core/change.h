// change.h - what the core asks the store to make durable.
//
// Changes gather in a batch; a batch is one transaction: all of it or nothing. Tables are
// append-only: what a task is now follows from its TASK row, its marks and its RESULT.
#pragma once
#include "payload.h"
#include "wire.h"

enum change_kind {
    CHANGE_NONE,    // withdrawn: nothing to write
    CHANGE_TASK,    // a new task
    CHANGE_MARK,    // something happened to an open task
    CHANGE_RESULT,  // a task ended
    CHANGE_REOPEN,  // a failed task is ready again: its result goes; MARK_REOPEN follows
    CHANGE_EVENT,   // one more event in a shard's log
    CHANGE_CURSOR,  // a subscriber has applied a shard's events up to here
    CHANGE_SETTING, // a tenant's weight or limits; replaces what was set before
    CHANGE_START,   // jobs started under a rate limit
    CHANGE_CHUNK,   // a partial result of an open task
};

// What happened to an open task; numbers are stored.
enum mark_kind {
    MARK_LEASE = 1,   // sent, or about to be sent, to a worker
    MARK_RELEASE = 2, // came back unstarted: the attempt does not count
    MARK_FAIL = 3,    // an attempt failed; due_ms is when the next may start
    MARK_LOST = 4,    // the worker was lost; due_ms as for FAIL
    MARK_CANCEL = 5,  // somebody asked to cancel it
    MARK_REOPEN = 6,  // attempts and losses count from here anew
};

// Strings are borrowed from the batch's memory and live as long as the batch.
struct change_task {
    int64_t seq; // made by the core, rising; the key of all tables
    struct om_uuid id, tenant;
    struct om_str queue, kind;
    int64_t created_ms;
    struct om_str header; // the rest of the SUBMIT, encoded: options, hash, trace
    struct payload *payload;

    // Of the header, for the store's own use.
    uint8_t priority;
    int64_t due_ms, expires_ms; // 0: none
    struct om_str limit_key;
    bool depends;      // on other tasks: never told to the core without its header
    int64_t retain_ms; // 0: as the broker is set

    // Names of the task beside its id, within its tenant; absent: none.
    struct om_str idem_key;
    struct om_str unique_key;
    int64_t unique_until_ms; // wall clock; 0: while the task is open

    // Tasks of one batch with the same set (not 0), which follow each other, are added
    // all or none: none if one of them is known, or if `set_known`, because one that is
    // not in the batch is.
    uint32_t set;
    bool set_known;
};

struct change_mark {
    int64_t task_seq;
    enum mark_kind kind;
    int64_t at_ms; // wall clock
    int64_t due_ms;
    struct wire_token token; // of LEASE; of REOPEN token.lease: tasks of before have less
    struct om_str node;      // of LEASE: who holds it, "<node>#<incarnation>"
    struct om_str code, text;
};

struct change_result {
    int64_t task_seq;
    enum task_state state; // an ended one
    int64_t attempts, lost;
    int64_t started_ms, finished_ms;
    struct om_str code, text, ctype;
    struct payload *payload;
};

struct change_event {
    uint8_t shard;
    int64_t seq; // 1, 2, 3, ... within the shard
    struct om_str topic, id, body;
    struct om_str context; // context.h
    struct om_uuid tenant;
    int64_t at_ms;
};

struct change_cursor {
    unsigned subscription; // SUBSCRIPTION_*
    uint8_t shard;
    int64_t seq;
};

// Whose setting it is, by what `name` names.
enum setting_scope {
    SETTING_TENANT = 1, // no name
    SETTING_QUEUE = 2,  // the tenant's part of a queue
    SETTING_KEY = 3,    // a limit key
};

struct change_setting {
    struct om_uuid tenant;
    enum setting_scope scope;
    struct om_str name;
    int64_t weight, concurrency, rate, rate_ms; // 0: not set
    bool paused;
    int64_t
        purge_seq; // tasks of the queue up to this one that never started are cancelled
};

struct change_start {
    struct om_uuid tenant;
    enum setting_scope scope;
    struct om_str name;
    int64_t at_ms; // wall clock
    int64_t count;
    int64_t until_ms; // not needed after
};

struct change_chunk {
    int64_t task_seq;
    int64_t seq; // rises within the task, with gaps
    int64_t attempt;
    struct om_str ctype;
    struct payload *payload;
    int64_t worker_seq; // the number its worker gave it within the attempt; 0: none
};

// By what the store knew a task that was to be added.
enum known_by {
    KNOWN_ID,
    KNOWN_IDEM,   // its idem_key
    KNOWN_UNIQUE, // its unique_key
};

struct change {
    enum change_kind kind;
    union {
        struct change_task task;
        struct change_mark mark;
        struct change_result result;
        struct change_event event;
        struct change_cursor cursor;
        struct change_setting setting;
        struct change_start start;
        struct change_chunk chunk;
        int64_t reopen_seq; // CHANGE_REOPEN: the task
    };

    // Set by the store for CHANGE_TASK: the id, or one of its keys, was stored before,
    // under `known_seq`, with `known_hash` (zero if none); nothing was inserted. Marks
    // and results of the same batch that name the refused seq are left out.
    bool duplicate;
    bool left_out; // not a duplicate, but not inserted either: for the sake of its set
    enum known_by known_by;
    struct om_uuid known_id; // the task's, which a key may find under another id
    bool known_foreign;      // it is another tenant's: the submit must be refused
    int64_t known_seq;
    uint8_t known_hash[32];
};

enum { BATCH_MAX = 1024 };

struct batch {
    int64_t id;
    size_t count;
    struct change changes[BATCH_MAX];
};

// bench.h - a broker core on a bench: messages in, messages out, a disk under control.
//
// One bench a test. What the core sends waits in order until the test takes it.
#pragma once
#include "core.h"

enum { BENCH_CLIENT = 1, BENCH_WORKER = 2, BENCH_OTHER = 3 };

struct bench {
    struct core *core;
    struct core_now now;
    struct core_send sent; // the message taken last, decoded in `msg`
    struct wire_msg msg;
    uint8_t next_id;
};

extern const struct core_peer bench_local;  // any platform role
extern const struct core_peer bench_nobody; // a stranger

// The tenant every test uses, and another one.
#define BENCH_TENANT   bench_tenant(1)
#define BENCH_STRANGER bench_tenant(2)

// The defaults, but no change and no event waits for company.
struct core_conf bench_conf(void);

void bench_init(struct bench *self);
void bench_init_conf(struct bench *self, const struct core_conf *conf);
void bench_finish(struct bench *self);

struct om_str bench_tenant(uint8_t number); // TypeID text; of a static
struct om_uuid bench_task(struct bench *self, uint8_t shard);
struct om_str bench_task_text(const struct om_uuid *id); // TypeID text; of a static

// Send a message to the core.
void bench_send(struct bench *self, core_conn conn, const struct core_peer *peer,
                enum wire_type type, const struct wire_msg *msg, const char *payload);

// Commit what there is, with this result; false if there was nothing to commit.
bool bench_commit(struct bench *self, enum om_rc rc);

// Let time pass, and tick.
void bench_pass(struct bench *self, int64_t ms);

// Let time pass in which the broker stands still.
void bench_stall(struct bench *self, int64_t ms);

// Take the next message. It must be for `conn` and of that type, or the test fails.
const struct wire_msg *bench_expect(struct bench *self, core_conn conn,
                                    enum wire_type type);

// Take the next message of that type for `conn`, and drop what comes before it.
const struct wire_msg *bench_find(struct bench *self, core_conn conn,
                                  enum wire_type type);

// Drop all messages that wait.
void bench_drop(struct bench *self);

// Commit and drop until there is nothing to do.
void bench_settle(struct bench *self);

// No message is waiting, or the test fails.
void bench_expect_nothing(struct bench *self);

// HELLO and WELCOME.
void bench_hello(struct bench *self, core_conn conn, const char *role, const char *node);

// SUBMIT without waiting for anything; returns the task's id.
struct om_uuid bench_submit(struct bench *self, const char *queue, const char *payload);

// A new, committed task, SUBMITTED taken.
struct om_uuid bench_submitted(struct bench *self, const char *queue);

// CREDIT, CREDIT_OK taken.
void bench_credit(struct bench *self, core_conn conn, const char *queue, int64_t limit);

// A message of a worker that carries the token of `job`.
void bench_say(struct bench *self, core_conn conn, enum wire_type type,
               const char token[WIRE_TOKEN_BYTES]);

// Take a JOB and keep its token.
void bench_take_job(struct bench *self, core_conn conn, char token[WIRE_TOKEN_BYTES]);

// A new bench on which a worker has started a job of `queue`; everything is durable.
struct om_uuid bench_running(struct bench *self, const char *queue,
                             char token[WIRE_TOKEN_BYTES]);

// Commit the next batch, and return the mark it begins with.
struct change_mark bench_next_mark(struct bench *self);

// Let time pass in steps of a second, the worker beating for its lease in each.
void bench_pass_beating(struct bench *self, core_conn conn, const char *token,
                        int64_t ms);

// Answer the next read with one stored task, or with `rc` and none.
void bench_answer_task(struct bench *self, enum om_rc rc, const struct stored_task *task);

// The code of the next message, an ERROR or REJECT for `conn`.
struct om_str bench_refusal(struct bench *self, core_conn conn, enum wire_type type);

// A message about a task of BENCH_TENANT's.
void bench_ask(struct bench *self, enum wire_type type, const struct om_uuid *task);

// A token's lease as BEAT names it, in HELLO's and BEAT's list.
void bench_hold(struct om_buf *list, const char *token);

// The state GET shows of an open task.
enum task_state bench_get_state(struct bench *self, const struct om_uuid *task);

// The state a WATCH, GET or EVENT shows.
enum task_state bench_state(const struct wire_msg *msg);

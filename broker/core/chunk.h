// chunk.h - partial results: sent on at once, stored lazily, replayed to who comes late.
//
// A task's changes and chunks share one row of numbers that only rises, over all attempts
// and restarts, so that "what is newer than N" has one answer. It has gaps: only chunks
// are stored, and a task read from the store goes on above anything that may have been
// told of it, which is less than the epoch times EPOCH_NUMBERS, or was told by this start
// of the broker. What is not durable yet stays in memory with its task.
//
// A worker numbers the chunks of an attempt too, and may say one again, to the next start
// of the broker as well: what is no newer than the last of the attempt is dropped.
//
// Bounded: beyond core_conf.max_chunks or max_chunk_bytes of a task a chunk is refused,
// and the first ones stay.
#pragma once
#include "inner.h"

// More than one start of the broker gives out, of calls too; two million starts have such
// numbers.
#define EPOCH_NUMBERS (INT64_C(1) << 32)

struct task_chunk {
    int64_t seq, attempt, worker_seq;
    struct label ctype;
    struct payload *payload;
    struct task_chunk *prev, *next;
};

// The chunks of a task.
struct stream {
    int64_t count, bytes;
    int64_t attempt;           // whose chunks came last
    int64_t worker_seq;        // the number its worker gave the last of them
    struct task_chunk *chunks; // not durable yet
};

// A watcher who is being sent what is stored. Outlives its watch: then it is told the
// task's end behind the chunks, or nothing any more.
struct replay {
    struct asker asker;
    struct om_uuid id;
    int64_t task_seq;
    int64_t sent;        // every chunk up to this
    int64_t covers;      // the read under way finds every chunk up to this
    int64_t upto;        // of a task that has ended: its last chunk
    bool ended;          // the task had before it was asked for
    struct watch *watch; // NULL: the watch is over
    struct om_buf info;  // then the last EVENT, if it has one
    int64_t last_seq;    // and its number; 0: the next
};

// The newest number of the task's changes and chunks; and the next.
int64_t chunk_newest(const struct core *self, struct task *task);
int64_t chunk_number(struct core *self, struct task *task);

// CHUNK of the worker that holds the task.
void chunk_add(struct core *self, struct task *task, const struct input *in);
void chunk_durable(struct core *self, struct group *group, struct change *change);

// The store has these of the task.
void chunk_load(struct task *task, const struct stored_task *stored);

// Free what belongs to the task.
void chunk_forget(struct core *self, struct task *task);

// Send a watch of an open task what is newer than `after`, then the task's state.
void chunk_replay(struct core *self, struct watch *watch, int64_t after);

// Send `asker` what is newer than `after` of a task that has ended, then its last EVENT.
// `info` is taken.
void chunk_replay_ended(struct core *self, const struct asker *asker,
                        const struct stored_task *stored, int64_t after,
                        struct om_buf *info);

// The watch is over. With `info`, which is taken, its last EVENT follows the chunks.
void chunk_detach(struct watch *watch, struct om_buf *info, int64_t last_seq);

void chunk_read_done(struct core *self, struct replay **replay_p,
                     const struct read *read);
void replay_destroy(struct replay **self_p);

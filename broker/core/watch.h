// watch.h - clients that wait for a task to change.
//
// A watch that named a number in its WATCH is told of chunks too, those that are newer
// first; any other is told of changes alone.
#pragma once
#include "chunk.h"

struct watch {
    struct asker asker;
    struct session *session;
    struct task *task;
    bool chunks;           // it wants them
    struct replay *replay; // it is being sent what is stored, and nothing else meanwhile
    struct timer timer;
    struct watch *task_prev, *task_next;
    UT_hash_handle hh; // of its session, by the WATCH's id
};

struct watch_request {
    struct asker asker;
    int64_t ttl_ms;
    bool chunks;
    int64_t after; // newer chunks than this one
};

// Tell the asker of every change of an open task for ttl_ms, the state now first.
void watch_create(struct core *self, struct session *session,
                  const struct watch_request *request, struct task *task);

// Free it without a word.
void watch_destroy(struct core *self, struct watch **watch_p);

// The task changed.
void watch_notify(struct core *self, struct task *task);

// The task has a new chunk.
void watch_chunk(struct core *self, struct task *task, const struct task_chunk *chunk);

// The task ended: the last EVENT goes out and its watches are freed.
void watch_finish(struct core *self, struct task *task);

// Free the watches of a session, without a word.
void watch_destroy_all(struct core *self, struct session *session);

// Send one EVENT with the encoded task record `info`.
void watch_send(struct core *self, const struct asker *asker, const struct om_uuid *task,
                int64_t seq, struct om_str info, bool last);

// Send one EVENT with the state now of the watch's task.
void watch_send_state(struct core *self, struct watch *watch);

void watch_send_chunk(struct core *self, const struct asker *asker,
                      const struct om_uuid *task, const struct task_chunk *chunk);

void on_unwatch(struct core *self, const struct input *in);

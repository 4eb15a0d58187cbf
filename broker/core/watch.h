// watch.h - clients that wait for a task to change.
#pragma once
#include "inner.h"

struct watch {
    struct asker asker;
    struct session *session;
    struct task *task;
    int64_t seq;
    struct timer timer;
    struct watch *session_prev, *session_next;
    struct watch *task_prev, *task_next;
};

// Tell `asker` of every change of an open task, the state now first, for `ttl_ms`.
void watch_create(struct core *self, struct session *session, const struct asker *asker,
                  struct task *task, int64_t ttl_ms);

// The task changed.
void watch_notify(struct core *self, struct task *task);

// The task ended: the last EVENT goes out and its watches are freed.
void watch_finish(struct core *self, struct task *task);

// Free the watches of a session, without a word.
void watch_destroy_all(struct core *self, struct session *session);

// Send one EVENT with the encoded task record `info`.
void watch_send(struct core *self, const struct asker *asker, const struct om_uuid *task,
                int64_t seq, struct om_str info, bool last);

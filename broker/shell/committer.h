// committer.h - commits, one batch at a time: a thread, or the caller when that is
// quicker.
//
// The I/O thread gives a batch and takes it back; `wake_fd`, an eventfd, is written when
// one is done. A small batch on a quick disk is done sooner than a thread is woken and
// heard of, so the I/O thread commits it itself.
#pragma once
#include "store.h"

struct committer;

enum { COMMITTER_QUICK = 128 }; // changes: more are worth waking the thread for

struct committer_conf {
    struct store *store; // borrowed
    int wake_fd;
    int64_t retention_ms;
};

// NULL when there is no memory or no thread.
struct committer *committer_start(const struct committer_conf *conf);

// Wait for the thread's end; no batch may be out. Sets *self_p to NULL.
void committer_stop(struct committer **self_p);

// Is no batch out? Only then one may be given.
bool committer_is_free(const struct committer *self);

void committer_give(struct committer *self, struct batch *batch);

// Would committing the batch here cost less than waking the thread? Only if no batch is
// out.
bool committer_is_quick(const struct committer *self, const struct batch *batch);

// Commit the batch here. The results of store_commit().
OM_MUST_CHECK enum om_rc committer_commit(struct committer *self, struct batch *batch);

// The batch that is done, with its result; NULL if none is.
struct batch *committer_take(struct committer *self, enum om_rc *rc);

// store.h - where the broker's changes become durable.
//
// The narrow interface both implementations (SQLite now, PostgreSQL later) stand behind.
// One thread commits, another may read at the same time; each function says which.
#pragma once
#include "read.h"

struct store;

// Open or create the store of `url` ("sqlite:FILE"), and durably bump the epoch.
//   OM_EINVAL     no such kind of store
//   OM_ECONFLICT  made by a newer program: upgrade; or in use by another process
//   OM_ENOSPACE, OM_EDB  cannot be opened
// *why then says the reason, until this thread's next store_open().
OM_MUST_CHECK enum om_rc store_open(const char *url, struct store **out,
                                    const char **why);

// Close; sets *self_p to NULL. No other call may be running.
void store_close(struct store **self_p);

// The epoch of this start.
uint32_t store_epoch(const struct store *self);

// What store_load() finds, in this order: the counters, settings, starts, then open tasks
// by rising seq. `setting` and `start` may be NULL.
struct store_loader {
    void *context;
    void (*task_seq)(void *context, int64_t seq);
    void (*shard)(void *context, uint8_t shard, int64_t seq);
    void (*cursor)(void *context, unsigned subscription, uint8_t shard, int64_t seq);
    void (*setting)(void *context, const struct change_setting *setting);
    void (*start)(void *context, const struct change_start *start);

    // An open task with a mark, or that depends on others, or that may not be spilled.
    enum om_rc (*task)(void *context, const struct stored_task *task);

    // Any other open task. Without this function it is told by `task`.
    enum om_rc (*waiting)(void *context, const struct stored_waiting *task);
};

// Before the first commit.
OM_MUST_CHECK enum om_rc store_load(struct store *self,
                                    const struct store_loader *loader);

// Write a batch in one transaction and sync it. Committing thread.
//   OM_OK        durable
//   OM_ENOSPACE  the disk is full; rolled back for certain
//   OM_EDB       rolled back for certain
//   OM_EINTERNAL unknown: the caller must exit and recover
OM_MUST_CHECK enum om_rc store_commit(struct store *self, struct batch *batch);

// Tidy up behind commits: move what is in the log to its place, once there is enough of
// it. Committing thread, after the result of a commit was passed on.
void store_checkpoint(struct store *self);

// Answer a read; sets read->rc. Reading thread.
void store_read(struct store *self, struct read *read);

// Remove ended tasks, and events their subscriber has applied, older than the retention,
// a few rows a call; true when there is more. Events of a topic without a subscriber
// stay. Committing thread, when idle.
bool store_purge(struct store *self, int64_t now_ms, int64_t retention_ms);

// Free share of the disk the store is on, 0 to 1.
double store_disk_free(const struct store *self);

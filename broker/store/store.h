// store.h - where the broker's changes become durable.
//
// The narrow interface both implementations (a journal over SQLite now, PostgreSQL later)
// stand behind. One thread commits, another may read at the same time; each function says
// which.
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

// Make a batch durable, whole. Committing thread.
//   OM_OK        durable
//   OM_ENOSPACE  the disk is full; nothing is stored, for certain
//   OM_EDB       nothing is stored, for certain
//   OM_EINTERNAL unknown: the caller must exit and recover
OM_MUST_CHECK enum om_rc store_commit(struct store *self, struct batch *batch);

// Would a commit begin at once? Else it waits for what goes on in the background. The
// thread that commits.
bool store_has_room(const struct store *self);

// Answer a read; sets read->rc. Reading thread.
void store_read(struct store *self, struct read *read);

// Begin to remove, in the background, ended tasks, and events their subscriber has
// applied, older than the retention; what is applied early may never have come into the
// tables. Events of a topic without a subscriber stay,
// and so do, for 24 h after its end, the names of a task: its id and its idem_key.
// Committing thread.
void store_purge(struct store *self, int64_t now_ms, int64_t retention_ms);

// Wait until the store has nothing to do in the background. No other call may be running
// but reads.
//   OM_ENOSPACE, OM_EDB  it cannot do it now, and goes on trying
OM_MUST_CHECK enum om_rc store_settle(struct store *self);

// Free share of the disk the store is on, 0 to 1.
double store_disk_free(const struct store *self);

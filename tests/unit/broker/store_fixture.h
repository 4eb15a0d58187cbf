// store_fixture.h - a store in a folder of its own, batches made by hand, and a disk that
// fails on demand.
#pragma once
#include <criterion/criterion.h>

#include "journal_store.h"

struct fixture {
    char directory[32], path[64], url[80];
    struct store *store;
    struct journal_io io; // the journal's
    struct journal_store_conf conf;
};

void fixture_init(struct fixture *self);
void fixture_open(struct fixture *self); // after store_close()
void fixture_reopen(struct fixture *self);
void fixture_finish(struct fixture *self);

// The id that belongs to a number, of a tenant of that number in shard 7.
struct om_uuid fixture_id(int64_t number);

// A batch for the test's lifetime; and changes at its end. Strings are borrowed.
struct batch *batch_create(void);
void batch_destroy(struct batch **self_p);
struct change *batch_task(struct batch *self, int64_t seq, int64_t tenant);
struct change *batch_mark(struct batch *self, int64_t seq, enum mark_kind kind);
struct change *batch_result(struct batch *self, int64_t seq, enum task_state state);
struct change *batch_event(struct batch *self, uint8_t shard, int64_t seq,
                           const char *topic);
struct change *batch_cursor(struct batch *self, unsigned subscription, uint8_t shard,
                            int64_t seq);

// What store_load() finds. Tasks' strings are dropped but `code`, `text` and `node`.
struct loaded {
    int64_t task_seq, shards[OM_SHARD_COUNT];
    int64_t cursors[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
    size_t count;
    struct loaded_task {
        struct stored_task task;
        char code[64], text[64], node[64];
    } tasks[4096];
};

void fixture_load(struct fixture *self, struct loaded *out);

// Ask and have answered; the caller destroys the read.
struct read *read_task(struct fixture *self, int64_t tenant, int64_t seq);
struct read *read_list(struct fixture *self, int64_t tenant, enum task_state state,
                       int64_t after_seq, size_t limit);
struct read *read_events(struct fixture *self, uint8_t shard, const char *topic,
                         int64_t after, size_t limit);

// ---- the disk

// From now on each write, or each sync, of the journal, and of a file SQLite opens after
// the first call of this function, fails with this SQLITE_ code; SQLITE_OK: none.
void disk_fail(int write_code, int sync_code);

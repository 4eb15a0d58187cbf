// disk.h - the broker's store in memory, with the semantics of store.h, which outlives
// the broker. It remembers enough to judge what the broker says and does.
#pragma once
#include <stdio.h>

#include "sim.h"
#include "store.h"

struct disk_chunk {
    int64_t seq, attempt;
    struct om_str ctype;
    struct payload *payload;
};

struct disk_task {
    struct stored_task row; // its strings are the disk's
    struct payload *payload, *result;
    uint8_t hash[32];
    uint8_t priority;
    int64_t due_ms, expires_ms;
    struct om_str limit_key, idem_key, unique_key;
    int64_t unique_until_ms;
    struct wire_msg submit; // the header, decoded
    bool depends, marked;
    struct disk_chunk *chunks;
    size_t chunk_count, chunk_capacity;
    bool reopened;
    int64_t results;     // how often it ended
    bool acknowledged;   // SUBMITTED was said
    int64_t told;        // the newest number of it a watcher was told
    int64_t told_before; // by earlier brokers
};

struct disk_event {
    int64_t seq, at_ms;
    struct om_uuid tenant;
    struct om_str topic, id, body;
};

struct disk_shard {
    struct disk_event *events;
    size_t count, capacity;
};

// A job that was sent under a rate.
struct disk_send {
    int64_t at_ms; // mono clock
    bool late;     // long after it was decided on
};

struct disk_setting {
    struct change_setting row;
    int64_t since_ms;        // wall clock: when it was committed
    struct disk_send *sends; // since then, if it has a rate
    size_t send_count, send_capacity;
};

struct disk {
    struct sim *sim;
    uint32_t epoch;
    struct disk_task *tasks; // by rising seq
    size_t task_count, task_capacity;
    struct disk_shard shards[OM_SHARD_COUNT];
    int64_t cursors[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
    struct disk_setting *settings;
    size_t setting_count, setting_capacity;
    struct change_start *starts;
    size_t start_count, start_capacity;
    struct om_str *strings; // all that is stored
    size_t string_count, string_capacity;
};

struct disk *disk_create(struct sim *sim);
void disk_destroy(struct disk **self_p);

// Apply a batch, whole. Judges it, and sets what the store sets.
void disk_commit(struct disk *self, struct batch *batch);

// A broker loads it: store_load().
OM_MUST_CHECK enum om_rc disk_load(struct disk *self, const struct store_loader *loader);

// store_read().
void disk_read(struct disk *self, struct read *read);

// Drop starts that are not needed after `wall_ms`.
void disk_purge(struct disk *self, int64_t wall_ms);

struct disk_task *disk_find(const struct disk *self, const struct om_uuid *id);
struct disk_task *disk_find_seq(const struct disk *self, int64_t seq);

// What a job's result says of itself, and a partial one, so that they can be judged.
struct job_result {
    struct wire_token token;
    int64_t quantity; // of usage, which is also an event; the number of a partial result
};

// ---- between the files of the disk

// Room for one more item of `size` bytes.
void *disk_grow(void *items, size_t count, size_t *capacity, size_t size);

// A copy of the text, of the disk's own.
struct om_str disk_keep(struct disk *self, struct om_str text);

// A copy of the payload, which the caller owns; NULL of none.
struct payload *disk_keep_payload(struct payload *payload);

void disk_insert(struct disk *self, const struct change_task *task);

// Add the task of the batch there, unless it is known; with the first of a set all of it.
void disk_add_task(struct disk *self, struct batch *batch, size_t place);
void disk_add_mark(struct disk *self, const struct batch *batch,
                   const struct change_mark *change);
void disk_add_result(struct disk *self, const struct batch *batch,
                     const struct change_result *change);
void disk_add_chunk(struct disk *self, const struct change_chunk *change);
void disk_reopen(struct disk *self, int64_t seq);

// disk.h - the broker's store in memory, with the semantics of store.h, which outlives
// the broker. It remembers enough to judge what the broker says and does.
#pragma once
#include <stdio.h>

#include "sim.h"

struct disk_task {
    struct stored_task row; // its strings are the disk's
    struct payload *payload, *result;
    uint8_t hash[32];
    bool reopened;
    int64_t results;   // how often it ended
    bool acknowledged; // SUBMITTED was said
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

struct disk {
    struct sim *sim;
    uint32_t epoch;
    struct disk_task *tasks; // by rising seq
    size_t task_count, task_capacity;
    struct disk_shard shards[OM_SHARD_COUNT];
    int64_t cursors[SUBSCRIPTION_COUNT][OM_SHARD_COUNT];
    struct om_str *strings; // all that is stored
    size_t string_count, string_capacity;
};

struct disk *disk_create(struct sim *sim);
void disk_destroy(struct disk **self_p);

// Apply a batch, whole. Judges it, and sets what the store sets.
void disk_commit(struct disk *self, struct batch *batch);

// A broker loads it.
void disk_load(struct disk *self, struct core *core);

void disk_read(struct disk *self, struct read *read);

struct disk_task *disk_find(const struct disk *self, const struct om_uuid *id);

// What a job's result says of itself, so that it can be judged.
struct job_result {
    struct wire_token token;
    int64_t quantity; // of usage; it is also an event
};

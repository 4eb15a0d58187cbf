// query.h - questions: GET, LIST, WATCH, CANCEL and RETRY, answered from memory for open
// tasks and by a read of the store for ended ones.
#pragma once
#include "inner.h"

struct listing;
struct load;

// Read the payload of the task's lease: task_payload_read().
void query_payload(struct core *self, const struct task *task);

// Read the events of the run: run_read_done().
void query_run(struct core *self, struct run *run);

// Read the stored chunks of the replay's task that are newer than `after`:
// chunk_read_done().
void query_chunks(struct core *self, struct replay *replay, int64_t after, size_t limit);

// Read the next `limit` failed tasks that `retry` is about: retry_read_done().
void query_failed(struct core *self, struct retry *retry, size_t limit);
// Is there room for one more question about a task?
bool query_room(const struct core *self);

// Has the task ended: depend_read_done(). Is it known: submit_known_read().
void query_parent(struct core *self, const struct om_uuid *tenant,
                  const struct om_uuid *id, int64_t question);
void query_known(struct core *self, const struct om_uuid *tenant,
                 const struct om_uuid *id, int64_t question);

// Answer a PARENT with the task's record and result.
void query_result(struct core *self, const struct input *in, const struct om_uuid *tenant,
                  const struct om_uuid *id);

// Read up to `limit` rows of the listing, which is taken: list_read_done().
void query_list(struct core *self, struct listing *listing, size_t limit);

// The same with the tasks of these seqs, which are taken, whatever it asks for.
void query_list_of(struct core *self, struct listing *listing, int64_t *seqs,
                   size_t count);

// Read tasks by their seqs: spill_loaded().
void query_load(struct core *self, const struct load *load, const int64_t *seqs,
                size_t count);

// The store has answered; frees the read.
void query_answered(struct core *self, struct read **read_p);

// Free all questions, and the reads not yet handed out.
void query_destroy_all(struct core *self);

void on_get(struct core *self, const struct input *in);
void on_watch(struct core *self, const struct input *in);
void on_cancel(struct core *self, const struct input *in);
void on_retry(struct core *self, const struct input *in);

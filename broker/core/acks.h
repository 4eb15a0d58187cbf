// acks.h - acknowledgements. A session that has said so in its HELLO gets those of
// several jobs in one message, which core_next_send() makes when it is asked for what to
// send.
#pragma once
#include "inner.h"

// What is to be acknowledged to a session with the next list.
struct ack_list {
    struct om_buf items; // packed
    size_t count;
};

struct acks {
    bool waiting; // it stands in the core's list
    struct ack_list submitted, done;
};

// SUBMITTED in answer to the message of `asker`: the job is on disk.
void ack_submitted(struct core *self, const struct asker *asker,
                   const struct om_uuid *task);

// DONE_ACK: what the worker has said of its lease is on disk.
void ack_done(struct core *self, core_conn conn, const struct wire_token *token);

// Queue the messages of all lists.
void acks_flush(struct core *self);

// The session goes, and with it what was to be acknowledged.
void acks_finish(struct core *self, struct session *session);

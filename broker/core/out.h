// out.h - messages on their way out.
#pragma once
#include "inner.h"

struct out {
    struct out *next;
    core_conn conn;
    struct payload *payload;
    size_t size;
    char header[];
};

// Encode a message; the caller owns it until it gives it to out_push(), commit_after() or
// a group. Takes a reference of `payload` (NULL: none).
struct out *out_encode(struct core *self, core_conn conn, enum wire_type type,
                       const struct wire_msg *msg, struct payload *payload);

// The same with fields that were encoded before.
struct out *out_encode_spliced(struct core *self, core_conn conn, enum wire_type type,
                               const struct wire_msg *msg, struct wire_part part,
                               struct payload *payload);

void out_destroy(struct out **self_p);

// Queue a message for core_next_send().
void out_push(struct core *self, struct out **out_p);

// Encode and queue.
void out_send(struct core *self, core_conn conn, enum wire_type type,
              const struct wire_msg *msg, struct payload *payload);

// ERROR in answer to the message `id` (absent: to none). `text` NULL: the text of `rc`.
void out_error(struct core *self, core_conn conn, struct om_str id, enum om_rc rc,
               const char *text);

// A message that carries nothing but a token.
void out_token(struct core *self, core_conn conn, enum wire_type type,
               const struct wire_token *token);

// A message that answers `asker` about a task and carries nothing else, encoded.
struct out *out_about(struct core *self, const struct asker *asker, enum wire_type type,
                      const struct om_uuid *task);

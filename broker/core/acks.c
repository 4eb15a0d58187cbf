#include "acks.h"
#include "out.h"
#include "session.h"

enum { LIST_BYTES_MAX = 12 * 1024 }; // of one message's, below the header's limit

// The session of `conn` if it understands lists; else NULL.
static struct session *
find_session(struct core *self, core_conn conn)
{
    struct session *session = session_find(self, conn);
    return session && session->caps & CAPABILITY_ACK_LISTS ? session : NULL;
}

// Send one message with the list as its field.
static void
send_list(struct core *self, core_conn conn, enum wire_type type, struct ack_list *list)
{
    if (list->count == 0)
        return;
    om_buf_reset(&self->list);
    om_pack_array(&self->list, list->count);
    om_buf_put(&self->list, list->items.data, list->items.size);
    if (self->list.failed || list->items.failed)
        abort();
    struct wire_msg msg = { 0 };
    if (type == WIRE_SUBMITTED)
        WIRE_SET(&msg, ids, om_buf_str(&self->list));
    else
        WIRE_SET(&msg, tokens, om_buf_str(&self->list));
    out_send(self, conn, type, &msg, NULL);
    om_buf_reset(&list->items);
    list->count = 0;
}

static void
flush(struct core *self, struct session *session)
{
    send_list(self, session->conn, WIRE_SUBMITTED, &session->acks.submitted);
    send_list(self, session->conn, WIRE_DONE_ACK, &session->acks.done);
}

// One more item is in a list of the session's.
static void
note(struct core *self, struct session *session, struct ack_list *list)
{
    list->count++;
    if (!session->acks.waiting)
        DL_APPEND2(self->acking, session, ack_prev, ack_next);
    session->acks.waiting = true;
    if (list->items.size > LIST_BYTES_MAX)
        flush(self, session);
}

void
ack_submitted(struct core *self, const struct asker *asker, const struct om_uuid *task)
{
    struct session *session = find_session(self, asker->conn);
    if (!session) {
        struct out *out = out_about(self, asker, WIRE_SUBMITTED, task);
        out_push(self, &out);
        return;
    }
    om_pack_str(&session->acks.submitted.items, label_str(&asker->id));
    note(self, session, &session->acks.submitted);
}

void
ack_done(struct core *self, core_conn conn, const struct wire_token *token)
{
    struct session *session = find_session(self, conn);
    if (!session) {
        out_token(self, conn, WIRE_DONE_ACK, token);
        return;
    }
    char bytes[WIRE_TOKEN_BYTES];
    wire_token_encode(token, bytes);
    om_pack_bin(&session->acks.done.items, (struct om_str){ bytes, sizeof(bytes) });
    note(self, session, &session->acks.done);
}

void
acks_flush(struct core *self)
{
    for (struct session *session; (session = self->acking);) {
        DL_DELETE2(self->acking, session, ack_prev, ack_next);
        session->acks.waiting = false;
        flush(self, session);
    }
}

void
acks_finish(struct core *self, struct session *session)
{
    if (session->acks.waiting)
        DL_DELETE2(self->acking, session, ack_prev, ack_next);
    om_buf_finish(&session->acks.submitted.items);
    om_buf_finish(&session->acks.done.items);
}

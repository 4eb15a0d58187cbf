#include "out.h"
#include "acks.h"
#include "session.h"

struct out *
out_encode(struct core *self, core_conn conn, enum wire_type type,
           const struct wire_msg *msg, struct payload *payload)
{
    return out_encode_spliced(self, conn, type, msg, (struct wire_part){ 0 }, payload);
}

struct out *
out_encode_spliced(struct core *self, core_conn conn, enum wire_type type,
                   const struct wire_msg *msg, struct wire_part part,
                   struct payload *payload)
{
    om_buf_reset(&self->scratch);
    wire_encode_spliced(type, msg, part, &self->scratch);
    if (self->scratch.failed)
        abort();
    struct out *out = pool_take(&self->pool, sizeof(*out) + self->scratch.size);
    out->conn = conn;
    out->payload = payload_ref(payload);
    out->size = self->scratch.size;
    memcpy(out->header, self->scratch.data, self->scratch.size);
    return out;
}

void
out_destroy(struct out **self_p)
{
    struct out *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    payload_unref(&self->payload);
    pool_give(self);
}

void
out_push(struct core *self, struct out **out_p)
{
    struct out *out = *out_p;
    *out_p = NULL;
    out->next = NULL;
    *self->sends_end = out;
    self->sends_end = &out->next;
}

void
out_send(struct core *self, core_conn conn, enum wire_type type,
         const struct wire_msg *msg, struct payload *payload)
{
    struct out *out = out_encode(self, conn, type, msg, payload);
    out_push(self, &out);
}

void
out_error(struct core *self, core_conn conn, struct om_str id, enum om_rc rc,
          const char *text)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, code, om_str(om_rc_info(rc)->code));
    WIRE_SET(&msg, text, om_str(text ? text : om_rc_info(rc)->text));
    if (id.data && id.size)
        WIRE_SET(&msg, id, id);
    out_send(self, conn, WIRE_ERROR, &msg, NULL);
}

void
out_token(struct core *self, core_conn conn, enum wire_type type,
          const struct wire_token *token)
{
    char bytes[WIRE_TOKEN_BYTES];
    wire_token_encode(token, bytes);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ bytes, sizeof(bytes) }));
    out_send(self, conn, type, &msg, NULL);
}

struct out *
out_about(struct core *self, const struct asker *asker, enum wire_type type,
          const struct om_uuid *task)
{
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ text, om_typeid_encode(OM_ID_TASK, task, text) }));
    return out_encode(self, asker->conn, type, &msg, NULL);
}

static int
compare_conns(const struct out *a, const struct out *b)
{
    return a->conn < b->conn ? -1 : a->conn > b->conn;
}

void
core_group_sends(struct core *self)
{
    acks_flush(self);
    LL_SORT(self->sends, compare_conns); // a merge sort, which is stable
    self->sends_end = &self->sends;
    while (*self->sends_end)
        self->sends_end = &(*self->sends_end)->next;
}

// May the next message travel with the one given out?
static bool
next_goes_along(const struct core *self)
{
    core_conn conn = self->given->conn;
    if (!self->sends || self->sends->conn != conn)
        return false;
    if (self->bundling)
        return true;
    const struct session *session = session_find(self, conn);
    return session && session->caps & CAPABILITY_BUNDLE;
}

bool
core_next_send(struct core *self, struct core_send *out)
{
    out_destroy(&self->given);
    acks_flush(self);
    if (!self->sends)
        return false;
    self->given = self->sends;
    self->sends = self->given->next;
    if (!self->sends)
        self->sends_end = &self->sends;
    self->bundling = next_goes_along(self);
    *out = (struct core_send){ self->given->conn,
                               { self->given->header, self->given->size },
                               self->given->payload,
                               self->bundling };
    return true;
}

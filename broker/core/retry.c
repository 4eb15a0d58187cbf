#include "retry.h"
#include "commit.h"
#include "out.h"
#include "query.h"
#include "spill.h"
#include "task.h"

enum { RETRY_MAX = 10000, SLICE = 100 };

// When everything that was reopened is on disk.
static void
answer(struct core *self, const struct retry *retry, bool more)
{
    char after[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&retry->asker.id));
    WIRE_SET(&msg, sent, retry->reopened);
    if (more) {
        size_t size = om_typeid_encode(OM_ID_TASK, &retry->after, after);
        WIRE_SET(&msg, after, ((struct om_str){ after, size }));
    }
    struct out *out = out_encode(self, retry->asker.conn, WIRE_RETRIED, &msg, NULL);
    commit_after(self, &out);
}

static size_t
slice_of(const struct retry *retry)
{
    return retry->left < SLICE ? (size_t)retry->left : SLICE;
}

static bool
is_wanted(const struct label *wanted, struct om_str text)
{
    return wanted->size == 0 || om_str_eq(label_str(wanted), text);
}

// Reopen one task if it is still a failed one. OM_OK also if it is not.
static enum om_rc
reopen(struct core *self, struct retry *retry, const struct stored_task *stored,
       const char **why)
{
    bool fits =
        stored->state == STATE_FAILED && is_wanted(&retry->queue, stored->queue) &&
        is_wanted(&retry->kind, stored->kind) && is_wanted(&retry->code, stored->code) &&
        !task_find_any(self, &stored->id) && spill_state(self, stored) == STATE_NONE;
    if (!fits)
        return OM_OK;
    struct out *nobody = NULL;
    enum om_rc rc = commit_congested(self) ? OM_EUNAVAILABLE
                                           : task_reopen(self, stored, &nobody, why);
    retry->reopened += rc == OM_OK;
    retry->left -= rc == OM_OK;
    return rc;
}

void
retry_read_done(struct core *self, struct retry **retry_p, const struct read *read)
{
    struct retry *retry = *retry_p;
    const char *why = NULL;
    enum om_rc rc = read->rc == OM_ENOTFOUND ? OM_OK : read->rc;
    size_t seen = 0;
    for (; rc == OM_OK && seen < read->count; seen++) {
        rc = reopen(self, retry, &read->tasks[seen], &why);
        if (rc == OM_OK)
            retry->after = read->tasks[seen].id;
    }
    bool cut = !om_uuid_is_zero(&read->cut);
    if (rc == OM_OK && cut)
        retry->after = read->cut;
    bool more = rc != OM_OK || read->count == read->limit || cut;
    if (rc == OM_OK && more && retry->left > 0) {
        *retry_p = NULL; // the next read has it
        query_failed(self, retry, slice_of(retry));
        return;
    }
    if (rc != OM_OK && retry->reopened == 0)
        out_error(self, retry->asker.conn, label_str(&retry->asker.id), rc, why);
    else
        answer(self, retry, more);
    self->query_count--;
    free(retry);
    *retry_p = NULL;
}

void
on_retry_many(struct core *self, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct om_uuid after = { 0 };
    if (om_uuid_is_zero(&in->tenant) || msg->limit < 1 ||
        (WIRE_HAS(msg, after) &&
         om_typeid_decode(OM_ID_TASK, msg->after, &after) != OM_OK)) {
        out_error(self, in->conn, msg->id, OM_EINVAL,
                  "tenant, limit or after is not valid");
        return;
    }
    if (self->query_count >= QUERIES_MAX) {
        out_error(self, in->conn, msg->id, OM_EUNAVAILABLE,
                  "too many questions are open");
        return;
    }
    self->query_count++;
    struct retry *retry = core_alloc(sizeof(*retry));
    retry->asker.conn = in->conn;
    label_set(&retry->asker.id, msg->id);
    retry->tenant = in->tenant;
    retry->after = after;
    label_set(&retry->queue, msg->queue);
    label_set(&retry->kind, msg->kind);
    label_set(&retry->code, msg->code);
    retry->left = msg->limit < RETRY_MAX ? msg->limit : RETRY_MAX;
    query_failed(self, retry, slice_of(retry));
}

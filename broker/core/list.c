#include "list.h"
#include "task_inner.h"

enum {
    SLICE_ROWS = 512,
    RARE_MAX = 2048, // tasks that are found by their numbers, not by going through all
};

void
listing_destroy(struct listing **self_p)
{
    struct listing *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    om_buf_finish(&self->records);
    free(self);
}

static void
send_page(struct core *self, struct listing **listing_p)
{
    struct listing *listing = *listing_p;
    struct om_buf array = { 0 };
    om_pack_array(&array, listing->count);
    om_buf_put(&array, listing->records.data, listing->records.size);
    struct payload *payload = payload_copy(om_buf_str(&array));
    if (array.failed || !payload)
        abort();
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&listing->asker.id));
    char after[OM_TYPEID_MAX];
    if (!om_uuid_is_zero(&listing->cut) && listing->count < listing->limit) {
        om_typeid_encode(OM_ID_TASK, &listing->cut, after);
        WIRE_SET(&msg, after, om_str(after));
    }
    out_send(self, listing->asker.conn, WIRE_TASKS, &msg, payload);
    payload_unref(&payload);
    om_buf_finish(&array);
    listing_destroy(listing_p);
}

static void
put(struct listing *listing, const struct task *task)
{
    task_info(task, &listing->records);
    listing->count++;
}

// ---- from memory

static bool
is_older(const struct task *task, const struct task *after,
         const struct om_uuid *after_id)
{
    if (after)
        return task->seq < after->seq;
    return om_uuid_is_zero(after_id) ||
           memcmp(&task->id, after_id, sizeof(*after_id)) < 0;
}

static bool
is_wanted(const struct listing *listing, const struct task *task)
{
    return (listing->queue.size == 0 ||
            om_str_eq(queue_name(task->share->queue), label_str(&listing->queue))) &&
           (listing->kind.size == 0 ||
            om_str_eq(task->kind, label_str(&listing->kind))) &&
           (listing->code.size == 0 ||
            om_str_eq(om_str(task->code), label_str(&listing->code)));
}

static int
newest_first(const void *a, const void *b)
{
    const struct task *const *left = a, *const *right = b;
    return ((*left)->seq < (*right)->seq) - ((*left)->seq > (*right)->seq);
}

// The tasks in memory that are wanted, newest first; the caller frees the list.
static const struct task **
find_in_memory(const struct core *self, const struct listing *listing,
               const struct tenant_state *tenant, size_t *found)
{
    const struct task *after = task_find(self, &listing->tenant, &listing->after);
    const struct task **tasks =
        core_alloc((tenant->open - tenant->away + 1) * sizeof(*tasks));
    const struct task *task;
    size_t count = 0;
    DL_FOREACH (tenant->tasks, task)
        if (task->committed && listing->states[task->state] &&
            is_older(task, after, &listing->after) && is_wanted(listing, task))
            tasks[count++] = task;
    qsort(tasks, count, sizeof(*tasks), newest_first);
    *found = count;
    return tasks;
}

static void
list_memory(struct core *self, struct listing *listing, const struct tenant_state *tenant)
{
    size_t count;
    const struct task **tasks = find_in_memory(self, listing, tenant, &count);
    for (size_t i = 0; i < count && listing->count < listing->limit; i++)
        put(listing, tasks[i]);
    free(tasks);
}

// ---- from the store

// Ended tasks, or all.
static void
put_ended(struct core *self, struct listing *listing, const struct stored_task *stored)
{
    const struct task *task = task_find(self, &stored->tenant, &stored->id);
    bool reopened =
        task || (stored->state != STATE_NONE && spill_state(self, stored) != STATE_NONE);
    if (reopened && listing->ended != STATE_NONE)
        return; // since it was read
    if (task) {
        put(listing, task);
        return;
    }
    task_stored_info(self, stored, &listing->records);
    listing->count++;
}

// An open task: what memory knows of it counts.
static void
put_open(struct core *self, struct listing *listing, const struct stored_task *stored)
{
    const struct task *task = task_find(self, &stored->tenant, &stored->id);
    enum task_state state = task ? task->state : spill_state(self, stored);
    if (state == STATE_NONE || !listing->states[state])
        return;
    if (task) {
        put(listing, task);
        return;
    }
    task_stored_info(self, stored, &listing->records);
    listing->count++;
}

static int
newest_row_first(const void *a, const void *b)
{
    const struct stored_task *left = a, *right = b;
    return (left->seq < right->seq) - (left->seq > right->seq);
}

static bool
is_stored_wanted(const struct listing *listing, const struct stored_task *stored)
{
    return (listing->queue.size == 0 ||
            om_str_eq(stored->queue, label_str(&listing->queue))) &&
           (listing->kind.size == 0 ||
            om_str_eq(stored->kind, label_str(&listing->kind))) &&
           (listing->code.size == 0 ||
            om_str_eq(stored->code, label_str(&listing->code)));
}

// Those that were read by their numbers, among those in memory.
static void
put_rare(struct core *self, struct listing *listing, const struct read *read)
{
    struct tenant_state *tenant = NULL;
    HASH_FIND(hh, self->tenants, &listing->tenant, sizeof(listing->tenant), tenant);
    size_t count = 0, next = 0;
    const struct task **tasks =
        tenant ? find_in_memory(self, listing, tenant, &count) : NULL;
    if (read->count > 0)
        qsort(read->tasks, read->count, sizeof(*read->tasks), newest_row_first);
    for (size_t i = 0; i < read->count && listing->count < listing->limit; i++) {
        const struct stored_task *stored = &read->tasks[i];
        for (; next < count && tasks[next]->seq >= stored->seq; next++)
            if (listing->count < listing->limit)
                put(listing, tasks[next]);
        if (listing->count < listing->limit && is_stored_wanted(listing, stored) &&
            !task_find(self, &stored->tenant, &stored->id))
            put_open(self, listing, stored);
    }
    for (; next < count && listing->count < listing->limit; next++)
        put(listing, tasks[next]);
    free(tasks);
}

void
list_read_done(struct core *self, struct listing **listing_p, const struct read *read)
{
    struct listing *listing = *listing_p;
    const struct asker *asker = &listing->asker;
    bool failed = read->rc != OM_OK && read->rc != OM_ENOTFOUND;
    if (read->kind == READ_TASKS && !failed)
        put_rare(self, listing, read);
    for (size_t i = 0;
         read->kind != READ_TASKS && i < read->count && listing->count < listing->limit;
         i++) {
        const struct stored_task *stored = &read->tasks[i];
        listing->after = stored->id;
        if (listing->open)
            put_open(self, listing, stored);
        else
            put_ended(self, listing, stored);
    }
    bool more = read->kind == READ_OPEN && !failed && read->count == read->limit &&
                listing->count < listing->limit && session_find(self, asker->conn);
    if (more) {
        *listing_p = NULL; // the next read has it
        query_list(self, listing, SLICE_ROWS);
        return;
    }
    self->query_count--;
    listing->cut = read->cut;
    if (!failed) {
        send_page(self, listing_p);
        return;
    }
    out_error(self, asker->conn, label_str(&asker->id), read->rc, NULL);
    listing_destroy(listing_p);
}

// ---- LIST

// Which states have this public name; `*ended` is set to the one that is an end.
static bool
states_of(struct om_str status, bool open[STATE_COUNT], enum task_state *ended)
{
    bool known = false;
    *ended = STATE_NONE;
    for (unsigned state = 1; state < STATE_COUNT; state++) {
        const struct state_info *info = state_info(state);
        open[state] = om_str_eq(status, om_str(info->public_name));
        known = known || open[state];
        if (open[state] && info->ended)
            *ended = (enum task_state)state;
    }
    return known;
}

// What a LIST asks for; NULL: it is not valid.
static struct listing *
listing_create(const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct listing *listing = core_alloc(sizeof(*listing));
    listing->asker.conn = in->conn;
    label_set(&listing->asker.id, msg->id);
    listing->tenant = in->tenant;
    listing->limit = msg->limit < LIST_MAX ? (size_t)msg->limit : LIST_MAX;
    label_set(&listing->queue, msg->queue);
    label_set(&listing->kind, msg->kind);
    label_set(&listing->code, msg->code);
    if (om_uuid_is_zero(&in->tenant) ||
        (WIRE_HAS(msg, status) &&
         !states_of(msg->status, listing->states, &listing->ended)) ||
        (WIRE_HAS(msg, after) &&
         om_typeid_decode(OM_ID_TASK, msg->after, &listing->after) != OM_OK))
        listing_destroy(&listing);
    else
        listing->open = WIRE_HAS(msg, status) && listing->ended == STATE_NONE;
    return listing;
}

// May a task of the listing be away? If not, a deep backlog costs nothing.
static bool
may_be_away(const struct listing *listing, const struct tenant_state *tenant)
{
    bool timed = listing->states[STATE_SCHEDULED] || listing->states[STATE_RETRY_WAIT];
    return tenant &&
           ((listing->states[STATE_READY] && tenant->away > tenant->away_timed) ||
            (timed && tenant->away_timed > 0));
}

static int
greatest_first(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left < *right) - (*left > *right);
}

// A few that wait for a time are found among many that are ready. False: they are not
// few, or it is not known in memory behind which the page begins.
static bool
list_rare(struct core *self, struct listing *listing, const struct tenant_state *tenant)
{
    const struct task *after = task_find(self, &listing->tenant, &listing->after);
    bool ready = listing->states[STATE_READY] && tenant->away > tenant->away_timed;
    if (ready || tenant->away_timed > RARE_MAX ||
        (!after && !om_uuid_is_zero(&listing->after)))
        return false;
    size_t count, kept = 0;
    int64_t *seqs = spill_timed(self, tenant, after ? after->seq : INT64_MAX, &count);
    if (count > 0)
        qsort(seqs, count, sizeof(*seqs), greatest_first);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || seqs[i] != seqs[kept - 1])
            seqs[kept++] = seqs[i];
    query_list_of(self, listing, seqs, kept);
    return true;
}

void
on_list(struct core *self, const struct input *in)
{
    struct om_str id = in->msg->id;
    struct listing *listing = listing_create(in);
    if (!listing) {
        out_error(self, in->conn, id, OM_EINVAL, "tenant, status or after is not valid");
        return;
    }
    struct tenant_state *tenant = NULL;
    HASH_FIND(hh, self->tenants, &in->tenant, sizeof(in->tenant), tenant);
    if (listing->open && !may_be_away(listing, tenant)) {
        if (tenant)
            list_memory(self, listing, tenant);
        send_page(self, &listing);
    } else if (!query_room(self)) {
        out_error(self, in->conn, id, OM_EUNAVAILABLE, "too many questions are open");
        listing_destroy(&listing);
    } else {
        self->query_count++;
        if (!listing->open || !list_rare(self, listing, tenant))
            query_list(self, listing, listing->open ? SLICE_ROWS : listing->limit);
    }
}

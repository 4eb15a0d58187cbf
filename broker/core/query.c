#include "query.h"
#include "depend.h"
#include "list.h"
#include "out.h"
#include "queue.h"
#include "retry.h"
#include "run.h"
#include "session.h"
#include "spill.h"
#include "task_inner.h"
#include "watch.h"

// A read's purpose.
enum query_kind {
    QUERY_GET,
    QUERY_LIST,
    QUERY_CANCEL,
    QUERY_RETRY,
    QUERY_WATCH,
    QUERY_RESULT,
    QUERY_PARENT,
    QUERY_KNOWN,
    QUERY_PAYLOAD,
    QUERY_RUN,
    QUERY_CHUNKS,
    QUERY_FAILED,
    QUERY_LOAD,
};

// A read under way. Its answer finds its way by ids: whoever asked may be gone by then.
struct query {
    // In the list of those to hand out, then of those under way.
    struct query *prev, *next;
    struct read *read;
    enum query_kind kind;
    struct asker asker;
    struct wire_token token; // PAYLOAD
    int64_t question;        // PARENT, KNOWN
    struct run *run;
    struct watch_request watch; // WATCH
    struct replay *replay;      // CHUNKS; owned
    struct retry *retry;        // FAILED; owned
    struct listing *listing;    // LIST; owned
    struct load load;           // LOAD
    unsigned generation;        // of one about a task: spill_asked()
    unsigned tries;
};

static struct query *
query_create(struct core *self, enum query_kind kind, enum read_kind read)
{
    struct query *query = core_alloc(sizeof(*query));
    query->kind = kind;
    query->read = core_alloc(sizeof(*query->read));
    query->read->kind = read;
    query->read->context = query;
    DL_APPEND(self->queries, query);
    return query;
}

void
query_payload(struct core *self, const struct task *task)
{
    struct query *query = query_create(self, QUERY_PAYLOAD, READ_PAYLOAD);
    query->token = task->lease.token;
    query->read->seq = task->seq;
}

void
query_run(struct core *self, struct run *run)
{
    struct query *query = query_create(self, QUERY_RUN, READ_EVENTS);
    query->run = run;
    query->read->seq = run->cursor;
    query->read->shard = run->shard;
    query->read->topic = subscriptions[run->subscription].topic;
    query->read->limit = run->limit;
}

void
query_chunks(struct core *self, struct replay *replay, int64_t after, size_t limit)
{
    struct query *query = query_create(self, QUERY_CHUNKS, READ_CHUNKS);
    query->replay = replay;
    query->read->seq = replay->task_seq;
    query->read->after_seq = after;
    query->read->limit = limit;
}

// List only these; absent or empty texts: any.
static void
filter(struct read *read, struct om_str queue, struct om_str kind, struct om_str code)
{
    struct om_str none = { 0 };
    read->queue = queue.size ? queue : none;
    read->task_kind = kind.size ? kind : none;
    read->code = code.size ? code : none;
    if (!read_keep(read, &read->queue) || !read_keep(read, &read->task_kind) ||
        !read_keep(read, &read->code))
        abort();
}

void
query_failed(struct core *self, struct retry *retry, size_t limit)
{
    struct query *query = query_create(self, QUERY_FAILED, READ_LIST);
    struct read *read = query->read;
    query->retry = retry;
    read->tenant = retry->tenant;
    read->id = retry->after;
    read->state = STATE_FAILED;
    read->limit = limit;
    filter(read, label_str(&retry->queue), label_str(&retry->kind),
           label_str(&retry->code));
}

void
query_list(struct core *self, struct listing *listing, size_t limit)
{
    struct query *query =
        query_create(self, QUERY_LIST, listing->open ? READ_OPEN : READ_LIST);
    query->listing = listing;
    query->read->tenant = listing->tenant;
    query->read->id = listing->after;
    query->read->state = listing->ended;
    query->read->limit = limit;
    filter(query->read, label_str(&listing->queue), label_str(&listing->kind),
           label_str(&listing->code));
}

void
query_list_of(struct core *self, struct listing *listing, int64_t *seqs, size_t count)
{
    struct query *query = query_create(self, QUERY_LIST, READ_TASKS);
    query->listing = listing;
    query->read->seqs = seqs;
    query->read->seq_count = count;
}

void
query_load(struct core *self, const struct load *load, const int64_t *seqs, size_t count)
{
    struct query *query = query_create(self, QUERY_LOAD, READ_TASKS);
    query->load = *load;
    query->read->seqs = core_realloc(NULL, count * sizeof(*seqs));
    memcpy(query->read->seqs, seqs, count * sizeof(*seqs));
    query->read->seq_count = count;
}

struct read *
core_next_read(struct core *self)
{
    struct query *query = self->queries;
    if (!query)
        return NULL;
    DL_DELETE(self->queries, query);
    DL_APPEND(self->asked, query);
    return query->read;
}

void
query_destroy_all(struct core *self)
{
    for (struct query *query; (query = self->queries);) {
        DL_DELETE(self->queries, query);
        read_destroy(&query->read);
        free(query->retry);
        listing_destroy(&query->listing);
        replay_destroy(&query->replay);
        free(query);
    }
    for (struct query *query; (query = self->asked);) {
        DL_DELETE(self->asked, query);
        free(query->retry);
        listing_destroy(&query->listing);
        replay_destroy(&query->replay);
        free(query); // whoever has the read frees it
    }
}

static void
refuse(struct core *self, const struct asker *asker, enum om_rc rc, const char *text)
{
    out_error(self, asker->conn, label_str(&asker->id), rc, text);
}

static struct asker
asker_of(const struct input *in)
{
    struct asker asker = { .conn = in->conn };
    label_set(&asker.id, in->msg->id);
    return asker;
}

bool
query_room(const struct core *self)
{
    return self->query_count < QUERIES_MAX;
}

static struct query *
query_task(struct core *self, enum query_kind kind, const struct om_uuid *tenant,
           const struct om_uuid *id)
{
    self->query_count++;
    struct query *query = query_create(self, kind, READ_TASK);
    query->generation = spill_asked(self);
    query->read->tenant = *tenant;
    query->read->id = *id;
    return query;
}

void
query_parent(struct core *self, const struct om_uuid *tenant, const struct om_uuid *id,
             int64_t question)
{
    query_task(self, QUERY_PARENT, tenant, id)->question = question;
}

void
query_known(struct core *self, const struct om_uuid *tenant, const struct om_uuid *id,
            int64_t question)
{
    query_task(self, QUERY_KNOWN, tenant, id)->question = question;
}

// Ask the store about one task of the tenant's; NULL: refused.
static struct query *
ask_about(struct core *self, enum query_kind kind, const struct input *in,
          const struct om_uuid *tenant, const struct om_uuid *id)
{
    struct asker asker = asker_of(in);
    if (!query_room(self)) {
        refuse(self, &asker, OM_EUNAVAILABLE, "too many questions are open");
        return NULL;
    }
    struct query *query = query_task(self, kind, tenant, id);
    query->asker = asker;
    return query;
}

// The id of the message's task; false: the sender has been told that it is none.
static bool
task_id(struct core *self, const struct input *in, struct om_uuid *id)
{
    if (om_uuid_is_zero(&in->tenant))
        out_error(self, in->conn, in->msg->id, OM_EINVAL, "tenant is missing");
    else if (om_typeid_decode(OM_ID_TASK, in->msg->task, id) != OM_OK)
        out_error(self, in->conn, in->msg->id, OM_ENOTFOUND, NULL);
    else
        return true;
    return false;
}

// ---- GET

static void
send_task(struct core *self, const struct asker *asker, enum wire_type type,
          const struct om_uuid *id, struct om_str info, struct om_str ctype,
          struct payload *result)
{
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ text, om_typeid_encode(OM_ID_TASK, id, text) }));
    WIRE_SET(&msg, info, info);
    if (ctype.size)
        WIRE_SET(&msg, ctype, ctype);
    out_send(self, asker->conn, type, &msg, result);
}

static void
send_open(struct core *self, const struct input *in, enum wire_type type,
          const struct task *task)
{
    struct om_buf info = { 0 };
    struct asker asker = asker_of(in);
    task_info_whole(task, &info);
    send_task(self, &asker, type, &task->id, om_buf_str(&info), (struct om_str){ 0 },
              NULL);
    om_buf_finish(&info);
}

void
on_get(struct core *self, const struct input *in)
{
    struct om_uuid id;
    if (!task_id(self, in, &id))
        return;
    struct task *task = task_find(self, &in->tenant, &id);
    if (!task) {
        ask_about(self, QUERY_GET, in, &in->tenant, &id);
        return;
    }
    send_open(self, in, WIRE_TASK, task);
}

void
query_result(struct core *self, const struct input *in, const struct om_uuid *tenant,
             const struct om_uuid *id)
{
    const struct task *task = task_find(self, tenant, id);
    if (task)
        send_open(self, in, WIRE_PARENT_IS, task);
    else
        ask_about(self, QUERY_RESULT, in, tenant, id);
}

// ---- CANCEL, RETRY, WATCH

void
on_cancel(struct core *self, const struct input *in)
{
    struct om_uuid id;
    if (!task_id(self, in, &id))
        return;
    struct asker asker = asker_of(in);
    struct task *task = task_find(self, &in->tenant, &id);
    if (task)
        task_cancel(self, task, &asker);
    else
        ask_about(self, QUERY_CANCEL, in, &in->tenant, &id);
}

void
on_retry(struct core *self, const struct input *in)
{
    struct om_uuid id;
    if (!task_id(self, in, &id))
        return;
    struct asker asker = asker_of(in);
    if (!task_retry_open(self, &in->tenant, &id, &asker))
        ask_about(self, QUERY_RETRY, in, &in->tenant, &id);
}

void
on_watch(struct core *self, const struct input *in)
{
    struct om_uuid id;
    if (!task_id(self, in, &id))
        return;
    struct watch_request request = { .asker = asker_of(in),
                                     .ttl_ms = in->msg->ttl_ms,
                                     .chunks = WIRE_HAS(in->msg, seq),
                                     .after = in->msg->seq };
    struct task *task = task_find(self, &in->tenant, &id);
    if (task) {
        watch_create(self, in->session, &request, task);
        return;
    }
    struct query *query = ask_about(self, QUERY_WATCH, in, &in->tenant, &id);
    if (query)
        query->watch = request;
}

// The store has the task and memory does not.
static void
answer_about(struct core *self, const struct query *query,
             const struct stored_task *stored)
{
    const struct asker *asker = &query->asker;
    struct om_buf info = { 0 };
    struct out *submitted;
    enum om_rc rc;
    const char *why;
    switch (query->kind) {
    case QUERY_GET:
    case QUERY_RESULT:
        task_stored_info_whole(self, stored, &info);
        send_task(self, asker, query->kind == QUERY_GET ? WIRE_TASK : WIRE_PARENT_IS,
                  &stored->id, om_buf_str(&info), stored->ctype, query->read->payload);
        break;
    case QUERY_WATCH:
        task_stored_info(self, stored, &info);
        if (query->watch.chunks)
            chunk_replay_ended(self, asker, stored, query->watch.after, &info);
        else
            watch_send(self, asker, &stored->id, stored->chunk_seq + 1, om_buf_str(&info),
                       true);
        break;
    case QUERY_RETRY:
        if (stored->state != STATE_FAILED) {
            refuse(self, asker, OM_ECONFLICT, "the task has not failed");
            break;
        }
        submitted = out_about(self, asker, WIRE_SUBMITTED, &stored->id);
        rc = task_reopen(self, stored, &submitted, &why);
        out_destroy(&submitted);
        if (rc != OM_OK)
            refuse(self, asker, rc, why);
        break;
    default:
        refuse(self, asker, OM_ECONFLICT, "the task has ended");
        break;
    }
    om_buf_finish(&info);
}

// Ask the same once more: what was read is out of date. False: it was asked often.
static bool
ask_again(struct core *self, const struct query *query)
{
    enum { TRIES = 8 };
    if (query->tries == TRIES)
        return false;
    struct query *again =
        query_task(self, query->kind, &query->read->tenant, &query->read->id);
    again->tries = query->tries + 1;
    again->asker = query->asker;
    again->watch = query->watch;
    return true;
}

// The task is open and in memory.
static void
answer_open(struct core *self, const struct query *query, struct task *task)
{
    struct om_buf info = { 0 };
    const struct asker *asker = &query->asker;
    struct session *session = session_find(self, asker->conn);
    switch (query->kind) {
    case QUERY_CANCEL:
        task_cancel(self, task, asker);
        break;
    case QUERY_WATCH:
        if (session)
            watch_create(self, session, &query->watch, task);
        spill_unwatched(self, task);
        break;
    case QUERY_RETRY:
        refuse(self, asker, OM_ECONFLICT, "the task has not failed");
        break;
    default:
        task_info_whole(task, &info);
        send_task(self, asker, query->kind == QUERY_GET ? WIRE_TASK : WIRE_PARENT_IS,
                  &task->id, om_buf_str(&info), (struct om_str){ 0 }, NULL);
        om_buf_finish(&info);
        break;
    }
}

// The task is open and away: for CANCEL and WATCH it comes back.
static void
answer_away(struct core *self, const struct query *query,
            const struct stored_task *stored)
{
    enum task_state state = spill_state(self, stored);
    struct task *task = NULL;
    if (query->kind == QUERY_GET || query->kind == QUERY_RESULT) {
        answer_about(self, query, stored);
        return;
    }
    if (query->kind == QUERY_RETRY && stored->reopened) {
        // Only what is durable is away, so this says again what was said before.
        struct out *submitted =
            out_about(self, &query->asker, WIRE_SUBMITTED, &stored->id);
        out_push(self, &submitted);
        return;
    }
    if (query->kind == QUERY_RETRY) {
        refuse(self, &query->asker, OM_ECONFLICT, "the task has not failed");
        return;
    }
    if (query->kind == QUERY_WATCH && state == STATE_READY)
        task = spill_take_parked(self, stored);
    else if ((task = spill_take(self, stored)) && query->kind == QUERY_WATCH)
        task_resume(self, task);
    if (task)
        answer_open(self, query, task);
    else
        refuse(self, &query->asker, OM_EDB, NULL);
}

static void
on_task_read(struct core *self, const struct query *query)
{
    const struct read *read = query->read;
    const struct stored_task *stored = read->tasks;
    self->query_count--;
    struct task *task = task_find(self, &read->tenant, &read->id);
    bool open = read->rc == OM_OK && stored->state == STATE_NONE;
    if (query->kind == QUERY_PARENT)
        depend_read_done(self, &read->tenant, &read->id, query->question, read);
    else if (query->kind == QUERY_KNOWN)
        submit_known_read(self, &read->id, query->question, read);
    else if (query->kind == QUERY_RETRY &&
             task_retry_open(self, &read->tenant, &read->id, &query->asker))
        ;
    else if (task)
        answer_open(self, query, task);
    else if (read->rc != OM_OK)
        refuse(self, &query->asker, read->rc, NULL);
    else if (!open && spill_state(self, stored) == STATE_NONE)
        answer_about(self, query, stored);
    else if (open && spill_state(self, stored) != STATE_NONE &&
             !spill_is_stale(self, stored))
        answer_away(self, query, stored);
    else if (task_find_any(self, &read->id) || !ask_again(self, query))
        refuse(self, &query->asker, OM_EUNAVAILABLE,
               NULL); // its commit is not reported yet
    spill_answered(self, query->generation);
}

// ---- answers

void
query_answered(struct core *self, struct read **read_p)
{
    struct query *query = (*read_p)->context;
    DL_DELETE(self->asked, query);
    switch (query->kind) {
    case QUERY_LIST:
        list_read_done(self, &query->listing, query->read);
        break;
    case QUERY_PAYLOAD:
        task_payload_read(self, &query->token, query->read);
        break;
    case QUERY_RUN:
        run_read_done(self, query->run, query->read);
        break;
    case QUERY_LOAD:
        spill_loaded(self, &query->load, query->read);
        break;
    case QUERY_FAILED:
        retry_read_done(self, &query->retry, query->read);
        break;
    case QUERY_CHUNKS:
        chunk_read_done(self, &query->replay, query->read);
        break;
    default:
        on_task_read(self, query);
        break;
    }
    read_destroy(read_p);
    free(query);
}

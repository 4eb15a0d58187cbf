#include "batch.h"
#include "call.h"
#include "chunk.h"
#include "commit.h"
#include "depend.h"
#include "events.h"
#include "lease.h"
#include "limit.h"
#include "list.h"
#include "node.h"
#include "out.h"
#include "query.h"
#include "queue.h"
#include "retry.h"
#include "run.h"
#include "session.h"
#include "setting.h"
#include "spill.h"
#include "stall.h"
#include "start.h"
#include "stats.h"
#include "submit.h"
#include "task.h"
#include "watch.h"

void *
core_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

void *
core_realloc(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory)
        abort();
    return memory;
}

char *
core_strdup(struct om_str text)
{
    if (!text.data)
        return NULL;
    char *copy = core_realloc(NULL, text.size + 1);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

// SplitMix64 (Steele, Lea and Flood, 2014).
int64_t
core_random(struct core *self, int64_t below)
{
    uint64_t z = self->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return below > 0 ? (int64_t)(z % (uint64_t)below) : 0;
}

// ---- life

struct core_conf
core_conf_default(void)
{
    return (struct core_conf){
        .epoch = 1,
        .seed = 1,
        .node = "broker",
        .heartbeat_ms = 2000,
        .silent_ms = 6000,
        .lease_short_ms = 10 * 1000,
        .lease_long_ms = 30 * 1000,
        .retry_base_ms = 1000,
        .gather_ms = 25,
        .lazy_ms = 20,
        .retry_cap_ms = 5 * 60 * 1000,
        .max_attempts = 3,
        .max_lost = 3,
        .max_open_tasks = 20 * 1000 * 1000,
        .max_open_per_tenant = 1000 * 1000,
        .max_blocked = 100 * 1000,
        .max_blocked_per_tenant = 50 * 1000,
        .id_memory_ms = 24 * 3600 * 1000,
        .max_calls = 10 * 1000,
        .payload_cache_bytes = 32 * 1024 * 1024,
        .max_tail_bytes = 4 * 1024 * 1024,
        .max_pending_bytes = 64 * 1024 * 1024,
        .window_flow = 1024,
        .window_total = 16 * 1024,
        .window_ahead_ms = 60 * 1000,
        .max_chunks = 1000,
        .max_chunk_bytes = 1024 * 1024,
    };
}

struct core *
core_create(const struct core_conf *conf)
{
    struct core *self = core_alloc(sizeof(*self));
    self->conf = *conf;
    self->node = core_strdup(om_str(conf->node));
    self->random = conf->seed;
    self->last_number = conf->epoch * EPOCH_NUMBERS;
    self->disk_free = 1;
    self->sends_end = &self->sends;
    self->spill = spill_create();
    run_init_all(self);
    return self;
}

void
core_destroy(struct core **self_p)
{
    struct core *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    self->serving = false;
    for (struct session *session; (session = self->sessions);)
        session_close(self, &session);
    call_destroy_all(self);
    task_destroy_all(self);
    intake_destroy_all(self);
    commit_destroy_all(self);
    query_destroy_all(self);
    run_destroy_all(self);
    recents_finish(&self->recents);
    spill_destroy(self);
    node_destroy_all(self);
    for (struct queue_state *queue; (queue = self->queues);) {
        HASH_DEL(self->queues, queue);
        free(queue);
    }
    limit_destroy_all(self);
    stats_destroy_all(self);
    for (struct core_send send; core_next_send(self, &send);)
        ;
    timers_finish(&self->mono);
    timers_finish(&self->wall);
    om_buf_finish(&self->scratch);
    om_buf_finish(&self->list);
    pool_finish(&self->pool);
    free(self->node);
    free(self);
}

void
core_load_task_seq(struct core *self, int64_t seq)
{
    self->last_task_seq = seq;
}

void
core_load_shard(struct core *self, uint8_t shard, int64_t seq)
{
    self->shards[shard] = seq;
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
        run_at(self, i, shard)->newest = seq;
}

void
core_load_cursor(struct core *self, unsigned subscription, uint8_t shard, int64_t seq)
{
    if (subscription < SUBSCRIPTION_COUNT)
        run_at(self, subscription, shard)->cursor = seq;
}

void
core_serve(struct core *self, struct core_now now)
{
    self->now = now;
    self->serving = true;
    start_serve_all(self);
    task_serve_all(self);
    run_serve_all(self);
}

// What follows every input.
static void
hand_on(struct core *self)
{
    depend_settle(self);
    queue_hand_out(self);
}

// ---- messages

enum allowed {
    WITHOUT_SESSION = 1, // opens one
    PLATFORM = 2,        // from platform roles only
    IGNORED_OUTSIDE = 4, // without a session nothing is answered
    NEEDS_DISK = 8,      // refused while nothing can be written
};

struct handler {
    void (*on)(struct core *self, const struct input *in);
    unsigned allowed;
};

static const struct handler handlers[256] = {
    [WIRE_HELLO] = { on_hello, WITHOUT_SESSION },
    [WIRE_PING] = { on_ping, 0 },
    [WIRE_BYE] = { on_bye, IGNORED_OUTSIDE },
    [WIRE_ERROR] = { on_error, IGNORED_OUTSIDE },
    [WIRE_SUBMIT] = { on_submit, PLATFORM },
    [WIRE_SUBMIT_BATCH] = { on_submit_batch, PLATFORM },
    [WIRE_CALL] = { on_call, PLATFORM },
    [WIRE_REPLY] = { on_reply, 0 },
    [WIRE_CALL_CANCEL] = { on_call_cancel, PLATFORM },
    [WIRE_CALL_CREDIT] = { on_call_credit, PLATFORM },
    [WIRE_PUBLISH] = { on_publish, PLATFORM | NEEDS_DISK },
    [WIRE_GET] = { on_get, PLATFORM },
    [WIRE_LIST] = { on_list, PLATFORM },
    [WIRE_CANCEL] = { on_cancel, PLATFORM | NEEDS_DISK },
    [WIRE_RETRY] = { on_retry, PLATFORM | NEEDS_DISK },
    [WIRE_RETRY_MANY] = { on_retry_many, PLATFORM | NEEDS_DISK },
    [WIRE_WATCH] = { on_watch, PLATFORM },
    [WIRE_UNWATCH] = { on_unwatch, PLATFORM },
    [WIRE_WORKERS] = { on_workers, PLATFORM },
    [WIRE_QUEUE] = { on_queue, PLATFORM },
    [WIRE_CREDIT] = { on_credit, 0 },
    [WIRE_START] = { on_start, 0 },
    [WIRE_BEAT] = { on_beat, 0 },
    [WIRE_CHUNK] = { on_chunk, 0 },
    [WIRE_DONE] = { on_done, 0 },
    [WIRE_FAIL] = { on_fail, 0 },
    [WIRE_CANCELLED] = { on_cancelled, 0 },
    [WIRE_RELEASE] = { on_release, 0 },
    [WIRE_PARENT] = { on_parent, 0 },
};

static void
send_reset(struct core *self, core_conn conn)
{
    struct wire_msg msg = { 0 };
    out_send(self, conn, WIRE_RESET, &msg, NULL);
}

// The tenant the message is about: the header's if a platform role says so, else the one
// the session belongs to.
static bool
find_tenant(struct input *in)
{
    if (in->session && in->session->role == ROLE_TENANT)
        in->tenant = in->session->tenant;
    else if (WIRE_HAS(in->msg, tenant))
        return om_typeid_decode(OM_ID_TENANT, in->msg->tenant, &in->tenant) == OM_OK;
    return true;
}

static void
handle(struct core *self, struct input *in)
{
    const struct wire_msg *msg = in->msg;
    const struct handler *handler = &handlers[msg->type];
    if (!handler->on) {
        if (msg->type != WIRE_RESET && msg->type != WIRE_PONG)
            out_error(self, in->conn, msg->id, OM_EUNSUPPORTED, NULL);
        return;
    }
    if (handler->allowed & WITHOUT_SESSION) {
        handler->on(self, in);
        return;
    }
    in->session = session_find(self, in->conn);
    if (!in->session || in->session->pending) {
        if (!in->session && !(handler->allowed & IGNORED_OUTSIDE))
            send_reset(self, in->conn);
        return;
    }
    session_heard(self, in->session);
    if (handler->allowed & PLATFORM && in->session->role == ROLE_TENANT)
        out_error(self, in->conn, msg->id, OM_EFORBIDDEN, NULL);
    else if (!find_tenant(in))
        out_error(self, in->conn, msg->id, OM_EINVAL, "this is no tenant id");
    else if (handler->allowed & NEEDS_DISK && self->now.mono_ms < self->full_until_ms)
        out_error(self, in->conn, msg->id, OM_ENOSPACE, NULL);
    else
        handler->on(self, in);
}

void
core_receive(struct core *self, struct core_now now, core_conn conn,
             const struct core_peer *peer, struct om_str header, struct payload *payload)
{
    self->now = now;
    struct wire_msg msg = { 0 };
    enum om_rc rc = wire_decode(header, &msg);
    if (rc != OM_OK || payload_bytes(payload).size > WIRE_PAYLOAD_MAX) {
        out_error(self, conn, msg.id, rc == OM_OK ? OM_ETOOBIG : rc, NULL);
        return;
    }
    struct input in = { .conn = conn, .peer = peer, .msg = &msg, .payload = payload };
    handle(self, &in);
    hand_on(self);
}

// ---- other inputs

void
core_tick(struct core *self, struct core_now now)
{
    self->now = now;
    stall_notice(self);
    for (struct timer *timer; (timer = timers_take(&self->mono, now.mono_ms));)
        timer->fire(self, timer);
    for (struct timer *timer; (timer = timers_take(&self->wall, now.wall_ms));)
        timer->fire(self, timer);
    hand_on(self);
}

void
core_committed(struct core *self, struct core_now now, struct batch **batch_p,
               enum om_rc rc)
{
    self->now = now;
    *batch_p = NULL;
    commit_done(self, rc);
    spill_trim_all(self);
    hand_on(self);
}

void
core_read_done(struct core *self, struct core_now now, struct read **read_p)
{
    self->now = now;
    query_answered(self, read_p);
    hand_on(self);
}

void
core_set_disk_free(struct core *self, double share)
{
    self->disk_free = share;
}

int64_t
core_next_timer(const struct core *self)
{
    int64_t next_ms = timers_next(&self->mono);
    int64_t wall_ms = timers_next(&self->wall);
    int64_t retry_ms = commit_due(self);
    if (retry_ms < next_ms)
        next_ms = retry_ms;
    if (wall_ms == INT64_MAX)
        return next_ms;
    // The wall clock may be set while we wait, so it is looked at again before long.
    int64_t wait_ms = wall_ms - self->now.wall_ms;
    if (wait_ms > WALL_CHECK_MS)
        wait_ms = WALL_CHECK_MS;
    if (wait_ms < 0)
        wait_ms = 0;
    return self->now.mono_ms + wait_ms < next_ms ? self->now.mono_ms + wait_ms : next_ms;
}

struct core_stats
core_stats(const struct core *self)
{
    struct core_stats stats = self->stats;
    stats.waiting_calls = self->waiting_calls;
    stats.ready += spill_ready(self);
    stats.away = self->spill->ready.count + self->spill->timed.count;
    return stats;
}

#include <stdio.h>

#include "commit.h"
#include "context.h"
#include "out.h"
#include "query.h"
#include "queue.h"
#include "run.h"
#include "session.h"
#include "tail.h"

enum { STRIKES_MAX = 9, STRIKES_FAIL = 3, STRIKES_LOST = 1 };

static struct run *
run_of(struct lease *lease)
{
    return TIMER_OWNER(lease, struct run, lease);
}

// Take its turn in the queue if there is something to send.
static void
wake(struct core *self, struct run *run)
{
    run->state = RUN_IDLE;
    if (run->newest <= run->cursor || !self->serving)
        return;
    struct queue_state *queue = run->lease.queue;
    run->state = RUN_WAITING;
    DL_APPEND(queue->runs, run);
    queue_touch(self, queue);
}

static void
on_backoff(struct core *self, struct timer *timer)
{
    wake(self, TIMER_OWNER(timer, struct run, backoff));
}

// Wait a little for more events: a run of many costs the subscriber one commit, as a run
// of one does.
static void
gather(struct core *self, struct run *run)
{
    bool full = run->newest - run->cursor >= WIRE_EVENT_RUN_MAX;
    if (full || run->newest <= run->cursor || self->conf.gather_ms == 0) {
        timer_stop(&self->mono, &run->backoff);
        wake(self, run);
    } else if (run->state != RUN_GATHERING) {
        run->state = RUN_GATHERING;
        timer_set(&self->mono, &run->backoff, self->now.mono_ms + self->conf.gather_ms,
                  on_backoff);
    }
}

static void
wait_and_wake(struct core *self, struct run *run, int64_t delay_ms)
{
    run->state = RUN_BACKOFF;
    payload_unref(&run->payload);
    if (delay_ms < 0)
        delay_ms = 1 + core_random(self, self->conf.retry_base_ms << run->strikes);
    timer_set(&self->mono, &run->backoff, self->now.mono_ms + delay_ms, on_backoff);
}

// ---- what can become of a run at a subscriber

static void
run_send(struct core *self, struct lease *lease)
{
    struct run *run = run_of(lease);
    char token[WIRE_TOKEN_BYTES];
    wire_token_encode(&lease->token, token);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&msg, queue, queue_name(lease->queue));
    WIRE_SET(&msg, kind, OM_LIT(EVENTS_KIND));
    WIRE_SET(&msg, attempt, (int64_t)lease->token.attempt);
    WIRE_SET(&msg, lease_ms, lease->lease_ms);
    WIRE_SET(&msg, hard_ms, lease->hard_ms);
    WIRE_SET(&msg, shard, run->shard);
    WIRE_SET(&msg, seq, run->last);
    out_send(self, lease->session->conn, WIRE_JOB, &msg, run->payload);
    run->state = RUN_LEASED;
}

static void
run_started(struct core *self, struct lease *lease)
{
    (void)self, (void)lease;
}

static void
run_progress(struct core *self, struct lease *lease, const struct wire_held *held)
{
    (void)self, (void)lease, (void)held;
}

static void
run_chunk(struct core *self, struct lease *lease, const struct input *in)
{
    (void)lease;
    out_error(self, in->conn, in->msg->id, OM_EINVAL, "a run of events has no results");
}

// Move the cursor behind the run; `extra` more changes of the caller's follow.
static struct group *
move_cursor(struct core *self, struct run *run, core_conn conn, size_t extra)
{
    struct group *group = commit_group(self, EFFECT_CURSOR, 1 + extra);
    group->run = run;
    group->ack = conn != 0;
    group->conn = conn;
    group->token = run->lease.token;
    struct change *change = commit_add(self, CHANGE_CURSOR);
    change->cursor = (struct change_cursor){ run->subscription, run->shard, run->last };
    commit_lazily(self); // an event that comes again is applied once
    run->state = RUN_COMMITTING;
    lease_end(self, &run->lease, conn);
    return group;
}

static void
run_done(struct core *self, struct lease *lease, const struct input *in)
{
    struct run *run = run_of(lease);
    move_cursor(self, run, in->conn, 0);
    payload_unref(&run->payload);
}

void
run_cursor_durable(struct core *self, struct group *group, struct change *change)
{
    struct run *run = group->run;
    run->cursor = change->cursor.seq;
    tail_forget(self, run, run->cursor);
    run->moved_ms = self->now.mono_ms;
    run->strikes = 0;
    run->limit =
        run->limit * 2 < WIRE_EVENT_RUN_MAX ? run->limit * 2 : WIRE_EVENT_RUN_MAX;
    gather(self, run);
}

// The only event of the run stays in the log under another topic, and the cursor passes
// it.
static void
set_aside(struct core *self, struct run *run, core_conn conn)
{
    struct rec_iter iter = rec_iter(payload_bytes(run->payload));
    struct om_str bytes;
    struct wire_logged logged = { 0 };
    struct om_uuid tenant = { .bytes[15] = run->shard };
    if (rec_next_raw(&iter, &bytes) &&
        rec_decode(&wire_logged_rec, bytes, &logged, NULL) == OM_OK &&
        om_typeid_decode(OM_ID_TENANT, logged.tenant, &tenant) != OM_OK)
        tenant = (struct om_uuid){ .bytes[15] = run->shard };
    char id[64], context[CONTEXT_MAX];
    int size = snprintf(id, sizeof(id), "dead/%s/%u/%lld",
                        subscriptions[run->subscription].topic, run->shard,
                        (long long)run->last);
    move_cursor(self, run, conn, 1);
    struct change *change = commit_add(self, CHANGE_EVENT);
    change->event = (struct change_event){
        .shard = run->shard,
        .topic = OM_LIT("dead"),
        .id = commit_copy(self, (struct om_str){ id, (size_t)size }),
        .body = commit_copy(self, logged.body),
        .context = commit_copy(
            self, context_join(logged.traceparent, logged.tracestate, context)),
        .tenant = tenant,
        .at_ms = self->now.wall_ms,
    };
    self->stats.dead_events++;
    run->dead++;
    payload_unref(&run->payload);
}

// The run failed: try half of it, or its only event again, or set that aside.
static void
halve(struct core *self, struct run *run, unsigned strikes, core_conn conn,
      int64_t delay_ms)
{
    if (run->count == 1)
        run->strikes += strikes;
    run->limit = run->count > 1 ? run->count / 2 : 1;
    if (run->strikes >= STRIKES_MAX) {
        set_aside(self, run, conn);
        return;
    }
    lease_end(self, &run->lease, conn);
    if (conn)
        lease_ack(self, &run->lease.token, conn); // nothing of it needs the disk
    wait_and_wake(self, run, delay_ms);
}

static void
run_fail(struct core *self, struct lease *lease, const struct failure *failure)
{
    halve(self, run_of(lease), STRIKES_FAIL, failure->conn, failure->retry_ms);
}

static void
run_lost(struct core *self, struct lease *lease)
{
    halve(self, run_of(lease), STRIKES_LOST, 0, -1);
}

static void
run_release(struct core *self, struct lease *lease)
{
    struct run *run = run_of(lease);
    lease_end(self, lease, 0);
    payload_unref(&run->payload);
    if (run->state != RUN_READING)
        wake(self, run); // else when the read is answered
}

static const struct lease_kind run_kind = {
    .send = run_send,
    .started = run_started,
    .progress = run_progress,
    .chunk = run_chunk,
    .done = run_done,
    .fail = run_fail,
    .release = run_release,
    .lost = run_lost,
};

// ---- from the log to a subscriber

bool
run_hand_out(struct core *self, struct queue_state *queue, struct credit *credit)
{
    struct run *run = queue->runs;
    if (!run)
        return false;
    DL_DELETE(queue->runs, run);
    struct om_uuid about = { .bytes[14] = (uint8_t)run->subscription,
                             .bytes[15] = run->shard };
    lease_grant(self, &run->lease, credit, &about, 1 + run->strikes);
    if (tail_take(self, run)) {
        lease_ready(self, &run->lease, 0);
        return true;
    }
    tail_begin(run, run->newest);
    run->lease.waiting = WAIT_PAYLOAD;
    run->state = RUN_READING;
    run->asked = run->newest;
    query_run(self, run);
    return true;
}

struct lease *
run_lease(struct core *self, const struct wire_token *token)
{
    const uint8_t *bytes = token->task.bytes;
    bool is_run = bytes[6] == 0 && bytes[8] == 0; // a task's UUID has a version there
    if (!is_run || bytes[14] >= SUBSCRIPTION_COUNT)
        return NULL;
    return &run_at(self, bytes[14], bytes[15])->lease;
}

void
run_read_done(struct core *self, struct run *run, const struct read *read)
{
    if (!run->lease.active) { // given back meanwhile
        wake(self, run);
        return;
    }
    size_t bytes = payload_bytes(read->payload).size;
    if (read->rc == OM_OK && read->count > 1 && bytes > WIRE_PAYLOAD_MAX) {
        run->limit = read->count / 2;
        query_run(self, run);
        return;
    }
    if (read->rc == OM_OK && read->count > 0) {
        run->count = read->count;
        run->last = read->last_seq;
        run->payload = payload_ref(read->payload);
        lease_ready(self, &run->lease, WAIT_PAYLOAD);
        return;
    }
    lease_end(self, &run->lease, 0);
    if (read->rc != OM_OK) {
        wait_and_wake(self, run, -1);
        return;
    }
    if (run->newest == run->asked)
        run->newest = run->cursor; // the events behind it are of other topics
    wake(self, run);
}

void
run_event_durable(struct core *self, const struct change_event *event)
{
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++) {
        if (!om_str_eq(event->topic, om_str(subscriptions[i].topic)))
            continue;
        struct run *run = run_at(self, i, event->shard);
        if (run->newest <= run->cursor) {
            run->moved_ms = self->now.mono_ms;
            tail_begin(run, run->cursor);
        }
        tail_add(self, run, event);
        run->newest = event->seq;
        if (run->state == RUN_IDLE || run->state == RUN_GATHERING)
            gather(self, run);
    }
}

// A shard's numbers are those of all its topics, so this many events are behind the
// cursor at most.
struct core_lag
core_lag(const struct core *self, unsigned subscription)
{
    struct core_lag lag = { 0 };
    for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
        const struct run *run = run_at(self, subscription, (uint8_t)shard);
        lag.dead += run->dead;
        if (run->newest <= run->cursor)
            continue;
        int64_t stuck_ms = self->now.mono_ms - run->moved_ms;
        lag.events += run->newest - run->cursor;
        lag.stuck_ms = stuck_ms > lag.stuck_ms ? stuck_ms : lag.stuck_ms;
    }
    return lag;
}

// ---- life

void
run_init_all(struct core *self)
{
    self->runs = core_alloc(SUBSCRIPTION_COUNT * OM_SHARD_COUNT * sizeof(*self->runs));
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++) {
        const struct queue_info *info = &queues[subscriptions[i].queue];
        struct queue_state *queue = queue_get(self, NULL, om_str(info->name));
        for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
            struct run *run = run_at(self, i, (uint8_t)shard);
            run->subscription = i;
            run->shard = (uint8_t)shard;
            run->limit = WIRE_EVENT_RUN_MAX;
            run->lease.kind = &run_kind;
            run->lease.queue = queue;
            run->lease.hard_ms = info->hard_ms;
            queue->refs++; // its runs need it as long as the core lives
        }
    }
}

void
run_serve_all(struct core *self)
{
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
        for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
            struct run *run = run_at(self, i, (uint8_t)shard);
            run->moved_ms = self->now.mono_ms;
            wake(self, run);
        }
}

void
run_destroy_all(struct core *self)
{
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT; i++)
        for (unsigned shard = 0; shard < OM_SHARD_COUNT; shard++) {
            struct run *run = run_at(self, i, (uint8_t)shard);
            timer_stop(&self->mono, &run->backoff);
            timer_stop(&self->mono, &run->lease.timer);
            payload_unref(&run->payload);
            tail_forget(self, run, INT64_MAX);
        }
    free(self->runs);
}

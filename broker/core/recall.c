#include "spill_inner.h"

// A task that was read for a watcher before its turn.
struct parked {
    int64_t seq;
    struct task *task;
    UT_hash_handle hh;
};

struct spill *
spill_create(void)
{
    return core_alloc(sizeof(struct spill));
}

static struct flow *
flows_of(const struct share *share, size_t band)
{
    return share->jobs[band] ? share->jobs[band]->flows : NULL;
}

// Nothing is away any more: what only that kept alive goes.
static void
drop_away(struct core *self, struct share *share)
{
    share->refs++;
    for (size_t i = 0; i < BANDS; i++) {
        struct flow *flow, *next;
        HASH_ITER (hh, flows_of(share, i), flow, next) {
            flow->refs = 1;
            flow_unref(self, &flow);
        }
    }
    share_unref(self, &share);
}

void
spill_destroy(struct core *self)
{
    struct queue_state *queue, *next_queue;
    HASH_ITER (hh, self->queues, queue, next_queue) {
        struct share *share, *next_share;
        queue->refs++;
        HASH_ITER (hh, queue->shares, share, next_share)
            drop_away(self, share);
        queue->refs--;
    }
    struct tenant_state *tenant, *next_tenant;
    HASH_ITER (hh, self->tenants, tenant, next_tenant) {
        HASH_DEL(self->tenants, tenant);
        free(tenant);
    }
    struct spill *spill = self->spill;
    seq_set_finish(&spill->ready);
    seq_set_finish(&spill->timed);
    seq_set_finish(&spill->moved[0]);
    seq_set_finish(&spill->moved[1]);
    timer_stop(&self->mono, &spill->retry);
    free(spill->leaving);
    free(spill);
    self->spill = NULL;
}

void
spill_forget(struct core *self, struct flow *flow)
{
    seq_deque_finish(&flow->spilled);
    flow->asked = 0;
    flow_update(flow);
    seq_heap_finish(&flow->wakes);
    timer_stop(&self->wall, &flow->wake);
    if (flow->is_hungry)
        DL_DELETE2(self->spill->hungry, flow, hungry_prev, hungry_next);
}

// ---- reads under way, in two generations

unsigned
spill_asked(struct core *self)
{
    self->spill->asked[self->spill->generation]++;
    return self->spill->generation;
}

// What came and went before the older generation was asked for matters no more once all
// of that is answered.
void
spill_answered(struct core *self, unsigned generation)
{
    struct spill *spill = self->spill;
    spill->asked[generation]--;
    unsigned older = !spill->generation;
    if (spill->asked[older] > 0)
        return;
    seq_set_finish(&spill->moved[older]);
    spill->generation = older;
}

bool
spill_is_stale(const struct core *self, const struct stored_task *stored)
{
    const struct spill *spill = self->spill;
    return stored->state != STATE_NONE || task_find_any(self, &stored->id) ||
           seq_set_has(&spill->moved[0], stored->seq) ||
           seq_set_has(&spill->moved[1], stored->seq);
}

// ---- one task

enum task_state
spill_state(const struct core *self, const struct stored_task *stored)
{
    if (seq_set_has(&self->spill->ready, stored->seq))
        return STATE_READY;
    if (!seq_set_has(&self->spill->timed, stored->seq))
        return STATE_NONE;
    return stored->due_ms ? STATE_RETRY_WAIT : STATE_SCHEDULED;
}

// The task is not away any more: it is in memory, or it is not there.
static void
forget(struct core *self, struct flow *flow, struct tenant_state *tenant, int64_t seq,
       enum gauge timed)
{
    struct spill *spill = self->spill;
    enum gauge gauge = seq_set_remove(&spill->ready, seq) ? GAUGE_READY : timed;
    if (gauge == timed)
        seq_set_remove(&spill->timed, seq);
    spill_back(self, flow, tenant, gauge);
}

struct task *
spill_take(struct core *self, const struct stored_task *stored)
{
    struct task *task = task_restore(self, stored);
    self->stats.recalled += task != NULL;
    if (task)
        forget(self, task->flow, task->tenant, task->seq,
               stored->due_ms ? GAUGE_RETRYING : GAUGE_SCHEDULED);
    return task;
}

size_t
spill_ready(const struct core *self)
{
    return self->spill->ready.count + HASH_COUNT(self->spill->parked);
}

static struct parked *
parked_find(const struct spill *spill, int64_t seq)
{
    struct parked *parked = NULL;
    HASH_FIND(hh, spill->parked, &seq, sizeof(seq), parked);
    return parked;
}

static void
on_expiry(struct core *self, struct timer *timer)
{
    task_place(self, TIMER_OWNER(timer, struct task, wall));
}

bool
spill_is_behind(const struct core *self, const struct flow *flow)
{
    return self->spill->filling != flow && (flow->spilled.count > 0 || flow->asked > 0);
}

static void
park(struct core *self, struct task *task)
{
    struct parked *parked = core_alloc(sizeof(*parked));
    parked->seq = task->seq;
    parked->task = task;
    HASH_ADD(hh, self->spill->parked, seq, sizeof(parked->seq), parked);
    task->parked = true;
}

void
spill_park(struct core *self, struct task *task)
{
    seq_deque_push(&task->flow->spilled, task->seq);
    flow_update(task->flow);
    park(self, task);
}

struct task *
spill_take_parked(struct core *self, const struct stored_task *stored)
{
    struct task *task = spill_take(self, stored);
    if (!task)
        return NULL;
    park(self, task);
    task->state = STATE_READY;
    task_count(task);
    if (task->attempts == 0 && task->expires_ms != INT64_MAX)
        timer_set(&self->wall, &task->wall, task->expires_ms, on_expiry);
    return task;
}

void
spill_unpark(struct core *self, struct task *task)
{
    struct parked *parked = parked_find(self->spill, task->seq);
    HASH_DEL(self->spill->parked, parked);
    free(parked);
    task->parked = false;
}

void
spill_unwatched(struct core *self, struct task *task)
{
    if (task->parked || task->timed)
        spill_trim(self, task);
}

// ---- reading a flow's tasks

static void
put_back(struct core *self, struct flow *flow, const struct load *load,
         const int64_t *seqs, size_t count)
{
    struct spill *spill = self->spill;
    if (load->kind == LOAD_NEXT) {
        seq_deque_push_front(&flow->spilled, seqs, count);
    } else {
        int64_t later_ms = self->now.wall_ms + self->conf.retry_base_ms;
        for (size_t i = 0; i < count; i++)
            seq_heap_push(&flow->wakes, later_ms, seqs[i], WAKE_EXPIRY);
        flow->swept = flow->swept && count == 0; // a purge looks at all of it again
    }
    if (count == 0 || load->kind != LOAD_NEXT || flow->is_hungry)
        return;
    flow->is_hungry = true;
    DL_APPEND2(spill->hungry, flow, hungry_prev, hungry_next);
}

static void
try_again(struct core *self, struct timer *timer)
{
    (void)timer;
    for (struct flow *flow; (flow = self->spill->hungry);) {
        DL_DELETE2(self->spill->hungry, flow, hungry_prev, hungry_next);
        flow->is_hungry = false;
        flow_unblock(self, flow, BLOCK_LOAD);
    }
}

// There is no such task.
static void
lose(struct core *self, struct flow *flow, int64_t seq)
{
    if (!spill_is_away(self->spill, seq))
        return;
    struct tenant_state *tenant = tenant_get(self, &flow->turn->share->tenant);
    forget(self, flow, tenant, seq, GAUGE_SCHEDULED);
}

// A task that was read again. False: the read came too early.
static bool
take_in(struct core *self, const struct load *load, const struct stored_task *stored)
{
    struct task *task = task_find_any(self, &stored->id);
    if (task && task->seq == stored->seq) {
        if (task->parked && load->kind == LOAD_NEXT)
            task_place(self, task);
        return true;
    }
    if (!spill_is_away(self->spill, stored->seq))
        return true;
    if (stored->state == STATE_NONE && spill_is_stale(self, stored))
        return false;
    bool in_place =
        load->kind == LOAD_LOOK && seq_set_has(&self->spill->ready, stored->seq);
    if (stored->state == STATE_NONE)
        task = in_place ? spill_take_parked(self, stored) : spill_take(self, stored);
    if (!task) {
        lose(self, load->flow, stored->seq);
        return true;
    }
    bool over = in_place && task_end_if_over(self, task);
    if (!in_place)
        task_resume(self, task);
    if (!over && (load->kind == LOAD_LOOK || task->timed))
        spill_trim(self, task);
    return true;
}

void
spill_loaded(struct core *self, const struct load *load, const struct read *read)
{
    struct flow *flow = load->flow;
    int64_t late[LOAD_SEQS];
    size_t late_count = 0, next = 0;
    if (load->kind == LOAD_NEXT) {
        flow->asked = 0;
        self->spill->filling = flow;
    } else {
        flow->looking = false;
    }
    for (size_t i = 0; i < read->seq_count; i++) {
        int64_t seq = read->seqs[i];
        bool found = next < read->count && read->tasks[next].seq == seq;
        if (read->rc == OM_OK && !found)
            lose(self, flow, seq);
        else if (read->rc != OM_OK || !take_in(self, load, &read->tasks[next++]))
            late[late_count++] = seq;
    }
    self->spill->filling = NULL;
    spill_answered(self, load->generation);
    put_back(self, flow, load, late, late_count);
    if (flow->is_hungry && self->spill->retry.place == 0)
        timer_set(&self->mono, &self->spill->retry,
                  self->now.mono_ms + self->conf.retry_base_ms, try_again);
    spill_arm(self, flow);
    if (!flow->is_hungry)
        flow_unblock(self, flow, BLOCK_LOAD);
    flow_update(flow);
    queue_touch(self, flow->turn->share->queue); // others waited for what it would bring
    flow_unref(self, &flow);
}

static void
ask(struct core *self, struct flow *flow, enum load_kind kind, const int64_t *seqs,
    size_t count)
{
    struct load load = { .kind = kind, .flow = flow };
    load.generation = spill_asked(self);
    flow->refs++;
    if (kind == LOAD_NEXT)
        flow->asked = count;
    else
        flow->looking = true;
    query_load(self, &load, seqs, count);
}

// Does the seq stand in a deque for a task that is open?
static bool
stands(const struct core *self, int64_t seq)
{
    return seq_set_has(&self->spill->ready, seq) || parked_find(self->spill, seq);
}

void
spill_refill(struct core *self, struct flow *flow)
{
    size_t size = spill_size(self);
    if (flow->spilled.count == 0 || flow->asked > 0 || flow->is_hungry ||
        flow->count > size / 2)
        return;
    int64_t seqs[LOAD_SEQS], seq;
    size_t count = 0, most = size - flow->count;
    if (most > LOAD_SEQS)
        most = LOAD_SEQS;
    while (count < most && (seq = seq_deque_take(&flow->spilled)) > 0)
        if (stands(self, seq))
            seqs[count++] = seq;
    if (count > 0)
        ask(self, flow, LOAD_NEXT, seqs, count);
    flow_update(flow);
}

bool
spill_gate(struct core *self, struct flow *flow)
{
    if (flow->items)
        return true;
    spill_refill(self, flow);
    if (flow->in_ring)
        flow_block(flow, BLOCK_LOAD);
    return false;
}

// ---- when their time comes

// It is due: it stands in its flow from now on.
static void
become_ready(struct core *self, struct flow *flow, int64_t seq, enum wake kind)
{
    struct spill *spill = self->spill;
    if (!seq_set_remove(&spill->timed, seq))
        return;
    seq_set_add(&spill->ready, seq);
    seq_deque_push(&flow->spilled, seq);
    tenant_get(self, &flow->turn->share->tenant)->away_timed--;
    stats_move(flow->turn->share, kind == WAKE_DUE ? GAUGE_SCHEDULED : GAUGE_RETRYING,
               GAUGE_READY);
}

static void
on_wake(struct core *self, struct timer *timer)
{
    struct flow *flow = TIMER_OWNER(timer, struct flow, wake);
    int64_t expired[LOOK_SEQS], seq;
    size_t count = 0;
    enum wake kind;
    if (flow->looking)
        return; // the answer sets the timer anew
    if (commit_congested(self)) {
        spill_arm(self, flow);
        return;
    }
    for (size_t i = 0; i < WAKES_MAX && count < LOOK_SEQS &&
                       seq_heap_take(&flow->wakes, self->now.wall_ms, &seq, &kind);
         i++) {
        if (kind != WAKE_EXPIRY)
            become_ready(self, flow, seq, kind);
        else if (spill_is_away(self->spill, seq))
            expired[count++] = seq;
    }
    if (count > 0)
        ask(self, flow, LOAD_LOOK, expired, count);
    if (flow->spilled.count > 0)
        queue_touch(self, flow->turn->share->queue);
    flow_update(flow);
    spill_arm(self, flow);
}

static bool
is_needed(const void *context, int64_t seq, enum wake kind)
{
    const struct spill *spill = context;
    return kind == WAKE_EXPIRY ? spill_is_away(spill, seq)
                               : seq_set_has(&spill->timed, seq);
}

void
spill_arm(struct core *self, struct flow *flow)
{
    if (flow->wakes.count > 4 * flow->away + 64)
        seq_heap_filter(&flow->wakes, self->spill, is_needed);
    int64_t next_ms = seq_heap_next(&flow->wakes);
    if (next_ms == INT64_MAX || flow->looking) { // an answer sets it anew
        timer_stop(&self->wall, &flow->wake);
        return;
    }
    if (self->serving && next_ms <= self->now.wall_ms)
        next_ms = self->now.wall_ms + 1; // others have their turn first
    timer_set(&self->wall, &flow->wake, next_ms, on_wake);
}

// ---- LIST

int64_t *
spill_timed(const struct core *self, const struct tenant_state *tenant, int64_t before,
            size_t *count)
{
    int64_t *seqs = NULL;
    size_t capacity = 0;
    *count = 0;
    struct queue_state *queue, *next_queue;
    HASH_ITER (hh, self->queues, queue, next_queue) {
        const struct share *share = share_find(queue, &tenant->id);
        for (size_t band = 0; share && band < BANDS; band++) {
            struct flow *flow, *next;
            HASH_ITER (hh, flows_of(share, band), flow, next)
                for (size_t i = 0; i < flow->wakes.count; i++) {
                    int64_t seq = flow->wakes.wakes[i].seq_kind >> WAKE_BITS;
                    if (seq >= before || !seq_set_has(&self->spill->timed, seq))
                        continue;
                    if (*count == capacity) {
                        capacity = capacity * 2 + 16;
                        seqs = core_realloc(seqs, capacity * sizeof(*seqs));
                    }
                    seqs[(*count)++] = seq;
                }
        }
    }
    return seqs;
}

// ---- a purge

void
spill_sweep_begin(struct share *share)
{
    for (size_t i = 0; i < BANDS; i++) {
        struct flow *flow, *next;
        HASH_ITER (hh, flows_of(share, i), flow, next)
            flow->swept = false;
    }
}

// Look at the flow's next tasks, which keep their places. False: all were looked at.
static bool
look_at_some(struct core *self, struct flow *flow, int64_t upto)
{
    int64_t seqs[LOOK_SEQS], seq = 0;
    size_t count = 0;
    for (size_t i = 0; i < WAKES_MAX && flow->spilled.count > 0 &&
                       !stands(self, seq_deque_first(&flow->spilled));
         i++)
        seq_deque_take(&flow->spilled); // it has ended
    for (size_t i = 0;
         i < WAKES_MAX && count < LOOK_SEQS && (seq = seq_deque_next(&flow->spilled)) > 0;
         i++)
        if (seq <= upto && seq_set_has(&self->spill->ready, seq))
            seqs[count++] = seq;
    if (count > 0)
        ask(self, flow, LOAD_LOOK, seqs, count);
    flow_update(flow);
    return seq > 0;
}

static bool
sweep(struct core *self, struct flow *flow, int64_t upto)
{
    if (!flow->swept) {
        flow->swept = true;
        seq_deque_walk(&flow->spilled);
        seq_heap_rush(&flow->wakes, self->now.wall_ms, WAKE_EXPIRY);
        spill_arm(self, flow);
    }
    // What is being read may be put back, unlooked at.
    return flow->looking || look_at_some(self, flow, upto) || flow->looking ||
           flow->asked > 0 || seq_heap_next(&flow->wakes) <= self->now.wall_ms;
}

bool
spill_sweep(struct core *self, struct share *share, int64_t upto)
{
    bool more = false;
    for (size_t i = 0; i < BANDS; i++) {
        struct flow *flow, *next;
        HASH_ITER (hh, flows_of(share, i), flow, next)
            if (flow->away > 0)
                more = sweep(self, flow, upto) || more;
    }
    return more;
}

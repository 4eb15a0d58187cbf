#include "limit.h"
#include "spill_inner.h"

// ---- counts

size_t
spill_size(const struct core *self)
{
    size_t most = self->conf.window_flow;
    size_t least = most < WINDOW_LEAST ? most : WINDOW_LEAST;
    if (self->stats.ready >= self->conf.window_total)
        return least;
    size_t part = self->conf.window_total / (self->spill->deep + 1);
    return part < least ? least : part < most ? part : most;
}

void
spill_away(struct core *self, struct flow *flow, struct tenant_state *tenant,
           enum gauge gauge)
{
    stats_move(flow->turn->share, GAUGE_NONE, gauge);
    self->spill->deep += flow->away++ == 0;
    flow->refs++;
    tenant->open++;
    tenant->away++;
    tenant->away_timed += gauge != GAUGE_READY;
    self->stats.open_tasks++;
}

void
spill_back(struct core *self, struct flow *flow, struct tenant_state *tenant,
           enum gauge gauge)
{
    stats_move(flow->turn->share, gauge, GAUGE_NONE);
    self->spill->deep -= --flow->away == 0;
    self->stats.open_tasks--;
    tenant->away--;
    tenant->away_timed -= gauge != GAUGE_READY;
    tenant_drop(self, tenant);
    flow_unref(self, &flow);
}

// ---- who stays

static bool
may_leave(const struct core *self, const struct task *task)
{
    bool bound = task->lease.active || task->ending || task->cancel || task->watches ||
                 task->depend || (task->stream && task->stream->chunks);
    return task->committed && !bound && commit_is_durable(self, task->changed);
}

// Have it come back: when its turn has come, or its time.
static void
note(struct core *self, const struct task *task)
{
    struct flow *flow = task->flow;
    if (task->state == STATE_SCHEDULED)
        seq_heap_push(&flow->wakes, task->due_ms, task->seq, WAKE_DUE);
    else if (task->state == STATE_RETRY_WAIT)
        seq_heap_push(&flow->wakes, task->due_ms, task->seq, WAKE_RETRY);
    else if (!task->parked)
        seq_deque_push(&flow->spilled, task->seq);
    if (task->attempts == 0 && task->expires_ms != INT64_MAX)
        seq_heap_push(&flow->wakes, task->expires_ms, task->seq, WAKE_EXPIRY);
    spill_arm(self, flow);
}

static void
leave(struct core *self, struct task *task)
{
    struct spill *spill = self->spill;
    struct flow *flow = task->flow;
    note(self, task);
    seq_set_add(task->state == STATE_READY ? &spill->ready : &spill->timed, task->seq);
    if (task->changed && spill->asked[0] + spill->asked[1] > 0)
        seq_set_add(&spill->moved[spill->generation], task->seq);
    spill_away(self, flow, task->tenant,
               task->state == STATE_READY       ? GAUGE_READY
               : task->state == STATE_SCHEDULED ? GAUGE_SCHEDULED
                                                : GAUGE_RETRYING);
    task_destroy(self, &task);
    flow_update(flow);
}

void
spill_trim(struct core *self, struct task *task)
{
    const struct core_conf *conf = &self->conf;
    struct flow *flow = task->flow;
    bool keep;
    if (task->parked)
        keep = false;
    else if (task->item.flow)
        keep = flow->count <= spill_size(self);
    else if (task->timed)
        keep = task->due_ms - self->now.wall_ms <= conf->window_ahead_ms &&
               self->spill->timed_count <= conf->window_total;
    else
        return;
    if (keep || !may_leave(self, task))
        return;
    leave(self, task);
}

void
spill_trim_later(struct core *self, const struct task *task)
{
    struct spill *spill = self->spill;
    if (spill->leaving_count == spill->leaving_capacity) {
        spill->leaving_capacity = spill->leaving_capacity * 2 + 16;
        spill->leaving = core_realloc(spill->leaving,
                                      spill->leaving_capacity * sizeof(*spill->leaving));
    }
    spill->leaving[spill->leaving_count++] = task->id;
}

void
spill_trim_all(struct core *self)
{
    struct spill *spill = self->spill;
    for (size_t i = 0; i < spill->leaving_count; i++) {
        struct task *task = task_find_any(self, &spill->leaving[i]);
        if (task && task->timed)
            spill_trim(self, task);
    }
    spill->leaving_count = 0;
}

void
spill_trim_loaded(struct core *self, struct task *task)
{
    bool waits = task->state == STATE_READY || task->state == STATE_RETRY_WAIT;
    if (!waits || task->flow->refs - task->flow->away <= spill_size(self) ||
        !may_leave(self, task))
        return;
    if (task->state == STATE_READY && task->due_ms > 0)
        task->state = STATE_SCHEDULED; // its wake makes it ready at once if it is due
    leave(self, task);
}

// ---- loading

static struct flow *
flow_of(struct core *self, const struct stored_waiting *waiting)
{
    struct queue_state *queue = queue_get(self, &waiting->tenant, waiting->queue);
    if (!queue)
        return NULL;
    struct share *share = share_get(self, queue, &waiting->tenant);
    struct flow *flow = flow_get(share, waiting->priority, waiting->limit_key);
    limit_join_flow(self, flow);
    stats_join(self, share);
    share_unref(self, &share);
    return flow;
}

enum om_rc
spill_load_waiting(struct core *self, const struct stored_waiting *waiting)
{
    if (waiting->priority >= BANDS)
        return OM_EPROTO;
    struct flow *flow = flow_of(self, waiting);
    if (!flow)
        return OM_EPROTO;
    if (waiting->due_ms > 0) {
        seq_set_add(&self->spill->timed, waiting->seq);
        seq_heap_push(&flow->wakes, waiting->due_ms, waiting->seq, WAKE_DUE);
    } else {
        seq_set_add(&self->spill->ready, waiting->seq);
        seq_deque_push(&flow->spilled, waiting->seq);
    }
    if (waiting->expires_ms > 0)
        seq_heap_push(&flow->wakes, waiting->expires_ms, waiting->seq, WAKE_EXPIRY);
    spill_away(self, flow, tenant_get(self, &waiting->tenant),
               waiting->due_ms > 0 ? GAUGE_SCHEDULED : GAUGE_READY);
    flow_update(flow);
    spill_arm(self, flow);
    flow_unref(self, &flow);
    return OM_OK;
}

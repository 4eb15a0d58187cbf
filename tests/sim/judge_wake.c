#include "judge_wake.h"
#include "ahead.h"

#include "depend.h"
#include "limit.h"
#include "queue.h"
#include "run.h"
#include "session.h"
#include "spill.h"
#include "task.h"

// Each check_...() says what is wrong, or NULL.

static bool
is_set(const struct timer *timer)
{
    return timer->place > 0;
}

// ---- limits

// Is the limit closed, and will it tell those that wait when it opens?
static bool
holds(const struct core *core, const struct limit *limit)
{
    const struct setting *now = &limit->now;
    struct rate rate = limit->rate; // a look at it must change nothing
    if (now->paused || (now->concurrency && limit->running >= now->concurrency))
        return true;
    if (is_set(&limit->timer))
        return true;
    return !rate_allows(&rate, core->now.mono_ms) &&
           rate_next_ms(&rate, core->now.mono_ms) == INT64_MAX;
}

static const char *
check_wait(const struct core *core, const struct limit_wait *wait, unsigned blocked)
{
    if (!(blocked & BLOCK_LIMIT) != !wait->limit)
        return "a flow or share is blocked and waits for no limit, or the other way";
    if (wait->limit && !holds(core, wait->limit))
        return "a flow or share waits for a limit that is open";
    return NULL;
}

static bool
stands_under(const struct lease *lease, const struct limit *limit)
{
    return (lease->share &&
            (lease->share->limits[0] == limit || lease->share->limits[1] == limit)) ||
           (lease->flow && lease->flow->limit == limit);
}

static const char *
check_limit(const struct core *core, const struct limit *limit)
{
    int64_t running = 0;
    for (const struct task *task = core->tasks; task; task = task->hh.next)
        running += task->lease.active && stands_under(&task->lease, limit);
    if (running != limit->running)
        return "a limit counts leases that are not there, or misses some";
    if (limit->now.purge_seq && !is_set(&limit->purge) && !core->oldest)
        return "a purge is under way and goes no further";
    return NULL;
}

// ---- the round

static const char *
check_flow(const struct core *core, const struct flow *flow)
{
    bool has_work = flow->items || flow->spilled.count > 0;
    bool is_read = flow->asked > 0 || flow->is_hungry;
    if (flow->in_ring != (has_work && !flow->blocked))
        return "a flow is in the round and may not be, or the other way";
    if (flow->blocked & BLOCK_LOAD && !is_read)
        return "a flow waits for tasks that nobody reads";
    if (flow->is_hungry && !is_set(&core->spill->retry))
        return "a flow is never read again";
    if (flow->wakes.count > 0 && !flow->looking && !is_set(&flow->wake))
        return "a flow has tasks whose time will come, and no timer";
    if (flow->is_awaited != (!flow->items && flow->asked > 0))
        return "a flow is awaited and is not read, or the other way";
    return check_wait(core, &flow->wait, flow->blocked);
}

static const char *
check_turn(const struct core *core, const struct turn *turn)
{
    if (turn->in_ring != (turn->ring && !turn->share->blocked))
        return "a tenant is in the round and may not be, or the other way";
    const char *wrong = NULL;
    for (struct flow *flow = turn->flows; flow && !wrong; flow = flow->hh.next)
        wrong = check_flow(core, flow);
    return wrong;
}

static const char *
check_share(const struct core *core, const struct share *share)
{
    const char *wrong = check_wait(core, &share->wait, share->blocked);
    for (size_t i = 0; i < BANDS && !wrong; i++)
        if (share->jobs[i])
            wrong = check_turn(core, share->jobs[i]);
    return wrong;
}

static bool
has_free_credit(const struct core *core, const struct queue_state *queue)
{
    const struct credit *credit;
    DL_FOREACH2(queue->open, credit, open_next)
    if (session_live(core, credit->session))
        return true;
    return false;
}

// Is there a flow in the round that could be picked? One that could not be read, and has
// nothing else, is put out of it when its turn comes.
static bool
has_work_in(const struct band *band)
{
    const struct turn *turn;
    const struct flow *flow;
    DL_FOREACH (band->ring, turn)
        DL_FOREACH (turn->ring, flow)
            if (flow->items || !flow->is_hungry)
                return true;
    return false;
}

// Could something of the queue go out now? A band whose jobs are being read is waited
// for.
static bool
has_work(const struct queue_state *queue)
{
    if (queue->calls.ring || queue->long_calls.ring || queue->runs)
        return true;
    for (size_t i = 0; i < BANDS && queue->jobs[i].awaited == 0; i++)
        if (has_work_in(&queue->jobs[i]))
            return true;
    return false;
}

// Do the calls that are at workers ahead count there?
static const char *
check_ahead(const struct core *core, const struct queue_state *queue)
{
    const struct credit *credit;
    DL_FOREACH2(queue->takers, credit, queue_next)
    {
        int64_t calls = 0;
        for (const struct call *call = core->calls; call; call = call->hh.next)
            calls += call->counted == credit && call->worker == credit->session;
        if (calls != credit->ahead)
            return "calls that went ahead are counted wrongly";
    }
    return NULL;
}

static const char *
check_queue(const struct core *core, const struct queue_state *queue)
{
    bool touched = queue->dirty && core->pending_count > PENDING_MAX;
    if (!touched && has_work(queue) && has_free_credit(core, queue))
        return "a queue has work and credit, and nothing goes out";
    if (!touched && ahead_pick(core, queue))
        return "a call waits that a worker would take ahead";
    const char *counts = check_ahead(core, queue);
    if (counts)
        return counts;
    size_t awaited[BANDS] = { 0 };
    for (struct share *share = queue->shares; share; share = share->hh.next) {
        const char *wrong = check_share(core, share);
        if (wrong)
            return wrong;
        for (size_t i = 0; i < BANDS; i++)
            if (share->jobs[i])
                for (struct flow *flow = share->jobs[i]->flows; flow;
                     flow = flow->hh.next)
                    awaited[i] += flow->is_awaited;
    }
    for (size_t i = 0; i < BANDS; i++)
        if (awaited[i] != queue->jobs[i].awaited)
            return "a band waits for flows that are not being read";
    return NULL;
}

// ---- tasks and runs

// Is what the lease waits for on its way?
static const char *
check_lease(const struct core *core, const struct lease *lease)
{
    if (!lease->credit)
        return is_set(&lease->timer) ? NULL : "a lease never ends";
    if (!lease->waiting)
        return "a job is held back for nothing";
    if (lease->waiting & WAIT_COMMIT && !core->oldest)
        return "a job waits for a commit that is not under way";
    return NULL;
}

static const char *
check_depend(const struct depend *depend)
{
    if (!depend)
        return "a task is blocked and waits for no other";
    bool may_go = depend->open == 0 || (depend->failed && !depend->run_anyway);
    return may_go && !depend->is_loose ? "a task is blocked that is set free" : NULL;
}

static const char *
check_waiting(const struct core *core, const struct task *task)
{
    bool may_expire = task->attempts == 0 && task->expires_ms != INT64_MAX;
    if (may_expire && task->state != STATE_RETRY_WAIT && !is_set(&task->wall))
        return "a task never expires";
    switch (task->state) {
    case STATE_READY:
        return task->item.flow || task->parked ? NULL : "a ready task stands nowhere";
    case STATE_SCHEDULED:
        return is_set(&task->wall) ? NULL : "a scheduled task is never due";
    case STATE_RETRY_WAIT:
        return is_set(&task->backoff) ? NULL : "a backoff never ends";
    case STATE_BLOCKED:
        return check_depend(task->depend);
    default:
        return task->lease.active ? check_lease(core, &task->lease)
                                  : "a task runs under no lease";
    }
}

static const char *
check_task(const struct core *core, const struct task *task)
{
    const struct submission *submission = task->submission;
    bool held = submission && (submission->unread > 0 || submission->set);
    if (!task->committed)
        return held || core->oldest ? NULL : "a submit is never committed";
    if (task->ending)
        return core->oldest ? NULL : "a result is never committed";
    if (task->cancel_durable && !task->lease.active)
        return "a cancelled task does not end";
    return check_waiting(core, task);
}

static const char *
check_run(const struct core *core, const struct run *run)
{
    switch (run->state) {
    case RUN_IDLE:
        return run->newest > run->cursor ? "events wait and are not sent" : NULL;
    case RUN_BACKOFF:
    case RUN_GATHERING:
        return is_set(&run->backoff) ? NULL : "a run of events is never sent again";
    case RUN_COMMITTING:
        return core->oldest ? NULL : "a cursor is never committed";
    case RUN_LEASED:
        return check_lease(core, &run->lease);
    default:
        return NULL; // it stands in its queue, or is being read
    }
}

// ---- all

static const char *
check_limits(const struct core *core)
{
    const char *wrong = NULL;
    for (struct limit_tenant *tenant = core->limits; tenant; tenant = tenant->hh.next)
        for (struct limit *limit = tenant->limits; limit && !wrong;
             limit = limit->hh.next)
            wrong = check_limit(core, limit);
    return wrong;
}

// Does what is said to be away add up?
static const char *
check_away(const struct core *core)
{
    size_t away = 0, timed = 0;
    for (const struct tenant_state *tenant = core->tenants; tenant;
         tenant = tenant->hh.next) {
        away += tenant->away;
        timed += tenant->away_timed;
    }
    return away == core->spill->ready.count + core->spill->timed.count &&
                   timed == core->spill->timed.count
               ? NULL
               : "the tasks that are away are miscounted";
}

static const char *
check_runs(const struct sim *sim)
{
    const char *wrong = NULL;
    for (unsigned i = 0; i < SUBSCRIPTION_COUNT * SIM_TENANTS && !wrong; i++) {
        uint8_t shard = om_uuid_shard(&sim->tenants[i / SUBSCRIPTION_COUNT]);
        wrong = check_run(sim->core, run_at(sim->core, i % SUBSCRIPTION_COUNT, shard));
    }
    return wrong;
}

static const char *
check_all(const struct core *core)
{
    const char *wrong = check_limits(core);
    if (!wrong)
        wrong = check_away(core);
    for (struct queue_state *queue = core->queues; queue && !wrong;
         queue = queue->hh.next)
        wrong = check_queue(core, queue);
    for (struct task *task = core->tasks; task && !wrong; task = task->hh.next)
        wrong = check_task(core, task);
    // What a parent's end sets free is placed when that is durable, if not before.
    if (!wrong && core->loose && !is_set(&core->loose_timer) && !core->oldest)
        wrong = "tasks that are set free are never placed";
    return wrong;
}

void
judge_wakes(struct sim *sim)
{
    const char *wrong = check_all(sim->core);
    if (!wrong)
        wrong = check_runs(sim);
    if (wrong)
        sim_fail(sim, "%s", wrong);
}

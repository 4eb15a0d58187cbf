#include "purge.h"
#include "setting.h"
#include "task_inner.h"

enum { SLICE = 256, STEP_MS = 1 };

bool
purge_covers(const struct task *task)
{
    const struct limit *limit = task->share->limits[1];
    return limit && task->seq <= limit->now.purge_seq && task->attempts == 0 &&
           !task->reopened;
}

// Cancel some; false when none is left.
static bool
cancel_some(struct core *self, struct limit *limit)
{
    struct tenant_state *tenant = NULL;
    struct om_uuid *id = &limit->tenant->id;
    HASH_FIND(hh, self->tenants, id, sizeof(*id), tenant);
    if (!tenant)
        return false;
    size_t count = 0;
    struct task *task;
    DL_FOREACH (tenant->tasks, task) {
        if (count == SLICE)
            break;
        bool waits = task->committed && !task->ending && !task->lease.active;
        if (task->share->limits[1] != limit || !waits || !purge_covers(task))
            continue;
        task_end(self, task, &(struct ending){ .state = STATE_CANCELLED });
        count++;
    }
    return count > 0;
}

// What of the tenant counts in the limit's queue; NULL: nothing.
static struct share *
share_of(struct core *self, const struct limit *limit)
{
    const struct om_uuid *tenant = &limit->tenant->id;
    struct queue_state *queue = queue_get(self, tenant, limit_name(limit));
    struct share *share = queue ? share_find(queue, tenant) : NULL;
    queue_tidy(self, queue);
    return share;
}

// Look at some of those that are not in memory; false when all were.
static bool
sweep_some(struct core *self, struct limit *limit)
{
    struct share *share = share_of(self, limit);
    return share && spill_sweep(self, share, limit->now.purge_seq);
}

static void
on_step(struct core *self, struct timer *timer)
{
    struct limit *limit = TIMER_OWNER(timer, struct limit, purge);
    if (commit_congested(self) || cancel_some(self, limit) || sweep_some(self, limit)) {
        timer_set(&self->mono, timer, self->now.mono_ms + STEP_MS, on_step);
        return;
    }
    if (limit->wanted.purge_seq > limit->now.purge_seq)
        return; // another one follows
    struct setting setting = limit->wanted;
    setting.purge_seq = 0;
    setting_want(self, limit, &setting, NULL);
}

void
purge_begin(struct core *self, struct limit *limit)
{
    struct share *share = share_of(self, limit);
    if (share)
        spill_sweep_begin(share);
    timer_set(&self->mono, &limit->purge, self->now.mono_ms, on_step);
}

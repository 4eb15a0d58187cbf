#include "start.h"
#include "core.h"
#include "purge.h"

enum {
    CHECK_MS = 1000, // between looks at the wall clock
    SET_MS = 500,    // so much ahead it was set, and did not only drift
    ROWS_MAX = 8,    // of a limit that is stored again
};

static struct change_start *
add_row(struct core *self, const struct limit *limit)
{
    struct change *change = commit_add(self, CHANGE_START);
    change->start = (struct change_start){
        .tenant = limit->tenant->id,
        .scope = limit_scope(limit),
        .name = commit_copy(self, limit_name(limit)),
    };
    return &change->start;
}

// So many more, of which the last was at `at_ms` of the wall clock.
static void
count_in(struct change_start *row, const struct limit *limit, int64_t count,
         int64_t at_ms)
{
    row->count += count;
    row->at_ms = at_ms;
    row->until_ms = at_ms + START_SENT_MS + SET_MS + limit->now.rate_ms + 1;
}

// ---- the wall clock

// What is in the window, once more; of many the oldest in one row, as late as the last of
// them. What has a place and was not sent yet may be sent now.
static void
store_again(struct core *self, struct limit *limit)
{
    struct rate *rate = &limit->rate;
    rate_allows(rate, self->now.mono_ms); // forgets what is over
    size_t rows = rate->count < ROWS_MAX ? rate->count : ROWS_MAX;
    if (!rate->limit || (rows == 0 && rate->reserved == 0))
        return;
    int64_t folded = 0;
    commit_group(self, EFFECT_NONE, rows + 1);
    for (size_t i = 0; i < rate->count; i++) {
        const struct rate_mark *mark = rate_mark(rate, i);
        folded += mark->count;
        if (rate->count - i > rows)
            continue;
        count_in(add_row(self, limit), limit, folded, mark->at_ms + self->wall_ahead_ms);
        folded = 0;
    }
    if (rate->reserved > 0)
        count_in(add_row(self, limit), limit, rate->reserved, self->now.wall_ms);
    commit_lazily(self);
}

static void
on_check(struct core *self, struct timer *timer)
{
    int64_t ahead_ms = self->now.wall_ms - self->now.mono_ms;
    bool forward = ahead_ms > self->wall_ahead_ms + SET_MS;
    if (forward || ahead_ms < self->wall_ahead_ms - SET_MS)
        self->wall_ahead_ms = ahead_ms;
    struct limit *limit, *next;
    DL_FOREACH_SAFE2(self->windows, limit, next, watched_next)
    {
        if (forward)
            store_again(self, limit);
        rate_allows(&limit->rate, self->now.mono_ms);
        if (limit->rate.count == 0 && limit->rate.reserved == 0)
            start_forget(self, limit);
    }
    if (self->windows)
        timer_set(&self->mono, timer, self->now.mono_ms + CHECK_MS, on_check);
}

void
start_forget(struct core *self, struct limit *limit)
{
    if (limit->watched)
        DL_DELETE2(self->windows, limit, watched_prev, watched_next);
    limit->watched = false;
}

// While there are starts in windows the clock is looked at.
static void
watch_clock(struct core *self, struct limit *limit)
{
    if (!limit->watched)
        DL_APPEND2(self->windows, limit, watched_prev, watched_next);
    limit->watched = true;
    if (self->wall_check.place)
        return;
    self->wall_ahead_ms = self->now.wall_ms - self->now.mono_ms;
    timer_set(&self->mono, &self->wall_check, self->now.mono_ms + CHECK_MS, on_check);
}

void
start_add(struct core *self, struct limit *limit)
{
    struct change *change = commit_change(self, limit->row);
    struct change_start *row = change ? &change->start : add_row(self, limit);
    if (!change)
        limit->row = commit_slot(self);
    count_in(row, limit, 1, self->now.wall_ms);
    watch_clock(self, limit);
}

// ---- loading

void
core_load_setting(struct core *self, const struct change_setting *stored)
{
    struct limit *limit = limit_get(self, &stored->tenant, stored->scope, stored->name);
    limit->wanted = (struct setting){
        .weight = stored->weight,
        .concurrency = stored->concurrency,
        .rate = stored->rate,
        .rate_ms = stored->rate_ms,
        .paused = stored->paused,
        .purge_seq = stored->purge_seq,
    };
    limit_apply(self, limit, &limit->wanted);
    limit_unref(self, &limit);
}

void
core_load_start(struct core *self, const struct change_start *stored)
{
    struct limit *limit = limit_find(self, &stored->tenant, stored->scope, stored->name);
    if (limit)
        rate_add(&limit->rate, stored->at_ms, stored->count);
}

void
start_serve_all(struct core *self)
{
    struct limit_tenant *tenant, *next_tenant;
    struct limit *limit, *next;
    int64_t latest_ms = self->now.mono_ms;
    int64_t shift_ms = START_SENT_MS + SET_MS + latest_ms - self->now.wall_ms;
    HASH_ITER (hh, self->limits, tenant, next_tenant)
        HASH_ITER (hh, tenant->limits, limit, next) {
            rate_shift(&limit->rate, shift_ms, latest_ms);
            if (limit->rate.count > 0)
                watch_clock(self, limit);
            if (limit->now.purge_seq)
                purge_begin(self, limit);
        }
}

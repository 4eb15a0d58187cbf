#include "tick.h"
#include "clock.h"
#include "log.h"

enum {
    LOOK_MS = 1000,
    CLEAN_MS = 60 * 60 * 1000,
    TIDY_MS = 60 * 1000,
};

static void
report(struct scheduler *self, enum om_rc rc)
{
    if (rc)
        om_log(OM_ERROR, "storage failed, trying again",
               LOG_S("code", om_rc_info(rc)->code), LOG_S("err", om_db_error(self->db)));
}

// Returns how long until the next schedule is due, at most LOOK_MS.
static int64_t
fire_all(struct scheduler *self)
{
    int64_t next_ms = INT64_MAX, now_ms = om_clock_wall_ms();
    enum om_rc rc;
    do
        rc = fire_due(self->db, now_ms, &next_ms);
    while (!rc && next_ms <= now_ms);
    report(self, rc);
    return rc || next_ms - now_ms > LOOK_MS ? LOOK_MS : next_ms - now_ms;
}

enum om_rc
scheduler_on_events(void *context, uint8_t shard, const struct wire_logged *events,
                    size_t count)
{
    struct scheduler *self = context;
    return error_apply(&self->errors, self->db, shard, events, count, om_clock_wall_ms());
}

// In small steps, so that nothing else waits for it.
static void
tidy_errors(struct scheduler *self, int64_t now_ms)
{
    bool more = false;
    if (now_ms < self->tidy_ms)
        return;
    report(self, error_tidy(&self->errors, self->db, om_clock_wall_ms(), &more));
    report(self, error_census(self->db));
    self->tidy_ms = more ? now_ms : now_ms + TIDY_MS;
}

int64_t
scheduler_tick(void *context, int64_t now_ms)
{
    struct scheduler *self = context;
    bool answered = self->sender.answered > 0;
    report(self, status_tick(&self->status, self->db));
    if (answered)
        report(self, sender_flush(&self->sender, self->db));
    if (now_ms >= self->due_ms)
        self->due_ms = now_ms + fire_all(self);
    else if (!answered)
        return self->due_ms;
    report(self, sender_submit(&self->sender, self->db));
    tidy_errors(self, now_ms);
    if (now_ms >= self->clean_ms) {
        report(self, fire_clean(self->db, om_clock_wall_ms()));
        report(self, history_clean(self->db, om_clock_wall_ms()));
        self->clean_ms = now_ms + CLEAN_MS;
    }
    return self->due_ms;
}

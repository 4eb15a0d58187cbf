// The thread's part of what edges share: the connection on its loop, and how it is.
#include <stdio.h>
#include <strings.h>

#include "clock.h"
#include "ingest.h"
#include "log.h"

static bool
watch(void *context, int fd)
{
    struct edge *self = context;
    return om_http_watch(self->loop, fd);
}

static void
unwatch(void *context, int fd)
{
    struct edge *self = context;
    om_http_unwatch(self->loop, fd);
}

static void
set_timer(void *context, int64_t at_ms)
{
    struct edge *self = context;
    if (!om_timers_set(om_http_timers(self->loop), &self->shared_timer, at_ms))
        om_log(OM_ERROR, "no memory for a timer");
}

static void
on_timer(void *context)
{
    (void)context; // share_process() follows every turn
}

static void
on_change(void *context, enum redis_state state, const char *why)
{
    struct edge *self = context;
    bool up = state == REDIS_UP;
    if (state == REDIS_OPENING)
        return;
    bool was_up = atomic_exchange(&self->ingest->shared_up[self->number], up);
    bool news = up != was_up || !self->shared_told;
    self->shared_told = true;
    if (news && up)
        om_log(OM_INFO, "the shared cache is there", LOG_I("thread", self->number));
    else if (news)
        om_log(OM_WARN, "the shared cache is gone: limits hold for each edge by itself",
               LOG_I("thread", self->number), LOG_S("why", why));
}

bool
share_configure(struct ingest *self, char *why, size_t why_size)
{
    const char *cache = self->conf.cache;
    if (strcasecmp(cache, "memory") == 0)
        return true;
    self->has_redis = true;
    return redis_parse(cache, &self->redis, why, why_size);
}

bool
share_open(struct edge *self)
{
    const struct redis_hooks hooks = { watch, unwatch, set_timer, on_change, self };
    if (!self->ingest->has_redis)
        return true;
    self->shared_timer.fire = on_timer;
    self->shared =
        shared_create(&self->ingest->redis, self->ingest->conf.cache_ms, &hooks);
    return self->shared;
}

void
share_process(struct edge *self)
{
    if (self->shared)
        redis_process(shared_redis(self->shared), om_clock_mono_ms());
}

void
share_close(struct edge *self)
{
    if (!self->shared)
        return;
    shared_destroy(&self->shared);
    om_timers_clear(om_http_timers(self->loop), &self->shared_timer);
}

enum share_state
share_state(const struct ingest *self)
{
    if (!self->has_redis)
        return SHARE_NONE;
    for (int64_t i = 0; i < self->conf.threads; i++)
        if (!atomic_load(&self->shared_up[i]))
            return SHARE_DOWN;
    return SHARE_UP;
}

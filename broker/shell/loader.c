#include "loader.h"
#include "core.h"

static void
on_task_seq(void *context, int64_t seq)
{
    core_load_task_seq(context, seq);
}

static void
on_shard(void *context, uint8_t shard, int64_t seq)
{
    core_load_shard(context, shard, seq);
}

static void
on_cursor(void *context, unsigned subscription, uint8_t shard, int64_t seq)
{
    core_load_cursor(context, subscription, shard, seq);
}

static void
on_setting(void *context, const struct change_setting *setting)
{
    core_load_setting(context, setting);
}

static void
on_start(void *context, const struct change_start *start)
{
    core_load_start(context, start);
}

static enum om_rc
on_task(void *context, const struct stored_task *task)
{
    return core_load_task(context, task);
}

static enum om_rc
on_waiting(void *context, const struct stored_waiting *waiting)
{
    return core_load_waiting(context, waiting);
}

struct store_loader
core_loader(struct core *core)
{
    return (struct store_loader){ .context = core,
                                  .task_seq = on_task_seq,
                                  .shard = on_shard,
                                  .cursor = on_cursor,
                                  .setting = on_setting,
                                  .start = on_start,
                                  .task = on_task,
                                  .waiting = on_waiting };
}

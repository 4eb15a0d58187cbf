#include "judge_limit.h"

enum { SENT_MS = 1000 }; // a job is sent so soon after it was decided on, or is late

static bool
applies(const struct change_setting *setting, const struct disk_task *task)
{
    if (!om_uuid_eq(&setting->tenant, &task->row.tenant))
        return false;
    switch (setting->scope) {
    case SETTING_TENANT:
        return true;
    case SETTING_QUEUE:
        return om_str_eq(setting->name, task->row.queue);
    case SETTING_KEY:
        return task->limit_key.size && om_str_eq(setting->name, task->limit_key);
    }
    return false;
}

static int64_t
count_leased(const struct disk *disk, const struct change_setting *setting)
{
    int64_t count = 0;
    for (size_t i = 0; i < disk->task_count; i++) {
        const struct disk_task *task = &disk->tasks[i];
        count +=
            task->row.state == STATE_NONE && task->row.leased && applies(setting, task);
    }
    return count;
}

void
judge_start(struct disk *disk, const struct disk_task *task, int64_t at_ms)
{
    for (size_t i = 0; i < disk->setting_count; i++) {
        const struct disk_setting *setting = &disk->settings[i];
        const struct change_setting *row = &setting->row;
        if (disk->sim->jumps || at_ms <= setting->since_ms || !applies(row, task))
            continue;
        if (row->paused)
            sim_fail(disk->sim, "a job of a paused queue was started");
        if (row->concurrency && count_leased(disk, row) > row->concurrency)
            sim_fail(disk->sim, "more than %lld jobs run at a time",
                     (long long)row->concurrency);
    }
}

// Of any n + 1 starts the last is more than the window behind the first.
static void
note_send(struct disk *disk, struct disk_setting *setting, bool late)
{
    const struct change_setting *row = &setting->row;
    int64_t now_ms = disk->sim->mono_ms;
    setting->sends = disk_grow(setting->sends, setting->send_count,
                               &setting->send_capacity, sizeof(*setting->sends));
    setting->sends[setting->send_count++] = (struct disk_send){ now_ms, late };
    if (setting->send_count <= (size_t)row->rate)
        return;
    int64_t first_ms = setting->sends[setting->send_count - 1 - (size_t)row->rate].at_ms;
    if (now_ms - first_ms <= row->rate_ms)
        sim_fail(disk->sim, "more than %lld jobs were started in %lld ms",
                 (long long)row->rate, (long long)row->rate_ms);
}

void
judge_restart(struct disk *disk)
{
    for (size_t i = 0; i < disk->setting_count; i++) {
        struct disk_setting *setting = &disk->settings[i];
        size_t kept = 0;
        for (size_t k = 0; k < setting->send_count; k++)
            if (!setting->sends[k].late)
                setting->sends[kept++] = setting->sends[k];
        setting->send_count = kept;
    }
}

void
judge_send(struct disk *disk, const struct disk_task *task)
{
    for (size_t i = 0; i < disk->setting_count; i++) {
        struct disk_setting *setting = &disk->settings[i];
        const struct change_setting *row = &setting->row;
        if (disk->sim->jumps || !row->rate || !applies(row, task))
            continue;
        // A start under a rate is on the disk before. One of before the rate may be on
        // its way, while its payload is read.
        int64_t age_ms = sim_now(disk->sim).wall_ms - setting->since_ms;
        if (!task->row.leased && age_ms > SENT_MS)
            sim_fail(disk->sim,
                     "a job under a rate was sent before its lease was durable");
        if (task->row.leased && task->row.started_ms > setting->since_ms)
            note_send(disk, setting,
                      sim_now(disk->sim).wall_ms - task->row.started_ms > SENT_MS);
    }
}

#include <stdio.h>

#include "out.h"
#include "purge.h"
#include "queue.h"
#include "rows.h"
#include "setting.h"

enum { RATE_MS = 1000 }; // of a rate whose time is not named

// What a message is about.
struct target {
    struct om_uuid tenant;
    enum setting_scope scope;
    struct om_str name;
};

static struct target
target_of(const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    struct target target = { .tenant = in->tenant, .scope = SETTING_TENANT };
    if (WIRE_HAS(msg, limit_key)) {
        target.scope = SETTING_KEY;
        target.name = msg->limit_key;
    } else if (WIRE_HAS(msg, queue)) {
        target.scope = SETTING_QUEUE;
        target.name = msg->queue;
    }
    return target;
}

static struct asker
asker_of(const struct input *in)
{
    struct asker asker = { .conn = in->conn };
    label_set(&asker.id, in->msg->id);
    return asker;
}

static void
refuse(struct core *self, const struct input *in, enum om_rc rc, const char *text)
{
    out_error(self, in->conn, in->msg->id, rc, text);
}

// A queue the tenant has or could have.
static bool
queue_may_be(struct om_str name)
{
    return queue_find(name) || queue_name_valid(name);
}

// ---- changing

static void
add_setting(struct core *self, const struct limit *limit, const struct setting *setting)
{
    commit_add(self, CHANGE_SETTING)->setting = (struct change_setting){
        .tenant = limit->tenant->id,
        .scope = limit_scope(limit),
        .name = commit_copy(self, limit_name(limit)),
        .weight = setting->weight,
        .concurrency = setting->concurrency,
        .rate = setting->rate,
        .rate_ms = setting->rate_ms,
        .paused = setting->paused,
        .purge_seq = setting->purge_seq,
    };
}

// The answer shows what will be set when it goes out.
static struct out *
answer(struct core *self, const struct asker *asker, struct limit *limit)
{
    struct rows rows = { 0 };
    if (limit_scope(limit) == SETTING_QUEUE)
        rows_add_queue(self, &rows, &limit->tenant->id, limit_name(limit),
                       &limit->wanted);
    else
        rows_add_limit(self, &rows, limit, &limit->wanted);
    return rows_finish(self, &rows, asker);
}

void
setting_want(struct core *self, struct limit *limit, const struct setting *setting,
             const struct asker *asker)
{
    limit->wanted = *setting;
    limit->refs++; // until it is durable
    struct group *group = commit_group(self, EFFECT_SETTING, 1);
    add_setting(self, limit, setting);
    group->send = asker ? answer(self, asker, limit) : NULL;
}

void
setting_durable(struct core *self, struct group *group, struct change *change)
{
    (void)group;
    const struct change_setting *set = &change->setting;
    struct limit *limit = limit_find(self, &set->tenant, set->scope, set->name);
    struct setting setting = {
        .weight = set->weight,
        .concurrency = set->concurrency,
        .rate = set->rate,
        .rate_ms = set->rate_ms,
        .paused = set->paused,
        .purge_seq = set->purge_seq,
    };
    bool purge = setting.purge_seq > limit->now.purge_seq;
    limit_apply(self, limit, &setting);
    if (purge)
        purge_begin(self, limit);
    limit_unref(self, &limit);
}

// The limit a change is about, with a reference; NULL: refused.
static struct limit *
open_limit(struct core *self, const struct input *in)
{
    struct target target = target_of(in);
    if (om_uuid_is_zero(&target.tenant))
        refuse(self, in, OM_EINVAL, "tenant is missing");
    else if (target.scope == SETTING_QUEUE && !queue_may_be(target.name))
        refuse(self, in, OM_EINVAL, "there can be no queue of that name");
    else if (!limit_fits(self, &target.tenant, target.scope, target.name))
        refuse(self, in, OM_EFULL, "too many of the tenant's queues or keys are set");
    else if (self->now.mono_ms < self->full_until_ms)
        refuse(self, in, OM_ENOSPACE, NULL);
    else if (commit_congested(self))
        refuse(self, in, OM_EDB, NULL);
    else
        return limit_get(self, &target.tenant, target.scope, target.name);
    return NULL;
}

// Fields that are absent stay as they are. False: the scope has no such field.
static bool
merge(struct setting *to, const struct wire_setting *from, enum setting_scope scope)
{
    bool weight = REC_HAS(from, wire_setting, weight);
    bool paused = REC_HAS(from, wire_setting, paused);
    if ((weight && scope != SETTING_TENANT) || (paused && scope != SETTING_QUEUE))
        return false;
    if (weight)
        to->weight = from->weight;
    if (paused)
        to->paused = from->paused;
    if (REC_HAS(from, wire_setting, concurrency))
        to->concurrency = from->concurrency;
    if (REC_HAS(from, wire_setting, rate)) {
        to->rate = from->rate;
        to->rate_ms = RATE_MS;
    }
    if (REC_HAS(from, wire_setting, rate_ms))
        to->rate_ms = from->rate_ms;
    if (to->rate == 0)
        to->rate_ms = 0;
    return true;
}

static void
do_set(struct core *self, const struct input *in)
{
    struct wire_setting record;
    const struct rec_field *field = NULL;
    if (!WIRE_HAS(in->msg, settings) ||
        rec_decode(&wire_setting_rec, in->msg->settings, &record, &field) != OM_OK) {
        char text[80];
        snprintf(text, sizeof(text), "settings: %s is not valid",
                 field ? field->name : "the map");
        refuse(self, in, OM_EINVAL, text);
        return;
    }
    struct limit *limit = open_limit(self, in);
    if (!limit)
        return;
    struct setting setting = limit->wanted;
    struct asker asker = asker_of(in);
    if (merge(&setting, &record, limit_scope(limit)))
        setting_want(self, limit, &setting, &asker);
    else
        refuse(self, in, OM_EINVAL, "weight is a tenant's, paused a queue's");
    limit_unref(self, &limit);
}

// pause, resume and purge
static void
steer(struct core *self, const struct input *in,
      void (*change)(struct core *self, struct setting *setting))
{
    if (!WIRE_HAS(in->msg, queue) || WIRE_HAS(in->msg, limit_key)) {
        refuse(self, in, OM_EINVAL, "this is done to a queue");
        return;
    }
    struct limit *limit = open_limit(self, in);
    if (!limit)
        return;
    struct setting setting = limit->wanted;
    struct asker asker = asker_of(in);
    change(self, &setting);
    setting_want(self, limit, &setting, &asker);
    limit_unref(self, &limit);
}

static void
set_paused(struct core *self, struct setting *setting)
{
    (void)self;
    setting->paused = true;
}

static void
set_resumed(struct core *self, struct setting *setting)
{
    (void)self;
    setting->paused = false;
}

static void
set_purged(struct core *self, struct setting *setting)
{
    setting->purge_seq = self->last_task_seq;
}

static void
do_pause(struct core *self, const struct input *in)
{
    steer(self, in, set_paused);
}

static void
do_resume(struct core *self, const struct input *in)
{
    steer(self, in, set_resumed);
}

static void
do_purge(struct core *self, const struct input *in)
{
    steer(self, in, set_purged);
}

// ---- showing

static void
send_rows(struct core *self, const struct input *in, struct rows *rows)
{
    struct asker asker = asker_of(in);
    struct out *out = rows_finish(self, rows, &asker);
    out_push(self, &out);
}

static void
do_list(struct core *self, const struct input *in)
{
    struct rows rows = { 0 };
    bool has_queue = WIRE_HAS(in->msg, queue);
    struct om_str queue = has_queue ? in->msg->queue : (struct om_str){ 0 };
    if (om_uuid_is_zero(&in->tenant)) {
        rows_add_all(self, &rows, queue);
    } else if (!has_queue) {
        rows_add_queues_of(self, &rows, &in->tenant);
    } else if (queue_may_be(queue)) {
        const struct limit *limit = limit_find(self, &in->tenant, SETTING_QUEUE, queue);
        struct setting setting = limit ? limit->now : (struct setting){ 0 };
        rows_add_queue(self, &rows, &in->tenant, queue, &setting);
    }
    send_rows(self, in, &rows);
}

static void
do_limits(struct core *self, const struct input *in)
{
    struct rows rows = { 0 };
    struct target target = target_of(in);
    if (om_uuid_is_zero(&in->tenant)) {
        refuse(self, in, OM_EINVAL, "tenant is missing");
        return;
    }
    if (target.scope != SETTING_KEY) {
        rows_add_limits_of(self, &rows, &in->tenant);
    } else {
        struct limit *limit = limit_get(self, &in->tenant, SETTING_KEY, target.name);
        rows_add_limit(self, &rows, limit, &limit->now);
        limit_unref(self, &limit);
    }
    send_rows(self, in, &rows);
}

// ---- QUEUE

void
on_queue(struct core *self, const struct input *in)
{
    static const struct {
        const char *name;
        void (*act)(struct core *self, const struct input *in);
    } actions[] = {
        { "list", do_list },   { "limits", do_limits }, { "set", do_set },
        { "pause", do_pause }, { "resume", do_resume }, { "purge", do_purge },
    };
    for (size_t i = 0; i < OM_COUNT(actions); i++)
        if (om_str_eq(in->msg->action, om_str(actions[i].name))) {
            actions[i].act(self, in);
            return;
        }
    refuse(self, in, OM_EINVAL, "there is no such action");
}

#include "watch.h"
#include "out.h"
#include "session.h"
#include "task.h"

static void
watch_destroy(struct core *self, struct watch **watch_p)
{
    struct watch *watch = *watch_p;
    *watch_p = NULL;
    timer_stop(&self->mono, &watch->timer);
    DL_DELETE2(watch->session->watches, watch, session_prev, session_next);
    DL_DELETE2(watch->task->watches, watch, task_prev, task_next);
    self->watch_count--;
    free(watch);
}

void
watch_send(struct core *self, const struct asker *asker, const struct om_uuid *task,
           int64_t seq, struct om_str info, bool last)
{
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ text, om_typeid_encode(OM_ID_TASK, task, text) }));
    WIRE_SET(&msg, seq, seq);
    WIRE_SET(&msg, info, info);
    if (last)
        WIRE_SET(&msg, drain, true);
    out_send(self, asker->conn, WIRE_EVENT, &msg, NULL);
}

static void
send_now(struct core *self, struct watch *watch, bool last)
{
    struct om_buf info = { 0 };
    task_info(watch->task, &info);
    watch_send(self, &watch->asker, &watch->task->id, ++watch->seq, om_buf_str(&info),
               last);
    om_buf_finish(&info);
}

static void
on_end(struct core *self, struct timer *timer)
{
    struct watch *watch = TIMER_OWNER(timer, struct watch, timer);
    send_now(self, watch, true);
    watch_destroy(self, &watch);
}

static struct watch *
watch_find(const struct session *session, const struct asker *asker,
           const struct task *task)
{
    struct watch *watch;
    DL_FOREACH2(task->watches, watch, task_next)
    if (watch->session == session &&
        om_str_eq(label_str(&watch->asker.id), label_str(&asker->id)))
        return watch;
    return NULL;
}

void
watch_create(struct core *self, struct session *session, const struct asker *asker,
             struct task *task, int64_t ttl_ms)
{
    struct watch *watch = watch_find(session, asker, task);
    if (!watch && self->watch_count >= WATCHES_MAX) {
        out_error(self, asker->conn, label_str(&asker->id), OM_EUNAVAILABLE,
                  "too many clients watch tasks");
        return;
    }
    if (!watch) {
        watch = core_alloc(sizeof(*watch));
        watch->asker = *asker;
        watch->session = session;
        watch->task = task;
        DL_APPEND2(session->watches, watch, session_prev, session_next);
        DL_APPEND2(task->watches, watch, task_prev, task_next);
        self->watch_count++;
    }
    if (ttl_ms > WIRE_WAIT_MAX_MS)
        ttl_ms = WIRE_WAIT_MAX_MS;
    send_now(self, watch, false);
    timer_set(&self->mono, &watch->timer, self->now.mono_ms + ttl_ms, on_end);
}

void
watch_notify(struct core *self, struct task *task)
{
    struct watch *watch;
    DL_FOREACH2(task->watches, watch, task_next)
    send_now(self, watch, false);
}

void
watch_finish(struct core *self, struct task *task)
{
    for (struct watch *watch; (watch = task->watches);) {
        send_now(self, watch, true);
        watch_destroy(self, &watch);
    }
}

void
watch_destroy_all(struct core *self, struct session *session)
{
    for (struct watch *watch; (watch = session->watches);)
        watch_destroy(self, &watch);
}

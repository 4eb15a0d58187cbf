#include "watch.h"
#include "out.h"
#include "session.h"
#include "spill.h"
#include "task.h"

void
watch_destroy(struct core *self, struct watch **watch_p)
{
    struct watch *watch = *watch_p;
    *watch_p = NULL;
    if (watch->replay)
        chunk_detach(watch, NULL, 0);
    timer_stop(&self->mono, &watch->timer);
    HASH_DEL(watch->session->watches, watch);
    DL_DELETE2(watch->task->watches, watch, task_prev, task_next);
    self->watch_count--;
    struct task *task = watch->task;
    free(watch);
    spill_unwatched(self, task);
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

void
watch_send_chunk(struct core *self, const struct asker *asker, const struct om_uuid *task,
                 const struct task_chunk *chunk)
{
    char text[OM_TYPEID_MAX];
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, label_str(&asker->id));
    WIRE_SET(&msg, task,
             ((struct om_str){ text, om_typeid_encode(OM_ID_TASK, task, text) }));
    WIRE_SET(&msg, seq, chunk->seq);
    WIRE_SET(&msg, attempt, chunk->attempt);
    if (chunk->ctype.size)
        WIRE_SET(&msg, ctype, label_str(&chunk->ctype));
    out_send(self, asker->conn, WIRE_CHUNK, &msg, chunk->payload);
}

static void
send_now(struct core *self, struct watch *watch, bool last)
{
    struct om_buf info = { 0 };
    task_info(watch->task, &info);
    int64_t seq = chunk_newest(self, watch->task);
    if (!watch->replay)
        watch_send(self, &watch->asker, &watch->task->id, seq, om_buf_str(&info), last);
    else if (last)
        chunk_detach(watch, &info, seq);
    om_buf_finish(&info);
}

void
watch_send_state(struct core *self, struct watch *watch)
{
    send_now(self, watch, false);
}

static void
on_end(struct core *self, struct timer *timer)
{
    struct watch *watch = TIMER_OWNER(timer, struct watch, timer);
    send_now(self, watch, true);
    watch_destroy(self, &watch);
}

static struct watch *
watch_find(const struct session *session, struct om_str id)
{
    struct watch *watch = NULL;
    HASH_FIND(hh, session->watches, id.data, id.size, watch);
    return watch;
}

void
watch_create(struct core *self, struct session *session,
             const struct watch_request *request, struct task *task)
{
    const struct asker *asker = &request->asker;
    int64_t ttl_ms =
        request->ttl_ms < WIRE_WAIT_MAX_MS ? request->ttl_ms : WIRE_WAIT_MAX_MS;
    struct watch *watch = watch_find(session, label_str(&asker->id));
    if (watch && watch->task != task)
        watch_destroy(self, &watch); // the id is used for another
    if (!watch && self->watch_count >= WATCHES_MAX) {
        out_error(self, asker->conn, label_str(&asker->id), OM_EUNAVAILABLE,
                  "too many clients watch tasks");
        return;
    }
    bool known = watch != NULL;
    if (!known) {
        watch = core_alloc(sizeof(*watch));
        watch->asker = *asker;
        watch->session = session;
        watch->task = task;
        watch->chunks = request->chunks;
        HASH_ADD_KEYPTR(hh, session->watches, watch->asker.id.text, watch->asker.id.size,
                        watch);
        DL_APPEND2(task->watches, watch, task_prev, task_next);
        self->watch_count++;
    }
    timer_set(&self->mono, &watch->timer, self->now.mono_ms + ttl_ms, on_end);
    if (request->chunks && !known)
        chunk_replay(self, watch, request->after);
    else
        watch_send_state(self, watch);
}

void
on_unwatch(struct core *self, const struct input *in)
{
    struct watch *watch = watch_find(in->session, in->msg->id);
    if (watch)
        watch_destroy(self, &watch);
}

void
watch_notify(struct core *self, struct task *task)
{
    chunk_number(self, task);
    struct watch *watch;
    DL_FOREACH2(task->watches, watch, task_next)
    send_now(self, watch, false);
}

void
watch_chunk(struct core *self, struct task *task, const struct task_chunk *chunk)
{
    struct watch *watch;
    DL_FOREACH2(task->watches, watch, task_next)
    if (watch->chunks && !watch->replay)
        watch_send_chunk(self, &watch->asker, &task->id, chunk);
}

void
watch_finish(struct core *self, struct task *task)
{
    chunk_number(self, task);
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

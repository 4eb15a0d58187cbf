#include <utlist.h>

#include "worker_state.h"

enum { BEAT_LIST_MAX = 12000 }; // bytes of one BEAT's list, below the header's limit

static void
send_credit(struct om_worker *self, struct credit *credit, int64_t limit, int64_t ahead)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, om_str(credit->queue));
    WIRE_SET(&msg, limit, limit);
    if (ahead)
        WIRE_SET(&msg, ahead, ahead);
    if (om_link_send(self->link, WIRE_CREDIT, &msg, (struct om_str){ 0 }) != OM_OK)
        return;
    credit->limit = limit;
    credit->told = true;
}

void
worker_end_ahead(struct om_worker *self)
{
    for (size_t i = 0; self->conf.ahead && i < self->conf.queue_count; i++)
        send_credit(self, &self->credits[i], self->credits[i].received, 0);
}

void
worker_grant_credit(struct om_worker *self)
{
    if (self->drain_end_ms || !om_link_is_open(self->link))
        return;
    bool full = self->kept_count >= KEPT_MAX || self->kept_bytes >= KEPT_BYTES_MAX;
    for (size_t i = 0; i < self->conf.queue_count; i++) {
        struct credit *credit = &self->credits[i];
        int64_t room =
            self->conf.slots ? self->conf.slots - self->busy : self->conf.credit;
        if (full)
            room = 0;
        int64_t limit =
            credit->received + (room > credit->waiting ? room - credit->waiting : 0);
        // One CREDIT for several jobs, unless the broker would have to wait for it.
        bool worth = limit - credit->limit >= (room + 3) / 4;
        bool enough =
            limit <= credit->limit || (!worth && credit->limit > credit->received);
        if (!enough || (self->conf.ahead && !credit->told))
            send_credit(self, credit, limit, self->conf.ahead);
    }
}

static void
send_beat(struct om_worker *self, struct om_buf *items, size_t count)
{
    om_buf_reset(&self->list);
    om_pack_array(&self->list, count);
    om_buf_put(&self->list, items->data, items->size);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, held, om_buf_str(&self->list));
    (void)!om_link_send(self->link, WIRE_BEAT, &msg, (struct om_str){ 0 });
    om_buf_reset(items);
}

void
worker_beat(struct om_worker *self, int64_t now_ms)
{
    struct om_buf items = { 0 };
    size_t count = 0;
    struct work *work;
    DL_FOREACH (self->works, work) {
        if (work_is_call(work))
            continue;
        work_put_held(work, true, &items);
        count++;
        if (items.size > BEAT_LIST_MAX) {
            send_beat(self, &items, count);
            count = 0;
        }
    }
    if (count)
        send_beat(self, &items, count);
    om_buf_finish(&items);
    self->beat_ms = now_ms;
}

int64_t
worker_beat_due(struct om_worker *self)
{
    if (!self->jobs)
        return INT64_MAX;
    bool news = false;
    for (int i = 0; i < self->conf.slots && !news; i++) {
        struct work *work = self->slots[i].work;
        if (!work || work_is_call(work))
            continue;
        pthread_mutex_lock(&work->lock);
        news = work->progress_new;
        pthread_mutex_unlock(&work->lock);
    }
    return self->beat_ms + (news ? PROGRESS_MS : om_link_heartbeat_ms(self->link));
}

void
worker_tend_by(struct om_worker *self, int64_t due_ms)
{
    if (due_ms < self->tend_ms)
        self->tend_ms = due_ms;
}

int64_t
worker_tend(struct om_worker *self, int64_t now_ms)
{
    if (now_ms < self->tend_ms)
        return self->tend_ms;
    self->tend_ms = INT64_MAX;
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next) {
        if (work->state == WORK_FINISHED) {
            int64_t due_ms = work->sent_ms + RESEND_MS;
            if (now_ms >= due_ms && om_link_is_open(self->link))
                worker_send_outcome(self, work, now_ms);
            else
                worker_tend_by(self, due_ms < now_ms ? now_ms + RESEND_MS : due_ms);
        } else if (work->state == WORK_WAITING && self->conf.slots &&
                   !work_is_call(work)) {
            int64_t due_ms = work->received_ms + RELEASE_MS;
            if (now_ms >= due_ms)
                worker_release(self, work);
            else
                worker_tend_by(self, due_ms);
        }
    }
    return self->tend_ms;
}

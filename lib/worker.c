#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>
#include <zmq.h>

#include "clock.h"
#include "worker_state.h"

enum {
    DEFAULT_CREDIT = 64,
    DEFAULT_AHEAD = 64,
    CANCEL_BEFORE_END_MS = 1000,
    EXTRA_FDS = 4,
    ROUND_MS = 5,
    QUICK_US = 100, // a handler that takes longer keeps no outcome waiting
    QUICK_RUN = 16, // so many quick ones in a row: the next will be
    HOLD_US = 500,  // then an outcome waits so long for others, and for one more handler
};

// The leases this worker holds, for HELLO: the broker goes on with them.
static void
on_hello(void *context, struct wire_msg *hello)
{
    struct om_worker *self = context;
    struct work *work;
    size_t count = 0;
    DL_FOREACH (self->works, work)
        count += !work_is_call(work);
    if (count == 0)
        return;
    om_buf_reset(&self->list);
    om_pack_array(&self->list, count);
    DL_FOREACH (self->works, work)
        if (!work_is_call(work))
            work_put_held(work, false, &self->list);
    WIRE_SET(hello, held, om_buf_str(&self->list));
}

// A new session starts with no credit, and may have lost what was sent in the old one.
static void
on_opened(void *context, const struct wire_msg *welcome)
{
    (void)welcome;
    struct om_worker *self = context;
    for (size_t i = 0; i < self->conf.queue_count; i++)
        self->credits[i] = (struct credit){ .queue = self->credits[i].queue,
                                            .waiting = self->credits[i].waiting };
    struct work *work;
    DL_FOREACH (self->works, work)
        work->sent_ms = 0;
    self->beat_ms = self->tend_ms = 0;
    self->told_chunk = true;
}

enum om_rc
om_worker_create(const struct om_worker_conf *conf, struct om_worker **out,
                 const char **why)
{
    *out = NULL;
    *why = "not enough memory or file descriptors";
    struct om_worker *self = calloc(1, sizeof(*self));
    if (!self)
        return OM_EINTERNAL;
    self->conf = *conf;
    self->told_stop = self->told_done = true;
    if (self->conf.credit <= 0)
        self->conf.credit = DEFAULT_CREDIT;
    if (!conf->handle_now || conf->slots == 0)
        self->conf.ahead = 0;
    else if (conf->ahead <= 0)
        self->conf.ahead = DEFAULT_AHEAD;
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->chunk_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->zmq_context = zmq_ctx_new();
    self->credits = calloc(conf->queue_count, sizeof(*self->credits));
    self->slots = calloc((size_t)conf->slots + 1, sizeof(*self->slots));
    self->done = slot_done_socket(self->zmq_context, &self->done_fd);
    bool made = self->stop_fd >= 0 && self->chunk_fd >= 0 && self->credits &&
                self->slots && self->done;
    for (size_t i = 0; made && i < conf->queue_count; i++)
        self->credits[i].queue = conf->queues[i];
    for (int i = 0; made && i < conf->slots; i++)
        made = slot_start(&self->slots[i], i, self->zmq_context, &self->conf);

    enum om_rc rc = made ? OM_OK : OM_EINTERNAL;
    struct om_link_conf link = conf->link;
    link.context = self;
    link.hello = on_hello;
    link.opened = on_opened;
    link.closed = NULL;
    if (rc == OM_OK)
        rc = om_link_create(&link, &self->link, why);
    if (rc != OM_OK) {
        om_worker_destroy(&self);
        return rc;
    }
    *out = self;
    return OM_OK;
}

void
om_worker_destroy(struct om_worker **self_p)
{
    struct om_worker *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    struct work *work, *next;
    DL_FOREACH (self->works, work)
        atomic_store(&work->cancelled, true);
    for (int i = 0; self->slots && i < self->conf.slots; i++)
        slot_stop(&self->slots[i]);
    HASH_CLEAR(hh, self->jobs);
    DL_CONCAT(self->works, self->spare);
    DL_FOREACH_SAFE (self->works, work, next) {
        DL_DELETE(self->works, work);
        work_destroy(&work);
    }
    om_link_destroy(&self->link);
    if (self->done)
        zmq_close(self->done);
    zmq_ctx_term(self->zmq_context);
    if (self->stop_fd >= 0)
        close(self->stop_fd);
    if (self->chunk_fd >= 0)
        close(self->chunk_fd);
    om_buf_finish(&self->list);
    free(self->credits);
    free(self->slots);
    free(self);
}

void
om_worker_stop(struct om_worker *self)
{
    uint64_t one = 1;
    ssize_t ignored =
        write(self->stop_fd, &one, sizeof(one)); // full: it was told already
    (void)ignored;
}

struct work *
worker_take(struct om_worker *self, const struct om_frame *frame, size_t queue)
{
    int64_t now_ms = om_clock_mono_ms();
    struct work *work = self->spare;
    if (work) {
        DL_DELETE(self->spare, work);
        self->spare_count--;
    } else if (!(work = work_create())) {
        return NULL;
    }
    if (!work_begin(work, frame, queue, now_ms)) {
        work_destroy(&work);
        return NULL;
    }
    work->chunk_fd = self->chunk_fd;
    work->waits_allowed = self->conf.slots > 0 && !work->ahead;
    DL_APPEND(self->works, work);
    if (work->ahead) {
        DL_APPEND2(self->ahead, work, waiting_prev, waiting_next);
        return work;
    }
    DL_APPEND2(self->waiting, work, waiting_prev, waiting_next);
    self->credits[queue].waiting++;
    if (!work_is_call(work))
        HASH_ADD_KEYPTR(hh, self->jobs, work_token(work).data, work_token(work).size,
                        work);
    worker_tend_by(self, now_ms + RELEASE_MS);
    return work;
}

void
worker_unwait(struct om_worker *self, struct work *work, enum work_state state)
{
    work->state = state;
    if (work->ahead) {
        DL_DELETE2(self->ahead, work, waiting_prev, waiting_next);
        return;
    }
    DL_DELETE2(self->waiting, work, waiting_prev, waiting_next);
    self->credits[work->queue].waiting--;
}

void
worker_forget(struct om_worker *self, struct work *work)
{
    if (work->state == WORK_WAITING)
        worker_unwait(self, work, WORK_FINISHED);
    if (work->kept) {
        self->kept_count--;
        self->kept_bytes -= work->kept;
        work->kept = 0;
    }
    if (!work_is_call(work))
        HASH_DEL(self->jobs, work);
    DL_DELETE(self->works, work);
    if (self->spare_count >= SPARE_MAX) {
        work_destroy(&work);
        return;
    }
    DL_PREPEND(self->spare, work);
    self->spare_count++;
}

struct work *
worker_find(struct om_worker *self, struct om_str token)
{
    struct work *work = NULL;
    if (token.size)
        HASH_FIND(hh, self->jobs, token.data, token.size, work);
    return work;
}

void
worker_send_token(struct om_worker *self, enum wire_type type, const struct work *work)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, work_token(work));
    // Lost messages are made good by the next BEAT and the lease's end.
    (void)!om_link_send(self->link, type, &msg, (struct om_str){ 0 });
}

void
worker_release(struct om_worker *self, struct work *work)
{
    worker_send_token(self, WIRE_RELEASE, work);
    worker_forget(self, work);
}

// Send the outcome. A call's is not resent: its caller asks again.
void
worker_send_outcome(struct om_worker *self, struct work *work, int64_t now_ms)
{
    bool unasked = work->job.rc == OM_ECANCELLED && !work->broker_cancels;
    bool late = unasked && !work_is_call(work) && om_job_late(&work->job);
    bool drained = unasked && !late && self->drain_end_ms && !work_is_call(work);
    if (late)
        om_job_fail(&work->job, OM_ETIMEOUT, NULL, "its time limit is over");
    if (drained || work->stale) {
        if (drained)
            worker_send_token(self, WIRE_RELEASE, work);
        worker_forget(self, work);
        return;
    }
    work->sent_ms = now_ms;
    worker_tend_by(self, now_ms + RESEND_MS);
    enum om_rc rc = work_send_outcome(work, self->link, &self->list);
    if (work_is_call(work) && rc != OM_EINTERNAL)
        worker_forget(self, work);
}

static void
finish(struct om_worker *self, struct work *work)
{
    work->state = WORK_FINISHED;
    if (!work_is_call(work)) {
        work->kept = sizeof(*work) + work->job.result.size;
        self->kept_count++;
        self->kept_bytes += work->kept;
    }
    worker_send_outcome(self, work, om_clock_mono_ms());
}

static void
collect_done(struct om_worker *self)
{
    struct work *work;
    while (self->told_done && (work = slot_next_done(self->done))) {
        for (int i = 0; i < self->conf.slots; i++)
            if (self->slots[i].work == work) {
                self->slots[i].work = NULL;
                self->busy--;
            }
        finish(self, work);
    }
    self->told_done = false;
}

static struct slot *
idle_slot(struct om_worker *self)
{
    for (int i = 0; i < self->conf.slots; i++)
        if (!self->slots[i].work)
            return &self->slots[i];
    return NULL;
}

// Outcomes travel together as long as none waits for a handler that may take its time.
static void
handle_here(struct om_worker *self, struct work *work)
{
    int64_t start_us = om_clock_mono_us();
    if (self->quick < QUICK_RUN || start_us - self->flushed_us >= HOLD_US) {
        om_link_flush(self->link);
        self->flushed_us = start_us;
    }
    work_handle(work, &self->conf);
    self->quick = om_clock_mono_us() - start_us < QUICK_US ? self->quick + 1 : 0;
    finish(self, work);
}

// Answer a call that came ahead, or give it back. False when there is none.
static bool
answer_ahead(struct om_worker *self, int64_t now_ms)
{
    struct work *work = self->ahead;
    if (!work)
        return false;
    int64_t start_us = om_clock_mono_us();
    if (start_us - self->flushed_us >= HOLD_US) {
        om_link_flush(self->link);
        self->flushed_us = start_us;
    }
    bool answered = false;
    if (now_ms < work->job.deadline_ms && self->conf.handle_now) {
        worker_unwait(self, work, WORK_RUNNING);
        answered = work_handle_now(work, &self->conf);
    }
    if (answered) {
        finish(self, work);
        return true;
    }
    struct wire_msg back = { 0 };
    WIRE_SET(&back, call, work->msg.call);
    (void)!om_link_send(self->link, WIRE_RELEASE, &back, (struct om_str){ 0 });
    worker_forget(self, work);
    return true;
}

// Start one waiting piece of work. False when there is none or nobody to handle it.
static bool
start_one(struct om_worker *self, int64_t now_ms)
{
    struct work *work = self->waiting;
    if (!work)
        return false;
    if (work_is_call(work) && now_ms >= work->job.deadline_ms) {
        worker_forget(self, work); // its caller is gone
        return true;
    }
    struct slot *slot = self->conf.slots ? idle_slot(self) : NULL;
    if (self->conf.slots && !slot)
        return false;
    worker_unwait(self, work, WORK_RUNNING);
    work_start(work, now_ms);
    // Without slots the outcome follows at once and says that it was started.
    if (slot && !work_is_call(work))
        worker_send_token(self, WIRE_START, work);
    if (slot) {
        self->busy++;
        slot_give(slot, work);
    } else {
        handle_here(self, work);
    }
    return true;
}

// Send the chunks that handlers made.
static void
send_chunks(struct om_worker *self)
{
    uint64_t told;
    if (!self->told_chunk)
        return;
    self->told_chunk = false;
    ssize_t ignored = read(self->chunk_fd, &told, sizeof(told));
    (void)ignored;
    struct work *work;
    DL_FOREACH (self->works, work) {
        if (work->state != WORK_RUNNING || work->stale)
            continue;
        work_send_parent(work, self->link);
        if (!work_send_chunks(work, self->link))
            return; // when the session opens, or with the outcome
    }
}

// Take no more work; late in the drain ask what still runs to stop.
static void
drain(struct om_worker *self, int64_t now_ms)
{
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next) {
        if (work->state == WORK_WAITING && !work_is_call(work) && self->conf.slots)
            worker_release(self, work);
        else if (work->state == WORK_RUNNING &&
                 now_ms >= self->drain_end_ms - CANCEL_BEFORE_END_MS)
            atomic_store(&work->cancelled, true);
    }
}

static bool
drained(const struct om_worker *self, int64_t now_ms)
{
    if (!self->drain_end_ms)
        return false;
    return !self->works || (self->busy == 0 && now_ms >= self->drain_end_ms);
}

static void
check_stop(struct om_worker *self, int64_t now_ms)
{
    uint64_t told;
    bool stop = self->told_stop && read(self->stop_fd, &told, sizeof(told)) > 0;
    self->told_stop = false;
    if (!stop || self->drain_end_ms)
        return;
    self->drain_end_ms = now_ms + (self->conf.drain_ms > 0 ? self->conf.drain_ms : 1);
    worker_end_ahead(self);
}

static void
wait_until(struct om_worker *self, int64_t due_ms)
{
    enum { STOP, DONE, CHUNK, LINK, OWN = LINK + 2 };
    int link_fds[2], own_fds[EXTRA_FDS];
    om_link_fds(self->link, link_fds);
    struct pollfd polled[OWN + EXTRA_FDS] = {
        [STOP] = { self->stop_fd, POLLIN, 0 },   [DONE] = { self->done_fd, POLLIN, 0 },
        [CHUNK] = { self->chunk_fd, POLLIN, 0 }, [LINK] = { link_fds[0], POLLIN, 0 },
        [LINK + 1] = { link_fds[1], POLLIN, 0 },
    };
    int own = self->conf.fds ? self->conf.fds(self->conf.context, own_fds, EXTRA_FDS) : 0;
    for (int i = 0; i < own; i++)
        polled[OWN + i] = (struct pollfd){ own_fds[i], POLLIN, 0 };
    int64_t wait_ms = due_ms - om_clock_mono_ms();
    poll(polled, (nfds_t)(OWN + own),
         wait_ms < 0       ? 0
         : wait_ms > 60000 ? 60000
                           : (int)wait_ms);
    self->told_stop = polled[STOP].revents;
    self->told_done = polled[DONE].revents;
    self->told_chunk = self->told_chunk || polled[CHUNK].revents;
    for (int i = 0; i < own; i++)
        if (polled[OWN + i].revents)
            self->tick_ms = 0;
}

static int64_t
earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// One round: everything that has come and is due. Returns when the next is due.
static int64_t
work_once(struct om_worker *self)
{
    struct om_frame frame;
    int64_t now_ms = om_clock_mono_ms();
    check_stop(self, now_ms);
    while (om_link_recv(self->link, &frame))
        worker_on_frame(self, &frame);
    send_chunks(self);
    collect_done(self);
    if (self->drain_end_ms)
        drain(self, now_ms);

    // What this thread handles is no longer than ROUND_MS, so that cancels and beats are
    // not kept waiting.
    bool more = start_one(self, now_ms);
    while (more && (self->conf.slots || om_clock_mono_ms() - now_ms < ROUND_MS))
        more = start_one(self, now_ms);
    while (answer_ahead(self, now_ms) && om_clock_mono_ms() - now_ms < ROUND_MS)
        ;
    more = more || self->ahead;
    worker_grant_credit(self);

    now_ms = om_clock_mono_ms();
    if (om_link_is_open(self->link) && now_ms >= worker_beat_due(self))
        worker_beat(self, now_ms);
    om_link_flush(self->link);
    int64_t due = worker_tend(self, now_ms);
    if (self->conf.tick && now_ms >= self->tick_ms)
        self->tick_ms = self->conf.tick(self->conf.context, now_ms);
    if (self->conf.tick)
        due = earlier(due, self->tick_ms);
    due = earlier(due, om_link_tick(self->link, now_ms));
    due = earlier(due, om_link_is_open(self->link) ? worker_beat_due(self) : INT64_MAX);
    // A handler makes progress without waking this thread.
    if (self->busy || self->drain_end_ms)
        due = earlier(due, now_ms + PROGRESS_MS);
    // What was sent may have used up the descriptor's edge.
    if (!om_link_is_settled(self->link) && om_link_recv(self->link, &frame)) {
        worker_on_frame(self, &frame);
        return 0;
    }
    return more ? 0 : due;
}

void
om_worker_run(struct om_worker *self)
{
    for (;;) {
        int64_t due_ms = work_once(self);
        if (drained(self, om_clock_mono_ms()))
            return;
        wait_until(self, due_ms);
    }
}

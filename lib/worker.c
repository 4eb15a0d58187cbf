#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>
#include <zmq.h>

#include "clock.h"
#include "work.h"

enum {
    DEFAULT_CREDIT = 64,
    BEAT_MS = 2000,
    PROGRESS_MS = 150,     // progress is sent this soon
    RESEND_MS = 2000,      // of an outcome that is not acknowledged
    RELEASE_MS = 1000,     // unstarted work goes back after this
    BEAT_LIST_MAX = 12000, // bytes of one BEAT's list, below the header's limit
    CANCEL_BEFORE_END_MS = 1000,
    EXTRA_FDS = 4,
};

struct credit {
    const char *queue;
    int64_t limit;    // granted in this session
    int64_t received; // of it
    int64_t waiting;  // received and with no handler yet
};

struct om_worker {
    struct om_worker_conf conf;
    struct om_link *link;
    struct credit *credits;
    struct work *works;
    void *zmq_context, *done;
    struct slot *slots;
    int busy;
    int stop_fd;
    int64_t drain_end_ms; // 0: not draining
    int64_t beat_ms, tick_ms;
    struct om_buf list; // scratch for held lists
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
        self->credits[i].limit = self->credits[i].received = 0;
    struct work *work;
    DL_FOREACH (self->works, work)
        work->sent_ms = 0;
    self->beat_ms = 0;
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
    if (self->conf.credit <= 0)
        self->conf.credit = DEFAULT_CREDIT;
    self->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    self->zmq_context = zmq_ctx_new();
    self->credits = calloc(conf->queue_count, sizeof(*self->credits));
    self->slots = calloc((size_t)conf->slots + 1, sizeof(*self->slots));
    self->done = slot_done_socket(self->zmq_context);
    bool made = self->stop_fd >= 0 && self->credits && self->slots && self->done;
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

static void
forget(struct om_worker *self, struct work *work)
{
    if (work->state == WORK_WAITING)
        self->credits[work->queue].waiting--;
    DL_DELETE(self->works, work);
    work_destroy(&work);
}

static struct work *
find_token(struct om_worker *self, struct om_str token)
{
    struct work *work;
    DL_FOREACH (self->works, work)
        if (!work_is_call(work) && om_str_eq(work_token(work), token))
            return work;
    return NULL;
}

static void
send_token(struct om_worker *self, enum wire_type type, const struct work *work)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, work_token(work));
    // Lost messages are made good by the next BEAT and the lease's end.
    (void)!om_link_send(self->link, type, &msg, (struct om_str){ 0 });
}

static void
release(struct om_worker *self, struct work *work)
{
    send_token(self, WIRE_RELEASE, work);
    forget(self, work);
}

// ---- messages from the broker

static void
on_work(struct om_worker *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    size_t queue = 0;
    while (queue < self->conf.queue_count &&
           !om_str_eq(msg->queue, om_str(self->credits[queue].queue)))
        queue++;
    if (queue == self->conf.queue_count)
        return;
    if (msg->type == WIRE_JOB && find_token(self, msg->token))
        return;
    self->credits[queue].received++;
    struct work *work = work_create(frame, queue, om_clock_mono_ms());
    if (!work)
        return; // its lease ends and it is given to somebody with memory
    DL_APPEND(self->works, work);
    self->credits[queue].waiting++;
    if (self->drain_end_ms && !work_is_call(work))
        release(self, work);
}

// Ask a handler to stop; what has not started ends at once.
static void
cancel(struct om_worker *self, struct work *work)
{
    work->broker_cancels = true;
    atomic_store(&work->cancelled, true);
    if (work->state != WORK_WAITING)
        return;
    if (work_is_call(work)) {
        forget(self, work);
        return;
    }
    self->credits[work->queue].waiting--;
    work->state = WORK_FINISHED;
    work->job.rc = OM_ECANCELLED;
}

static void
cancel_token(struct om_worker *self, struct om_str token)
{
    struct work *work = find_token(self, token);
    if (work)
        cancel(self, work);
}

static void
cancel_call(struct om_worker *self, int64_t call)
{
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next)
        if (work_is_call(work) && work->msg.call == call)
            cancel(self, work);
}

// The lease is somebody else's: stop and discard.
static void
on_stale(struct om_worker *self, struct om_str token)
{
    struct work *work = find_token(self, token);
    if (!work)
        return;
    work->stale = true;
    atomic_store(&work->cancelled, true);
    if (work->state != WORK_RUNNING)
        forget(self, work);
}

static void
on_done_ack(struct om_worker *self, struct om_str token)
{
    struct work *work = find_token(self, token);
    if (work && work->state == WORK_FINISHED)
        forget(self, work);
}

static void
on_beat_ack(struct om_worker *self, const struct wire_msg *msg)
{
    struct om_str token;
    struct rec_iter cancels = rec_iter(msg->tokens), stale = rec_iter(msg->stale);
    while (rec_next_str(&cancels, &token))
        cancel_token(self, token);
    while (rec_next_str(&stale, &token))
        on_stale(self, token);
}

static void
on_frame(struct om_worker *self, const struct om_frame *frame)
{
    const struct wire_msg *msg = frame->msg;
    switch (msg->type) {
    case WIRE_JOB:
    case WIRE_CALL:
        on_work(self, frame);
        break;
    case WIRE_CANCEL_JOB:
        cancel_token(self, msg->token);
        break;
    case WIRE_CALL_CANCEL:
        cancel_call(self, msg->call);
        break;
    case WIRE_BEAT_ACK:
        on_beat_ack(self, msg);
        break;
    case WIRE_DONE_ACK:
        on_done_ack(self, msg->token);
        break;
    case WIRE_STALE:
        on_stale(self, msg->token);
        break;
    case WIRE_DRAIN:
        om_worker_stop(self);
        break;
    default:
        break; // CREDIT_OK and what newer brokers say
    }
}

// ---- handling

// Send the outcome. A call's is not resent: its caller asks again.
static void
send_outcome(struct om_worker *self, struct work *work, int64_t now_ms)
{
    bool drained = self->drain_end_ms && work->job.rc == OM_ECANCELLED &&
                   !work->broker_cancels && !work_is_call(work);
    if (drained || work->stale) {
        if (drained)
            send_token(self, WIRE_RELEASE, work);
        forget(self, work);
        return;
    }
    work->sent_ms = now_ms;
    enum om_rc rc = work_send_outcome(work, self->link);
    if (work_is_call(work) && rc != OM_EINTERNAL)
        forget(self, work);
}

static void
finish(struct om_worker *self, struct work *work)
{
    work->state = WORK_FINISHED;
    send_outcome(self, work, om_clock_mono_ms());
}

static void
collect_done(struct om_worker *self)
{
    struct work *work;
    while ((work = slot_next_done(self->done))) {
        for (int i = 0; i < self->conf.slots; i++)
            if (self->slots[i].work == work) {
                self->slots[i].work = NULL;
                self->busy--;
            }
        finish(self, work);
    }
}

static struct slot *
idle_slot(struct om_worker *self)
{
    for (int i = 0; i < self->conf.slots; i++)
        if (!self->slots[i].work)
            return &self->slots[i];
    return NULL;
}

// Start one waiting piece of work. False when there is none or nobody to handle it.
static bool
start_one(struct om_worker *self, int64_t now_ms)
{
    struct work *work;
    DL_FOREACH (self->works, work)
        if (work->state == WORK_WAITING)
            break;
    if (!work)
        return false;
    if (work_is_call(work) && now_ms >= work->job.deadline_ms) {
        forget(self, work); // its caller is gone
        return true;
    }
    struct slot *slot = self->conf.slots ? idle_slot(self) : NULL;
    if (self->conf.slots && !slot)
        return false;
    self->credits[work->queue].waiting--;
    work->state = WORK_RUNNING;
    if (!work_is_call(work))
        send_token(self, WIRE_START, work);
    if (slot) {
        self->busy++;
        slot_give(slot, work);
    } else {
        self->conf.handle(self->conf.context, &work->job);
        finish(self, work);
    }
    return true;
}

// ---- what is due

// Allow as many more as could be handled: free slots, or room for waiting work.
static void
grant_credit(struct om_worker *self)
{
    if (self->drain_end_ms || !om_link_is_open(self->link))
        return;
    for (size_t i = 0; i < self->conf.queue_count; i++) {
        struct credit *credit = &self->credits[i];
        int64_t room =
            self->conf.slots ? self->conf.slots - self->busy : self->conf.credit;
        int64_t limit =
            credit->received + (room > credit->waiting ? room - credit->waiting : 0);
        // One CREDIT for several jobs, unless the broker would have to wait for it.
        bool worth = limit - credit->limit >= (room + 3) / 4;
        if (limit <= credit->limit || (!worth && credit->limit > credit->received))
            continue;
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, queue, om_str(credit->queue));
        WIRE_SET(&msg, limit, limit);
        if (om_link_send(self->link, WIRE_CREDIT, &msg, (struct om_str){ 0 }) == OM_OK)
            credit->limit = limit;
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

// Renew every lease, in as many BEATs as the header's limit asks for.
static void
beat(struct om_worker *self, int64_t now_ms)
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

// How soon the next BEAT is due: at once when somebody made progress.
static int64_t
beat_due(struct om_worker *self)
{
    int64_t due = INT64_MAX;
    struct work *work;
    DL_FOREACH (self->works, work) {
        if (work_is_call(work))
            continue;
        pthread_mutex_lock(&work->lock);
        int64_t own = self->beat_ms + (work->progress_new ? PROGRESS_MS : BEAT_MS);
        pthread_mutex_unlock(&work->lock);
        due = own < due ? own : due;
    }
    return due;
}

// Resend outcomes, give back what waits too long. Returns when to look again.
static int64_t
tend_works(struct om_worker *self, int64_t now_ms)
{
    int64_t due = INT64_MAX;
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next) {
        int64_t own = INT64_MAX;
        if (work->state == WORK_FINISHED) {
            own = work->sent_ms + RESEND_MS;
            if (now_ms >= own && om_link_is_open(self->link)) {
                send_outcome(self, work, now_ms);
                continue;
            }
            own = own < now_ms ? now_ms + RESEND_MS : own;
        } else if (work->state == WORK_WAITING && self->conf.slots &&
                   !work_is_call(work)) {
            own = work->received_ms + RELEASE_MS;
            if (now_ms >= own) {
                release(self, work);
                continue;
            }
        }
        due = own < due ? own : due;
    }
    return due;
}

// Take no more work; late in the drain ask what still runs to stop.
static void
drain(struct om_worker *self, int64_t now_ms)
{
    struct work *work, *next;
    DL_FOREACH_SAFE (self->works, work, next) {
        if (work->state == WORK_WAITING && !work_is_call(work) && self->conf.slots)
            release(self, work);
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
    if (read(self->stop_fd, &told, sizeof(told)) != sizeof(told) || self->drain_end_ms)
        return;
    self->drain_end_ms = now_ms + (self->conf.drain_ms > 0 ? self->conf.drain_ms : 1);
}

static void
wait_until(struct om_worker *self, int64_t due_ms)
{
    int link_fds[2], own_fds[EXTRA_FDS];
    om_link_fds(self->link, link_fds);
    zmq_pollitem_t items[4 + EXTRA_FDS] = {
        { NULL, link_fds[0], ZMQ_POLLIN, 0 },
        { NULL, link_fds[1], ZMQ_POLLIN, 0 },
        { NULL, self->stop_fd, ZMQ_POLLIN, 0 },
        { self->done, 0, ZMQ_POLLIN, 0 },
    };
    int count = 4;
    int own = self->conf.fds ? self->conf.fds(self->conf.context, own_fds, EXTRA_FDS) : 0;
    for (int i = 0; i < own; i++)
        items[count++] = (zmq_pollitem_t){ NULL, own_fds[i], ZMQ_POLLIN, 0 };
    int64_t wait_ms = due_ms - om_clock_mono_ms();
    zmq_poll(items, count, wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (long)wait_ms);
    for (int i = 4; i < count; i++)
        if (items[i].revents)
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
        on_frame(self, &frame);
    collect_done(self);
    if (self->drain_end_ms)
        drain(self, now_ms);

    // Without slots one piece a round, so that cancels and beats are not kept waiting.
    bool more = start_one(self, now_ms);
    while (more && self->conf.slots)
        more = start_one(self, now_ms);
    grant_credit(self);

    now_ms = om_clock_mono_ms();
    if (om_link_is_open(self->link) && now_ms >= beat_due(self))
        beat(self, now_ms);
    int64_t due = tend_works(self, now_ms);
    if (self->conf.tick && now_ms >= self->tick_ms)
        self->tick_ms = self->conf.tick(self->conf.context, now_ms);
    if (self->conf.tick)
        due = earlier(due, self->tick_ms);
    due = earlier(due, om_link_tick(self->link, now_ms));
    due = earlier(due, om_link_is_open(self->link) ? beat_due(self) : INT64_MAX);
    // A handler makes progress without waking this thread.
    if (self->busy || self->drain_end_ms)
        due = earlier(due, now_ms + PROGRESS_MS);
    // What was sent may have used up the descriptor's edge.
    if (om_link_recv(self->link, &frame)) {
        on_frame(self, &frame);
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

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "work.h"

enum {
    KEPT_BYTES = 64 * 1024, // of a buffer that is used again
    HARD_GRACE_MS = 5000,   // the hard limit is the broker's, unless it is silent
};

struct work *
work_create(void)
{
    struct work *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->told, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&self->lock, NULL);
    return self;
}

void
work_destroy(struct work **self_p)
{
    struct work *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_cond_destroy(&self->told);
    pthread_mutex_destroy(&self->lock);
    om_buf_finish(&self->header);
    om_buf_finish(&self->payload);
    om_buf_finish(&self->job.result);
    work_drop_chunks(self);
    om_arena_finish(&self->arena);
    free(self);
}

static void
empty(struct om_buf *buf)
{
    if (buf->capacity > KEPT_BYTES)
        om_buf_finish(buf);
    om_buf_reset(buf);
}

// Forget what the memory was used for before.
static void
reset(struct work *self)
{
    struct om_buf result = self->job.result;
    empty(&result);
    empty(&self->header);
    empty(&self->payload);
    om_arena_reset(&self->arena);
    self->job = (struct om_job){ .result = result };
    self->state = WORK_WAITING;
    self->sent_ms = 0;
    self->broker_cancels = self->stale = false;
    self->usage_count = 0;
    self->progress = 0;
    self->detail[0] = '\0';
    self->progress_told = self->progress_new = false;
    work_drop_chunks(self);
    atomic_store_explicit(&self->cancelled, false, memory_order_relaxed);
}

bool
work_begin(struct work *self, const struct om_frame *frame, size_t queue, int64_t now_ms)
{
    reset(self);
    om_buf_put(&self->header, frame->header.data, frame->header.size);
    om_buf_put(&self->payload, frame->payload.data, frame->payload.size);
    if (self->header.failed || self->payload.failed)
        return false;
    self->msg = *frame->msg;
    rec_rebase(&wire_msg_rec, &self->msg, frame->header.data, self->header.data);
    self->queue = queue;
    self->ahead = WIRE_HAS(&self->msg, ahead);
    self->received_ms = now_ms;
    self->job.msg = &self->msg;
    self->job.payload = om_buf_str(&self->payload);
    self->job.arena = &self->arena;
    self->job.deadline_ms = INT64_MAX;
    self->job.lane = OM_LANE_JOB;
    if (self->msg.type == WIRE_CALL) {
        self->job.lane = OM_LANE_CALL;
        if (WIRE_HAS(&self->msg, ttl_ms))
            self->job.deadline_ms = now_ms + self->msg.ttl_ms;
        self->streams = WIRE_HAS(&self->msg, limit);
        self->chunk_limit = self->msg.limit;
    } else if (WIRE_HAS(&self->msg, shard)) {
        self->job.lane = OM_LANE_EVENTS;
    }
    return true;
}

bool
work_is_call(const struct work *self)
{
    return self->job.lane == OM_LANE_CALL;
}

struct om_str
work_token(const struct work *self)
{
    return self->msg.token;
}

static void
put_usage(const struct work *self, struct wire_msg *out, struct om_buf *list)
{
    if (self->usage_count == 0)
        return;
    om_pack_array(list, self->usage_count);
    for (size_t i = 0; i < self->usage_count; i++) {
        struct wire_usage item = { 0 };
        REC_SET(&item, wire_usage, meter, om_str(self->usage[i].meter));
        REC_SET(&item, wire_usage, quantity, self->usage[i].quantity);
        if (*self->usage[i].subject)
            REC_SET(&item, wire_usage, subject, om_str(self->usage[i].subject));
        rec_encode(&wire_usage_rec, &item, list);
    }
    WIRE_SET(out, usage, om_buf_str(list));
}

static void
put_failure(const struct om_job *job, struct wire_msg *out)
{
    WIRE_SET(out, code, om_str(job->code ? job->code : om_rc_info(job->rc)->code));
    WIRE_SET(out, text, om_str(*job->text ? job->text : om_rc_info(job->rc)->text));
    if (*job->param)
        WIRE_SET(out, param, om_str(job->param));
    if (job->retry_ms > 0)
        WIRE_SET(out, retry_ms,
                 job->retry_ms < WIRE_RETRY_MAX_MS ? job->retry_ms : WIRE_RETRY_MAX_MS);
    WIRE_SET(out, retryable, job->retryable);
}

void
work_start(struct work *self, int64_t now_ms)
{
    if (work_is_call(self))
        return;
    if (self->msg.hard_ms > 0)
        self->job.deadline_ms = now_ms + self->msg.hard_ms + HARD_GRACE_MS;
    if (self->msg.soft_ms > 0 && now_ms + self->msg.soft_ms < self->job.deadline_ms)
        self->job.deadline_ms = now_ms + self->msg.soft_ms;
}

enum om_rc
work_send_outcome(struct work *self, struct om_link *link, struct om_buf *list)
{
    struct om_job *job = &self->job;
    if (job->rc == OM_OK && job->result.failed)
        job->rc = OM_EINTERNAL;
    if (job->rc == OM_OK && job->result.size > WIRE_PAYLOAD_MAX)
        om_job_fail(job, OM_ETOOBIG, NULL,
                    "the result is larger than %d bytes: store it as "
                    "a file and answer with its id",
                    WIRE_PAYLOAD_MAX);

    if (!work_send_chunks(self, link))
        return OM_EUNAVAILABLE;
    struct wire_msg out = { 0 };
    struct om_str payload = { 0 };
    enum wire_type type = work_is_call(self) ? WIRE_REPLY : WIRE_DONE;
    om_buf_reset(list);
    put_usage(self, &out, list);
    if (job->rc == OM_OK) {
        payload = om_buf_str(&job->result);
        if (job->result_type)
            WIRE_SET(&out, ctype, om_str(job->result_type));
        if (job->replayed)
            WIRE_SET(&out, duplicate, true);
    } else {
        type = work_is_call(self)                                 ? WIRE_ERROR
               : self->broker_cancels && job->rc == OM_ECANCELLED ? WIRE_CANCELLED
                                                                  : WIRE_FAIL;
        put_failure(job, &out);
    }
    if (work_is_call(self)) {
        WIRE_SET(&out, call, self->msg.call);
        if (self->chunk_seq > 0)
            WIRE_SET(&out, seq, self->chunk_seq);
        if (WIRE_HAS(&self->msg, id))
            WIRE_SET(&out, id, self->msg.id);
    } else {
        WIRE_SET(&out, token, self->msg.token);
    }
    return om_link_send(link, type, &out, payload);
}

void
work_put_held(struct work *self, bool with_progress, struct om_buf *list)
{
    struct wire_held held = { 0 };
    REC_SET(&held, wire_held, token, work_token(self));
    pthread_mutex_lock(&self->lock);
    if (with_progress && self->progress_told) {
        REC_SET(&held, wire_held, progress, self->progress);
        if (*self->detail)
            REC_SET(&held, wire_held, detail, om_str(self->detail));
        self->progress_new = false;
    }
    rec_encode(&wire_held_rec, &held, list);
    pthread_mutex_unlock(&self->lock);
}

bool
om_job_late(const struct om_job *job)
{
    return om_clock_mono_ms() >= job->deadline_ms;
}

bool
om_job_cancelled(const struct om_job *job)
{
    const struct work *self = (const struct work *)job;
    return atomic_load(&self->cancelled) || om_job_late(job);
}

void
om_job_progress(struct om_job *job, double share, const char *detail_json)
{
    struct work *self = (struct work *)job;
    pthread_mutex_lock(&self->lock);
    self->progress = share < 0 ? 0 : share > 1 ? 1 : share;
    // A detail that does not fit is left out whole: half of an object is none.
    size_t size = detail_json ? strlen(detail_json) : 0;
    if (size >= sizeof(self->detail))
        size = 0;
    if (size)
        memcpy(self->detail, detail_json, size);
    self->detail[size] = '\0';
    self->progress_told = self->progress_new = true;
    pthread_mutex_unlock(&self->lock);
}

void
om_job_usage(struct om_job *job, const char *meter, int64_t quantity, const char *subject)
{
    struct work *self = (struct work *)job;
    if (self->usage_count == WORK_USAGE_MAX)
        abort(); // a caller's bug: the limit stands in the header
    struct work_usage *item = &self->usage[self->usage_count++];
    item->meter = meter;
    item->quantity = quantity;
    snprintf(item->subject, sizeof(item->subject), "%s", subject ? subject : "");
}

enum om_rc
om_job_fail(struct om_job *job, enum om_rc rc, const char *param, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(job->text, sizeof(job->text), format, args);
    va_end(args);
    snprintf(job->param, sizeof(job->param), "%s", param ? param : "");
    job->rc = rc;
    job->retryable = om_rc_info(rc)->retryable;
    return rc;
}

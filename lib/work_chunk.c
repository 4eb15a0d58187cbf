#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "work.h"

enum {
    WAITING_BYTES_MAX = 1024 * 1024, // of chunks that are not sent yet
    STALL_MS = 5000, // a caller that takes nothing for so long keeps no slot busy
};

bool
om_job_streams(const struct om_job *job)
{
    return ((const struct work *)job)->streams;
}

static bool
job_has_room(const struct work *self, size_t bytes)
{
    return !self->chunks_refused && !atomic_load(&self->cancelled) &&
           self->chunk_bytes + bytes <= WAITING_BYTES_MAX;
}

// Wait until the caller takes so much more. What is sent is counted, so that no more
// waits to be sent than the caller allows.
static bool
call_has_room(struct work *self, size_t bytes)
{
    int64_t end_ms = om_clock_mono_ms() + STALL_MS;
    int64_t used = self->chunk_used + (int64_t)bytes + WIRE_CHUNK_COST;
    if (!self->streams || bytes > WIRE_CHUNK_MAX)
        return false;
    while (used > self->chunk_limit && self->waits_allowed &&
           om_clock_mono_ms() < end_ms && !om_job_cancelled(&self->job))
        work_wait(self);
    if (used > self->chunk_limit || om_job_cancelled(&self->job))
        return false;
    self->chunk_used = used;
    return true;
}

void
work_allow_chunks(struct work *self, int64_t limit)
{
    pthread_mutex_lock(&self->lock);
    if (limit > self->chunk_limit)
        self->chunk_limit = limit;
    pthread_cond_signal(&self->told);
    pthread_mutex_unlock(&self->lock);
}

bool
om_job_chunk(struct om_job *job, const char *content_type, struct om_str bytes)
{
    struct work *self = (struct work *)job;
    struct work_chunk *chunk = malloc(sizeof(*chunk) + bytes.size);
    if (!chunk)
        return false;
    *chunk = (struct work_chunk){ .ctype = content_type, .size = bytes.size };
    if (bytes.size)
        memcpy(chunk->bytes, bytes.data, bytes.size);

    pthread_mutex_lock(&self->lock);
    bool taken = work_is_call(self) ? call_has_room(self, bytes.size)
                                    : job_has_room(self, bytes.size);
    if (taken) {
        chunk->seq = ++self->chunk_seq;
        self->chunk_bytes += bytes.size;
        *self->chunks_end = chunk;
        self->chunks_end = &chunk->next;
    }
    pthread_mutex_unlock(&self->lock);
    if (!taken) {
        free(chunk);
        return false;
    }
    uint64_t one = 1;
    ssize_t ignored = write(self->chunk_fd, &one, sizeof(one)); // full: it was told
    (void)ignored;
    return true;
}

static enum om_rc
send_chunk(const struct work *self, const struct work_chunk *chunk, struct om_link *link)
{
    struct wire_msg msg = { 0 };
    if (work_is_call(self)) {
        WIRE_SET(&msg, call, self->msg.call);
    } else {
        WIRE_SET(&msg, token, work_token(self));
        if (WIRE_HAS(&self->msg, task))
            WIRE_SET(&msg, id, self->msg.task); // by which a refusal is known
    }
    WIRE_SET(&msg, seq, chunk->seq);
    if (chunk->ctype)
        WIRE_SET(&msg, ctype, om_str(chunk->ctype));
    return om_link_send(link, WIRE_CHUNK, &msg,
                        (struct om_str){ chunk->bytes, chunk->size });
}

// Only this thread takes from the list, so its first stays where it is without the lock.
bool
work_send_chunks(struct work *self, struct om_link *link)
{
    for (;;) {
        pthread_mutex_lock(&self->lock);
        struct work_chunk *chunk = self->chunks;
        pthread_mutex_unlock(&self->lock);
        if (!chunk)
            return true;
        if (send_chunk(self, chunk, link) != OM_OK)
            return false;
        pthread_mutex_lock(&self->lock);
        self->chunks = chunk->next;
        if (!self->chunks)
            self->chunks_end = &self->chunks;
        self->chunk_bytes -= chunk->size;
        pthread_mutex_unlock(&self->lock);
        free(chunk);
    }
}

void
work_refuse_chunks(struct work *self)
{
    pthread_mutex_lock(&self->lock);
    self->chunks_refused = true;
    pthread_mutex_unlock(&self->lock);
}

void
work_drop_chunks(struct work *self)
{
    for (struct work_chunk *chunk = self->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    self->chunks = NULL;
    self->chunks_end = &self->chunks;
    self->chunk_bytes = 0;
    self->chunk_seq = 0;
    self->chunks_refused = false;
    self->streams = false;
    self->chunk_limit = self->chunk_used = 0;
}

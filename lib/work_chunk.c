#include <stdlib.h>
#include <unistd.h>

#include "work.h"

enum { WAITING_BYTES_MAX = 1024 * 1024 }; // of chunks that are not sent yet

struct work_chunk {
    struct work_chunk *next;
    int64_t seq;
    const char *ctype; // NULL: none
    size_t size;
    char bytes[];
};

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
    bool taken = !self->chunks_refused && !atomic_load(&self->cancelled) &&
                 self->chunk_bytes + bytes.size <= WAITING_BYTES_MAX;
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
}

#include "chunk.h"
#include "commit.h"
#include "out.h"
#include "query.h"
#include "session.h"
#include "task.h"
#include "watch.h"

enum { READ_ROWS = 1024 };

static const int64_t SEQ_MAX = 9000000000000000; // of the wire

// ---- numbers

int64_t
chunk_newest(const struct core *self, struct task *task)
{
    if (task->stream_seq > 0)
        return task->stream_seq;
    task->stream_seq = self->last_number;
    if (task->stream_seq < task->stored_seq)
        task->stream_seq = task->stored_seq;
    task->stored_seq = task->stream_seq;
    return task->stream_seq;
}

int64_t
chunk_number(struct core *self, struct task *task)
{
    task->stream_seq = chunk_newest(self, task) + 1;
    if (self->last_number < task->stream_seq)
        self->last_number = task->stream_seq;
    return task->stream_seq;
}

// ---- from the worker to watchers and to the store

void
chunk_load(struct task *task, const struct stored_task *stored)
{
    task->stream_seq = 0; // chunk_newest() finds one
    task->stored_seq = stored->chunk_seq;
    if (stored->chunk_count == 0)
        return;
    task->stream = core_alloc(sizeof(*task->stream));
    task->stream->count = stored->chunk_count;
    task->stream->bytes = stored->chunk_bytes;
    task->stream->attempt = stored->chunk_attempt;
    task->stream->worker_seq = stored->chunk_worker_seq;
    if (task->last_attempt < stored->chunk_attempt) // that one left no mark
        task->last_attempt = (uint32_t)stored->chunk_attempt;
}

static void
drop_first(struct core *self, struct stream *stream)
{
    struct task_chunk *chunk = stream->chunks;
    DL_DELETE(stream->chunks, chunk);
    self->chunk_bytes -= payload_bytes(chunk->payload).size;
    payload_unref(&chunk->payload);
    free(chunk);
}

void
chunk_forget(struct core *self, struct task *task)
{
    while (task->stream && task->stream->chunks)
        drop_first(self, task->stream);
    free(task->stream);
    task->stream = NULL;
}

static enum om_rc
check(const struct core *self, const struct stream *stream, size_t bytes,
      const char **why)
{
    const struct core_conf *conf = &self->conf;
    *why = NULL;
    if (self->disk_free < DISK_RESERVE)
        return OM_ENOSPACE;
    if (commit_congested(self) || self->chunk_bytes + bytes > conf->payload_cache_bytes)
        return OM_EUNAVAILABLE;
    *why = "the task has as many partial results as may be kept";
    bool room = stream->count < conf->max_chunks &&
                stream->bytes + (int64_t)bytes <= conf->max_chunk_bytes;
    return room ? OM_OK : OM_ETOOBIG;
}

static void
store(struct core *self, struct task *task, const struct task_chunk *chunk)
{
    struct group *group = commit_group(self, EFFECT_CHUNK, 1);
    group->task = task;
    commit_add(self, CHANGE_CHUNK)->chunk = (struct change_chunk){
        .task_seq = task->seq,
        .seq = chunk->seq,
        .attempt = chunk->attempt,
        .ctype = commit_copy(self, label_str(&chunk->ctype)),
        .payload = payload_ref(chunk->payload),
        .worker_seq = chunk->worker_seq,
    };
    commit_lazily(self);
}

// Has the worker sent it before?
static bool
is_repeated(struct stream *stream, const struct task *task, const struct wire_msg *msg)
{
    if (stream->attempt != task->lease.token.attempt)
        stream->worker_seq = 0;
    stream->attempt = task->lease.token.attempt;
    return WIRE_HAS(msg, seq) && msg->seq <= stream->worker_seq;
}

void
chunk_add(struct core *self, struct task *task, const struct input *in)
{
    const struct wire_msg *msg = in->msg;
    if (!task->stream)
        task->stream = core_alloc(sizeof(*task->stream));
    struct stream *stream = task->stream;
    if (is_repeated(stream, task, msg))
        return;
    const char *why;
    size_t bytes = payload_bytes(in->payload).size;
    enum om_rc rc = check(self, stream, bytes, &why);
    if (rc != OM_OK) {
        out_error(self, in->conn, msg->id, rc, why);
        return;
    }
    if (WIRE_HAS(msg, seq))
        stream->worker_seq = msg->seq;
    struct task_chunk *chunk = core_alloc(sizeof(*chunk));
    chunk->seq = chunk_number(self, task);
    chunk->attempt = task->lease.token.attempt;
    chunk->worker_seq = stream->worker_seq;
    label_set(&chunk->ctype, msg->ctype);
    chunk->payload = payload_ref(in->payload);
    DL_APPEND(stream->chunks, chunk);
    stream->count++;
    stream->bytes += (int64_t)bytes;
    self->chunk_bytes += bytes;
    store(self, task, chunk);
    watch_chunk(self, task, chunk);
}

void
chunk_durable(struct core *self, struct group *group, struct change *change)
{
    struct task *task = group->task;
    task->stored_seq = change->chunk.seq;
    drop_first(self, task->stream); // they become durable in their order
}

// ---- to those who come late

void
replay_destroy(struct replay **self_p)
{
    struct replay *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    om_buf_finish(&self->info);
    free(self);
}

static struct replay *
replay_create(const struct asker *asker, const struct om_uuid *id, int64_t task_seq,
              int64_t after)
{
    struct replay *replay = core_alloc(sizeof(*replay));
    replay->asker = *asker;
    replay->id = *id;
    replay->task_seq = task_seq;
    replay->sent = after;
    return replay;
}

static void
read_on(struct core *self, struct replay *replay, int64_t covers)
{
    replay->covers = covers;
    query_chunks(self, replay, replay->sent, READ_ROWS);
}

// What is not stored yet, and the state now: from here on the watch is told at once.
static void
catch_up(struct core *self, struct watch *watch, int64_t sent)
{
    const struct stream *stream = watch->task->stream;
    const struct task_chunk *chunk;
    if (stream)
        DL_FOREACH (stream->chunks, chunk)
            if (chunk->seq > sent)
                watch_send_chunk(self, &watch->asker, &watch->task->id, chunk);
    watch_send_state(self, watch);
}

void
chunk_replay(struct core *self, struct watch *watch, int64_t after)
{
    struct task *task = watch->task;
    (void)chunk_newest(self, task);
    if (task->stored_seq <= after) {
        catch_up(self, watch, after);
        return;
    }
    watch->replay = replay_create(&watch->asker, &task->id, task->seq, after);
    watch->replay->watch = watch;
    read_on(self, watch->replay, task->stored_seq);
}

void
chunk_replay_ended(struct core *self, const struct asker *asker,
                   const struct stored_task *stored, int64_t after, struct om_buf *info)
{
    struct replay *replay = replay_create(asker, &stored->id, stored->seq, after);
    replay->ended = true;
    replay->info = *info;
    *info = (struct om_buf){ 0 };
    self->query_count++;
    read_on(self, replay, INT64_MAX);
}

void
chunk_detach(struct watch *watch, struct om_buf *info, int64_t last_seq)
{
    struct replay *replay = watch->replay;
    watch->replay = NULL;
    replay->watch = NULL;
    replay->upto = info ? watch->task->stored_seq : 0;
    replay->last_seq = last_seq;
    if (info) {
        replay->info = *info;
        *info = (struct om_buf){ 0 };
    }
}

// Send what was read.
static void
send_read(struct core *self, struct replay *replay, const struct read *read)
{
    for (size_t i = 0; i < read->count; i++) {
        const struct change_chunk *stored = &read->chunks[i];
        if (replay->last_seq && stored->seq > replay->last_seq)
            return; // it came when the watch was over
        struct task_chunk chunk = { .seq = stored->seq,
                                    .attempt = stored->attempt,
                                    .payload = stored->payload };
        label_set(&chunk.ctype, stored->ctype);
        watch_send_chunk(self, &replay->asker, &replay->id, &chunk);
        replay->sent = stored->seq;
    }
}

static void
finish(struct core *self, struct replay *replay, enum om_rc rc)
{
    struct watch *watch = replay->watch;
    const struct asker *asker = &replay->asker;
    if (watch)
        watch->replay = NULL;
    if (rc != OM_OK) {
        if (watch)
            watch_destroy(self, &watch);
        out_error(self, asker->conn, label_str(&asker->id), rc, NULL);
    } else if (watch) {
        catch_up(self, watch, replay->sent);
    } else {
        int64_t next = replay->sent < SEQ_MAX ? replay->sent + 1 : SEQ_MAX;
        int64_t seq = replay->last_seq ? replay->last_seq : next;
        watch_send(self, asker, &replay->id, seq, om_buf_str(&replay->info), true);
    }
}

void
chunk_read_done(struct core *self, struct replay **replay_p, const struct read *read)
{
    struct replay *replay = *replay_p;
    bool wanted = replay->watch || replay->info.size > 0;
    if (wanted && read->rc == OM_OK) {
        send_read(self, replay, read);
        int64_t upto = replay->watch ? replay->watch->task->stored_seq : replay->upto;
        if (read->count == READ_ROWS || upto > replay->covers) {
            *replay_p = NULL; // the next read has it
            read_on(self, replay, upto > replay->covers ? upto : replay->covers);
            return;
        }
    }
    if (wanted)
        finish(self, replay, read->rc == OM_ENOTFOUND ? OM_OK : read->rc);
    self->query_count -= replay->ended;
    replay_destroy(replay_p);
}

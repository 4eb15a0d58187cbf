#include <stdlib.h>
#include <utlist.h>

#include "admit.h"
#include "clock.h"
#include "exchange.h"

// ---- how many

static bool
count_in(struct ingest *ingest, const struct om_uuid *tenant)
{
    struct stream_counts *counts = &ingest->streams;
    struct stream_count *one = NULL;
    pthread_mutex_lock(&counts->lock);
    HASH_FIND(hh, counts->tenants, tenant, sizeof(*tenant), one);
    if (!one && (one = calloc(1, sizeof(*one)))) {
        one->tenant = *tenant;
        HASH_ADD(hh, counts->tenants, tenant, sizeof(one->tenant), one);
    }
    bool room = one && one->count < ingest->conf.streams_max;
    if (room)
        one->count++;
    pthread_mutex_unlock(&counts->lock);
    return room;
}

static void
count_out(struct ingest *ingest, const struct om_uuid *tenant)
{
    struct stream_counts *counts = &ingest->streams;
    struct stream_count *one = NULL;
    pthread_mutex_lock(&counts->lock);
    HASH_FIND(hh, counts->tenants, tenant, sizeof(*tenant), one);
    if (one && --one->count == 0) {
        HASH_DEL(counts->tenants, one);
        free(one);
    }
    pthread_mutex_unlock(&counts->lock);
}

// ---- one stream

bool
stream_begin(struct exchange *x, void (*on_room)(struct exchange *x))
{
    struct edge *edge = x->edge;
    if (!count_in(edge->ingest, &x->caller.tenant)) {
        exchange_fail(x, OM_ERATE, NULL, "this tenant has %lld open streams of events",
                      (long long)edge->ingest->conf.streams_max);
        return false;
    }
    x->stream = om_arena_alloc(&x->arena, sizeof(*x->stream));
    x->stream->x = x;
    x->stream->on_room = on_room;
    x->stream->said_ms = om_clock_mono_ms();
    DL_APPEND(edge->streams, x->stream);
    struct om_http_response response = { .status = 200,
                                         .content_type = OM_LIT("text/event-stream") };
    om_http_response_field(&response, "cache-control", OM_LIT("no-store"));
    om_http_response_field(&response, "x-accel-buffering", OM_LIT("no")); // of nginx
    exchange_begin_reply(x, &response);
    admit_end(x); // it is bounded as a stream: requests beside it are not held back
    return true;
}

// Send what is in the edge's frame.
static bool
send_frame(struct exchange *x)
{
    struct edge *edge = x->edge;
    bool taken = !edge->frame.failed &&
                 om_http_write(edge->loop, x->handle, om_buf_str(&edge->frame));
    om_buf_reset(&edge->frame);
    if (taken)
        x->stream->said_ms = om_clock_mono_ms();
    return taken;
}

bool
stream_write(struct exchange *x, const struct sse_id *id, const char *name,
             struct om_str data)
{
    sse_put(&x->edge->frame, id, name, data);
    return send_frame(x);
}

void
stream_end(struct exchange *x)
{
    om_http_end(x->edge->loop, x->handle);
    exchange_abandon(x);
}

void
stream_fail(struct exchange *x, struct om_str body)
{
    bool written = stream_write(x, NULL, "error", body);
    if (written)
        om_http_end(x->edge->loop, x->handle);
    else // nor may the client take what it has for all
        om_http_abandon(x->edge->loop, x->handle);
    exchange_abandon(x);
}

void
stream_room(struct exchange *x)
{
    if (x->stream && x->stream->on_room)
        x->stream->on_room(x);
}

void
stream_forget(struct exchange *x)
{
    DL_DELETE(x->edge->streams, x->stream);
    count_out(x->edge->ingest, &x->caller.tenant);
    x->stream = NULL;
}

// ---- all of an edge

void
streams_tick(struct edge *edge)
{
    struct stream *stream, *next;
    int64_t now_ms = om_clock_mono_ms(), quiet_ms = edge->ingest->conf.stream_quiet_ms;
    DL_FOREACH_SAFE (edge->streams, stream, next) {
        struct exchange *x = stream->x;
        bool looks =
            !stream->ends && (x->caller.expires_ms <= caller_now_ms(&x->caller) ||
                              !keys_find(&edge->keys, x->key_hash));
        if (looks) {
            stream_end(x);
        } else if (now_ms - stream->said_ms >= quiet_ms &&
                   om_http_unsent(edge->loop, x->handle) == 0) {
            sse_put_comment(&edge->frame);
            (void)send_frame(x);
        }
    }
}

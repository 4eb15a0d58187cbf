#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "span.h"

enum { CACHE_LINE = 64 };

// A place of the queue (Vyukov's bounded queue: www.1024cores.net). `turn` says whose it
// is: a writer's when it equals the position, the taker's when it is one more.
struct place {
    atomic_size_t turn;
    struct om_span span;
};

struct queue {
    struct place *places;
    size_t mask, wake_mask;
    int wake_fd;
    size_t head; // the taker's
    _Alignas(CACHE_LINE) atomic_size_t tail;
    _Alignas(CACHE_LINE) atomic_bool tell;
    atomic_uint_fast64_t dropped, exported, lost;
};

const struct om_span_info om_span_infos[OM_ATTR_COUNT] = {
#define IS_STR                               false
#define IS_INT                               true
#define OM_SPAN_ATTR_ROW(symbol, name, type) { name, IS_##type },
    OM_SPAN_ATTRS(OM_SPAN_ATTR_ROW)
#undef OM_SPAN_ATTR_ROW
};

atomic_bool om_span_enabled;
static struct queue queue = { .wake_fd = -1 };
static struct om_span_conf settings = { .sampler = OM_SAMPLE_ALWAYS };
static _Thread_local struct om_trace current;
static _Thread_local struct om_str current_state;

// ---- the queue

bool
om_span_open(const struct om_span_conf *conf, int *wake_fd)
{
    size_t size = 2, wake = 2;
    while (size < conf->queue)
        size *= 2;
    while (wake < conf->wake && wake < size / 2)
        wake *= 2;
    settings = *conf;
    queue.places = calloc(size, sizeof(*queue.places));
    queue.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!queue.places || queue.wake_fd < 0) {
        om_span_close();
        return false;
    }
    queue.mask = size - 1;
    queue.wake_mask = wake - 1;
    for (size_t i = 0; i < size; i++)
        atomic_init(&queue.places[i].turn, i);
    *wake_fd = queue.wake_fd;
    atomic_store(&om_span_enabled, true);
    return true;
}

void
om_span_close(void)
{
    atomic_store(&om_span_enabled, false);
    free(queue.places);
    if (queue.wake_fd >= 0)
        close(queue.wake_fd);
    queue = (struct queue){ .wake_fd = -1 };
    settings = (struct om_span_conf){ .sampler = OM_SAMPLE_ALWAYS };
}

static void
wake(void)
{
    uint64_t one = 1;
    ssize_t ignored = write(queue.wake_fd, &one, sizeof(one)); // full: it was told
    (void)ignored;
}

static struct place *
claim(void)
{
    size_t at = atomic_load_explicit(&queue.tail, memory_order_relaxed);
    for (;;) {
        struct place *place = &queue.places[at & queue.mask];
        size_t turn = atomic_load_explicit(&place->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak_explicit(
                    &queue.tail, &at, at + 1, memory_order_relaxed, memory_order_relaxed))
                return place;
        } else if ((intptr_t)(turn - at) < 0) {
            atomic_fetch_add_explicit(&queue.dropped, 1, memory_order_relaxed);
            return NULL;
        } else {
            at = atomic_load_explicit(&queue.tail, memory_order_relaxed);
        }
    }
}

bool
om_span_take(struct om_span *out)
{
    struct place *place = &queue.places[queue.head & queue.mask];
    if (atomic_load_explicit(&place->turn, memory_order_acquire) != queue.head + 1)
        return false;
    size_t used = offsetof(struct om_span, text) + place->span.text_used;
    memcpy(out, &place->span, used);
    atomic_store_explicit(&place->turn, queue.head + queue.mask + 1,
                          memory_order_release);
    queue.head++;
    return true;
}

void
om_span_tell_next(bool tell)
{
    atomic_store(&queue.tell, tell);
}

struct om_span_counts
om_span_counts(void)
{
    return (struct om_span_counts){
        .written = atomic_load_explicit(&queue.tail, memory_order_relaxed),
        .dropped = atomic_load_explicit(&queue.dropped, memory_order_relaxed),
        .exported = atomic_load_explicit(&queue.exported, memory_order_relaxed),
        .lost = atomic_load_explicit(&queue.lost, memory_order_relaxed),
    };
}

void
om_span_count(uint64_t exported, uint64_t lost)
{
    atomic_fetch_add_explicit(&queue.exported, exported, memory_order_relaxed);
    atomic_fetch_add_explicit(&queue.lost, lost, memory_order_relaxed);
}

// ---- writing

int64_t
om_span_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t
om_span_mono_us(int64_t mono_us)
{
    return om_span_now_us() - (om_clock_mono_us() - mono_us);
}

struct om_span *
om_span_begin(const struct om_trace *trace, const uint8_t parent[8],
              enum om_span_kind kind, int64_t start_us, bool failed)
{
    struct place *place = om_span_wanted(trace, failed) ? claim() : NULL;
    if (!place)
        return NULL;
    struct om_span *self = &place->span;
    memset(self, 0, offsetof(struct om_span, attrs));
    self->trace = *trace;
    if (parent)
        memcpy(self->parent, parent, sizeof(self->parent));
    self->kind = (uint8_t)kind;
    self->failed = failed;
    self->start_us = start_us;
    self->end_us = om_span_now_us();
    return self;
}

void
om_span_end(struct om_span *self)
{
    if (!self)
        return;
    if (self->end_us < self->start_us)
        self->end_us = self->start_us; // the clock was set back meanwhile
    struct place *place = (struct place *)((char *)self - offsetof(struct place, span));
    size_t at = atomic_load_explicit(&place->turn, memory_order_relaxed);
    atomic_store_explicit(&place->turn, at + 1, memory_order_release);
    bool tell = (at & queue.wake_mask) == queue.wake_mask ||
                (atomic_load_explicit(&queue.tell, memory_order_relaxed) &&
                 atomic_exchange(&queue.tell, false));
    if (tell)
        wake();
}

static struct om_span_text
put_text(struct om_span *self, const void *data, size_t size)
{
    size_t room = OM_SPAN_TEXT - self->text_used;
    struct om_span_text text = { self->text_used, (uint16_t)(size < room ? size : room) };
    if (text.size)
        memcpy(self->text + text.at, data, text.size);
    self->text_used = (uint16_t)(self->text_used + text.size);
    return text;
}

void
om_span_name(struct om_span *self, const char *format, ...)
{
    if (!self || self->text_used == OM_SPAN_TEXT)
        return;
    va_list args;
    va_start(args, format);
    int size = vsnprintf(self->text + self->text_used, OM_SPAN_TEXT - self->text_used,
                         format, args);
    va_end(args);
    size_t room = OM_SPAN_TEXT - self->text_used - 1u;
    size_t used = (size_t)size < room ? (size_t)size : room;
    self->name = (struct om_span_text){ self->text_used, (uint16_t)used };
    self->text_used = (uint16_t)(self->text_used + used);
}

static void
put_attr(struct om_span *self, enum om_span_attr key, const void *data, size_t size)
{
    if (self->attr_count == OM_SPAN_ATTRS_MAX || self->text_used == OM_SPAN_TEXT) {
        self->attrs_lost++;
        return;
    }
    self->attrs[self->attr_count].key = (uint16_t)key;
    self->attrs[self->attr_count++].value = put_text(self, data, size);
}

void
om_span_str(struct om_span *self, enum om_span_attr key, struct om_str value)
{
    if (self && value.size)
        put_attr(self, key, value.data, value.size);
}

void
om_span_int(struct om_span *self, enum om_span_attr key, int64_t value)
{
    if (!self)
        return;
    if (self->text_used + sizeof(value) > OM_SPAN_TEXT)
        self->attrs_lost++;
    else
        put_attr(self, key, &value, sizeof(value));
}

void
om_span_link(struct om_span *self, const struct om_trace *to)
{
    if (self && !om_trace_is_none(to))
        self->link = *to;
}

void
om_span_state(struct om_span *self, struct om_str tracestate)
{
    // Half a member would be another one.
    if (self && tracestate.size && tracestate.size <= OM_SPAN_TEXT / 2 &&
        tracestate.size <= OM_SPAN_TEXT - (size_t)self->text_used)
        self->state = put_text(self, tracestate.data, tracestate.size);
}

void
om_span_fail(struct om_span *self, struct om_str code, struct om_str why)
{
    if (!self)
        return;
    self->failed = true;
    om_span_str(self, OM_ATTR_ERROR, code);
    if (why.size)
        self->why = put_text(self, why.data, why.size);
}

// ---- contexts

// A trace's last 56 bits are random, and as good a die as any; W3C Trace Context 2.
bool
om_span_dice(const struct om_trace *trace)
{
    uint64_t random = 0;
    for (size_t i = 9; i < sizeof(trace->trace_id); i++)
        random = random << 8 | trace->trace_id[i];
    if (settings.sampler != OM_SAMPLE_RATIO)
        return settings.sampler == OM_SAMPLE_ALWAYS;
    return (double)random >= (1 - settings.ratio) * (double)(UINT64_C(1) << 56);
}

struct om_trace
om_span_root(void)
{
    struct om_trace trace = om_trace_start();
    trace.flags = (uint8_t)((trace.flags & ~1) | om_span_dice(&trace));
    return trace;
}

struct om_trace
om_span_continue(const struct om_trace *parent)
{
    struct om_trace trace = om_trace_child(parent);
    if (settings.ignore_parent)
        trace.flags = (uint8_t)((trace.flags & ~1) | om_span_dice(&trace));
    return trace;
}

void
om_span_enter(const struct om_trace *trace, struct om_str tracestate)
{
    current = *trace;
    current_state = tracestate;
}

void
om_span_leave(void)
{
    current = (struct om_trace){ 0 };
    current_state = (struct om_str){ 0 };
}

const struct om_trace *
om_span_current(struct om_str *tracestate)
{
    if (tracestate)
        *tracestate = current_state;
    return &current;
}

struct om_span_part
om_span_part_begin(void)
{
    struct om_span_part part = { .outer = current, .trace = current };
    if (!om_trace_is_none(&current) && atomic_load(&om_span_enabled))
        part.trace = current = om_trace_child(&current);
    part.start_us = om_span_now_us();
    return part;
}

struct om_span *
om_span_part_end(const struct om_span_part *part, const char *failed)
{
    current = part->outer;
    struct om_span *span = om_span_begin(&part->trace, part->outer.span_id,
                                         OM_SPAN_INTERNAL, part->start_us, failed);
    if (failed)
        om_span_fail(span, om_str(failed), (struct om_str){ 0 });
    return span;
}

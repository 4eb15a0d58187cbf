// span.h - what this process did as a part of traces, on its way to who shows it.
//
// A span is written once, when what it tells of has ended: nothing is held meanwhile, and
// one that nobody wants costs a comparison. om_span_begin() takes a place in a bounded
// queue, the setters fill it in, om_span_end() hands it over. Any thread may write,
// without a lock; the exporter alone takes. A span that finds no place is dropped and
// counted.
//
// Sampling: a trace is sampled or not where it starts, and whoever goes on with it keeps
// to that. A span that tells of an error is kept all the same: each process decides that
// for its own spans, so of an unsampled trace one sees what failed, not the whole.
#pragma once
#include <stdatomic.h>

#include "trace.h"

// The conventions that the names follow.
#define OM_SPAN_SCHEMA "https://opentelemetry.io/schemas/1.43.0"

enum om_span_kind { // as OTLP numbers them
    OM_SPAN_INTERNAL = 1,
    OM_SPAN_SERVER,
    OM_SPAN_CLIENT,
    OM_SPAN_PRODUCER,
    OM_SPAN_CONSUMER,
};

// clang-format off
//    symbol          name                                type
#define OM_SPAN_ATTRS(X)                                        \
    X(METHOD,         "http.request.method",              STR)  \
    X(PATH,           "url.path",                         STR)  \
    X(SCHEME,         "url.scheme",                       STR)  \
    X(ROUTE,          "http.route",                       STR)  \
    X(HTTP_STATUS,    "http.response.status_code",        INT)  \
    X(SERVER,         "server.address",                   STR)  \
    X(PORT,           "server.port",                      INT)  \
    X(CLIENT,         "client.address",                   STR)  \
    X(HTTP_VERSION,   "network.protocol.version",         STR)  \
    X(USER_AGENT,     "user_agent.original",              STR)  \
    X(ERROR,          "error.type",                       STR)  \
    X(SYSTEM,         "messaging.system",                 STR)  \
    X(OPERATION,      "messaging.operation.name",         STR)  \
    X(OPERATION_TYPE, "messaging.operation.type",         STR)  \
    X(DESTINATION,    "messaging.destination.name",       STR)  \
    X(MESSAGE,        "messaging.message.id",             STR)  \
    X(CONVERSATION,   "messaging.message.conversation_id",STR)  \
    X(BATCH,          "messaging.batch.message_count",    INT)  \
    X(REQUEST,        "omni.request.id",                  STR)  \
    X(TASK,           "omni.task.id",                     STR)  \
    X(TENANT,         "omni.tenant.id",                   STR)  \
    X(ATTEMPT,        "omni.attempt",                     INT)  \
    X(KIND,           "omni.kind",                        STR)  \
    X(NODE,           "omni.node",                        STR)  \
    X(MODEL,          "omni.model",                       STR)  \
    X(SCHEDULE,       "omni.schedule.id",                 STR)
// clang-format on

enum om_span_attr {
#define OM_SPAN_ATTR_ENUM(symbol, name, type) OM_ATTR_##symbol,
    OM_SPAN_ATTRS(OM_SPAN_ATTR_ENUM)
#undef OM_SPAN_ATTR_ENUM
        OM_ATTR_COUNT
};

enum { OM_SPAN_ATTRS_MAX = 14, OM_SPAN_TEXT = 400 };

// A text of a span, in its `text`.
struct om_span_text {
    uint16_t at, size;
};

// A span. Its size is fixed: what does not fit is cut, and attributes without a place are
// counted in `attrs_lost`.
struct om_span {
    int64_t start_us, end_us; // since 1970
    struct om_trace trace;    // its own ids
    uint8_t parent[8];        // all zero: none
    struct om_trace link;     // to another trace or span; none: no link
    uint8_t kind;             // enum om_span_kind
    uint8_t remote;           // the parent came from outside
    uint8_t failed;
    uint8_t attr_count, attrs_lost;
    uint16_t text_used;
    struct om_span_text name, state, why; // tracestate; of a failure
    struct {
        uint16_t key;              // enum om_span_attr
        struct om_span_text value; // 8 bytes of this machine for an integer
    } attrs[OM_SPAN_ATTRS_MAX];
    char text[OM_SPAN_TEXT];
};

struct om_span_info {
    const char *name;
    bool is_int;
};

extern const struct om_span_info om_span_infos[OM_ATTR_COUNT];

// ---- writing

extern atomic_bool om_span_enabled;

// Does anybody want a span of this trace?
static inline bool
om_span_wanted(const struct om_trace *trace, bool failed)
{
    return atomic_load_explicit(&om_span_enabled, memory_order_relaxed) &&
           ((trace->flags & 1) || failed) && !om_trace_is_none(trace);
}

// Begin the span whose ids are `trace`, from `start_us` until now; `parent` may be NULL.
// NULL: nobody wants it, or there is no place; the functions below take that.
struct om_span *om_span_begin(const struct om_trace *trace, const uint8_t parent[8],
                              enum om_span_kind kind, int64_t start_us, bool failed);

void om_span_name(struct om_span *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void om_span_str(struct om_span *self, enum om_span_attr key, struct om_str value);
void om_span_int(struct om_span *self, enum om_span_attr key, int64_t value);
void om_span_link(struct om_span *self, const struct om_trace *to);
void om_span_state(struct om_span *self, struct om_str tracestate);

// It failed: `code` is an error.type, `why` may be empty.
void om_span_fail(struct om_span *self, struct om_str code, struct om_str why);

// Hand it over.
void om_span_end(struct om_span *self);

// Microseconds since 1970 now; and those of a time of the mono clock.
int64_t om_span_now_us(void);
int64_t om_span_mono_us(int64_t mono_us);

// ---- contexts

// A new trace, sampled as the settings say; and what goes on with a context that came
// from outside: a child of it.
struct om_trace om_span_root(void);
bool om_span_dice(const struct om_trace *trace); // would a new trace of this id be?
struct om_trace om_span_continue(const struct om_trace *parent);

// The context of what this thread is doing, which messages sent meanwhile carry; none at
// first. `tracestate` is borrowed until the next call.
void om_span_enter(const struct om_trace *trace, struct om_str tracestate);
void om_span_leave(void);
const struct om_trace *om_span_current(struct om_str *tracestate);

// A part of what this thread is doing: begun with a child's context, which becomes the
// thread's, and written when it ends. `failed` may be NULL: it did not.
struct om_span_part {
    struct om_trace trace, outer;
    int64_t start_us;
};
struct om_span_part om_span_part_begin(void);
struct om_span *om_span_part_end(const struct om_span_part *part, const char *failed);

// ---- the exporter

enum om_sampler { OM_SAMPLE_NEVER, OM_SAMPLE_RATIO, OM_SAMPLE_ALWAYS };

struct om_span_conf {
    size_t queue; // spans; rounded up to a power of two
    size_t wake;  // after so many the exporter is woken
    enum om_sampler sampler;
    bool ignore_parent; // decide anew for what goes on with a trace
    double ratio;       // of OM_SAMPLE_RATIO
};

// Accept spans; false without memory. Returns in *wake_fd what is readable when many
// wait.
OM_MUST_CHECK bool om_span_open(const struct om_span_conf *conf, int *wake_fd);
void om_span_close(void); // when no thread writes any more

// Take the oldest; false: none waits.
bool om_span_take(struct om_span *out);

// Is it to be told of the next span, however few wait? It is about to wait for one. Else
// only of each that fills a batch.
void om_span_tell_next(bool tell);

// What became of them since om_span_open(); any thread.
struct om_span_counts {
    uint64_t written;  // had a place in the queue
    uint64_t dropped;  // had none
    uint64_t exported; // a collector took them
    uint64_t lost;     // no collector took them, or it refused them
};
struct om_span_counts om_span_counts(void);
void om_span_count(uint64_t exported, uint64_t lost); // the exporter's

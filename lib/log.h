// log.h - one line an event, to stderr: JSON, or logfmt on a terminal. Any thread.
//
// The message is constant text; what varies is a field. Libraries return results and do
// not log; a program's loop logs once.
#pragma once
#include "base.h"

enum om_log_level { OM_DEBUG, OM_INFO, OM_WARN, OM_ERROR };

struct om_log_field {
    const char *key; // NULL ends a list
    enum { OM_LOG_STR, OM_LOG_INT, OM_LOG_NUM } type;
    struct om_str str;
    int64_t integer;
    double number;
};

// clang-format off
#define LOG_S(key, text)  { key, OM_LOG_STR, om_str(text), 0, 0 }
#define LOG_STR(key, str) { key, OM_LOG_STR, str, 0, 0 }
#define LOG_I(key, value) { key, OM_LOG_INT, { 0 }, (int64_t)(value), 0 }
#define LOG_F(key, value) { key, OM_LOG_NUM, { 0 }, 0, value }
// clang-format on

// A place that logs. So that a fault which repeats itself drowns nothing, a place writes
// OM_LOG_SITE_MAX lines a second, its next line says how many were suppressed. Lines for
// debugging are not limited.
struct om_log_site {
    _Atomic int64_t second;
    _Atomic int written, suppressed;
};

enum { OM_LOG_SITE_MAX = 20 };

// om_log(OM_WARN, "cannot connect", LOG_S("endpoint", endpoint), LOG_I("attempt", n));
#define om_log(level, message, ...)                                                      \
    do {                                                                                 \
        static struct om_log_site om_log_here;                                           \
        om_log_write(&om_log_here, level, message,                                       \
                     (const struct om_log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } });  \
    } while (0)

// Say who logs. Before it, and without it, lines name no service. Reads OMNI_LOG_FORMAT
// (json, logfmt) and OMNI_LOG_LEVEL (debug, info, warn, error).
void om_log_init(const char *service);

// Ids in every further line of this thread, until changed; copied, "" or NULL for none.
void om_log_context(const char *trace_id, const char *request_id);

// Whether a place may write one more line, and how many it could not since its last.
bool om_log_may(struct om_log_site *site, int64_t now_ms, int *suppressed);

// Values beyond 1 KiB and lines beyond 4 KiB are cut and marked "cut"; control bytes and
// invalid UTF-8 are escaped; what log_mask.h finds is written as "[hidden]".
void om_log_write(struct om_log_site *site, enum om_log_level level, const char *message,
                  const struct om_log_field *fields);

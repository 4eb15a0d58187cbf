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

// om_log(OM_WARN, "cannot connect", LOG_S("endpoint", endpoint), LOG_I("attempt", n));
#define om_log(level, message, ...)                                                      \
    om_log_write(level, message,                                                         \
                 (const struct om_log_field[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })

// Say who logs. Before it, and without it, lines name no service. Reads OMNI_LOG_FORMAT
// (json, logfmt) and OMNI_LOG_LEVEL (debug, info, warn, error).
void om_log_init(const char *service);

// Ids in every further line of this thread, until changed; copied, "" or NULL for none.
void om_log_context(const char *trace_id, const char *request_id);

// Values beyond 1 KiB and lines beyond 4 KiB are cut and marked "cut"; control bytes and
// invalid UTF-8 are escaped.
void om_log_write(enum om_log_level level, const char *message,
                  const struct om_log_field *fields);

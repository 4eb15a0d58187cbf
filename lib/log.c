#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

enum { LINE_MAX_BYTES = 4096, VALUE_MAX_BYTES = 1024 };

static struct {
    const char *service;
    bool json;
    enum om_log_level level;
} config = { NULL, true, OM_INFO };

static _Thread_local char trace_id[40], request_id[48];

static const char *const level_names[] = { "debug", "info", "warn", "error" };

struct line {
    size_t size;
    char text[LINE_MAX_BYTES];
};

void
om_log_init(const char *service)
{
    config.service = service;
    const char *format = getenv("OMNI_LOG_FORMAT");
    config.json =
        format && *format ? strcmp(format, "logfmt") != 0 : !isatty(STDERR_FILENO);
    const char *level = getenv("OMNI_LOG_LEVEL");
    for (unsigned i = 0; level && i < OM_COUNT(level_names); i++)
        if (strcmp(level, level_names[i]) == 0)
            config.level = (enum om_log_level)i;
}

void
om_log_context(const char *trace, const char *request)
{
    snprintf(trace_id, sizeof(trace_id), "%s", trace ? trace : "");
    snprintf(request_id, sizeof(request_id), "%s", request ? request : "");
}

// Room is kept for what must end the line.
static void
put(struct line *line, const char *text, size_t size)
{
    size_t room = LINE_MAX_BYTES - 8 - line->size;
    size = size < room ? size : room;
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

// The length of the valid UTF-8 sequence at `at`, or 0.
static size_t
utf8_length(const unsigned char *at, size_t size)
{
    size_t length = at[0] < 0x80       ? 1
                    : at[0] >> 5 == 6  ? 2
                    : at[0] >> 4 == 14 ? 3
                    : at[0] >> 3 == 30 ? 4
                                       : 0;
    if (length == 0 || length > size || (length == 2 && at[0] < 0xc2))
        return 0;
    for (size_t i = 1; i < length; i++)
        if (at[i] >> 6 != 2)
            return 0;
    return length;
}

static void
put_quoted(struct line *line, struct om_str value)
{
    size_t size = value.size < VALUE_MAX_BYTES ? value.size : VALUE_MAX_BYTES;
    put(line, "\"", 1);
    for (size_t i = 0; i < size;) {
        const unsigned char *at = (const unsigned char *)value.data + i;
        size_t length = utf8_length(at, size - i);
        if (length == 0 || *at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f) {
            char escape[8];
            int n = *at == '"' || *at == '\\'
                        ? snprintf(escape, sizeof(escape), "\\%c", *at)
                        : snprintf(escape, sizeof(escape), "\\u%04x", *at);
            put(line, escape, (size_t)n);
            i++;
        } else {
            put(line, (const char *)at, length);
            i += length;
        }
    }
    put(line, "\"", 1);
}

static void
put_key(struct line *line, const char *key)
{
    if (config.json) {
        put(line, line->size > 1 ? ",\"" : "\"", line->size > 1 ? 2 : 1);
        put(line, key, strlen(key));
        put(line, "\":", 2);
    } else {
        put(line, " ", line->size > 0);
        put(line, key, strlen(key));
        put(line, "=", 1);
    }
}

static void
put_text(struct line *line, const char *key, const char *value)
{
    if (value && *value) {
        put_key(line, key);
        put_quoted(line, om_str(value));
    }
}

static void
put_field(struct line *line, const struct om_log_field *field)
{
    char number[32];
    put_key(line, field->key);
    if (field->type == OM_LOG_STR) {
        put_quoted(line, field->str);
        return;
    }
    int n = field->type == OM_LOG_INT
                ? snprintf(number, sizeof(number), "%lld", (long long)field->integer)
                : snprintf(number, sizeof(number), "%.9g",
                           isfinite(field->number) ? field->number : 0.0);
    put(line, number, (size_t)n);
}

void
om_log_write(enum om_log_level level, const char *message,
             const struct om_log_field *fields)
{
    if (level < config.level)
        return;
    struct line line;
    line.size = 0;
    char now[OM_CLOCK_TEXT_MAX];
    om_clock_format(om_clock_wall_ms(), now);
    if (config.json)
        put(&line, "{", 1);
    put_text(&line, "ts", now);
    put_text(&line, "level", level_names[level]);
    put_text(&line, "service", config.service);
    put_text(&line, "msg", message);
    put_text(&line, "trace_id", trace_id);
    put_text(&line, "request_id", request_id);
    for (; fields->key; fields++)
        put_field(&line, fields);
    memcpy(line.text + line.size, config.json ? "}\n" : "\n", 2);
    line.size += config.json ? 2 : 1;
    // One write a line, so that lines of several processes do not mix. A log that cannot
    // be written has nobody to tell.
    ssize_t ignored = write(STDERR_FILENO, line.text, line.size);
    (void)ignored;
}

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "log_mask.h"
#include "metrics.h"
#include "utf8.h"

#define HIDDEN "[hidden]"

enum { LINE_MAX_BYTES = 4096, VALUE_MAX_BYTES = 1024 };

static struct {
    const char *service;
    bool json;
    enum om_log_level level;
} config = { NULL, true, OM_INFO };

static _Thread_local char trace_id[40], request_id[48];

static const char *const level_names[] = { "debug", "info", "warn", "error" };

// The end of a line is kept free for what closes it: a quote, the mark of a cut, a brace.
enum { END_BYTES = 16 };

static uint32_t line_cells[OM_COUNT(level_names)], suppressed_cell, lost_cell;

struct line {
    size_t size;
    bool cut;
    char text[LINE_MAX_BYTES];
};

static bool
has_room(struct line *line, size_t size)
{
    bool room = line->size + size <= LINE_MAX_BYTES - END_BYTES;
    line->cut |= !room;
    return room;
}

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
    for (unsigned i = 0; i < OM_COUNT(level_names); i++)
        line_cells[i] = om_metric_cell(M_omni_log_lines_total, om_str(level_names[i]));
    suppressed_cell =
        om_metric_cell(M_omni_log_lines_dropped_total, OM_LIT("suppressed"));
    lost_cell = om_metric_cell(M_omni_log_lines_dropped_total, OM_LIT("lost"));
}

void
om_log_context(const char *trace, const char *request)
{
    snprintf(trace_id, sizeof(trace_id), "%s", trace ? trace : "");
    snprintf(request_id, sizeof(request_id), "%s", request ? request : "");
}

static void
put(struct line *line, const char *text, size_t size)
{
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void
put_quoted(struct line *line, struct om_str value)
{
    size_t size = value.size < VALUE_MAX_BYTES ? value.size : VALUE_MAX_BYTES;
    line->cut |= size < value.size;
    put(line, "\"", 1);
    for (size_t i = 0; i < size;) {
        const char *at = value.data + i;
        size_t hidden = om_log_hidden(value, i);
        if (hidden) {
            if (!has_room(line, strlen(HIDDEN)))
                break;
            put(line, HIDDEN, strlen(HIDDEN));
            i += hidden;
            continue;
        }
        unsigned char first = (unsigned char)*at;
        size_t length = om_utf8_size(at, value.size - i);
        char escape[8] = "";
        if (first == '"' || first == '\\')
            snprintf(escape, sizeof(escape), "\\%c", first);
        else if (length == 0 || first < 0x20 || first == 0x7f)
            snprintf(escape, sizeof(escape), "\\u%04x", first);
        size_t shown = *escape ? strlen(escape) : length;
        if (!has_room(line, shown))
            break;
        put(line, *escape ? escape : at, shown);
        i += *escape ? 1 : length;
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
    if (value && *value && has_room(line, strlen(key) + 8)) {
        put_key(line, key);
        put_quoted(line, om_str(value));
    }
}

static void
put_field(struct line *line, const struct om_log_field *field)
{
    char number[32];
    if (!has_room(line, strlen(field->key) + 8 + sizeof(number)))
        return;
    put_key(line, field->key);
    if (field->type == OM_LOG_STR) {
        put_quoted(line, om_log_hides_field(field->key) ? OM_LIT(HIDDEN) : field->str);
        return;
    }
    int n = field->type == OM_LOG_INT
                ? snprintf(number, sizeof(number), "%lld", (long long)field->integer)
                : snprintf(number, sizeof(number), "%.9g",
                           isfinite(field->number) ? field->number : 0.0);
    put(line, number, (size_t)n);
}

bool
om_log_may(struct om_log_site *site, int64_t now_ms, int *suppressed)
{
    int64_t now = now_ms / 1000, second = atomic_load(&site->second);
    if (second != now && atomic_compare_exchange_strong(&site->second, &second, now))
        atomic_store(&site->written, 0);
    *suppressed = 0;
    if (atomic_fetch_add(&site->written, 1) >= OM_LOG_SITE_MAX) {
        atomic_fetch_add(&site->suppressed, 1);
        return false;
    }
    *suppressed = atomic_exchange(&site->suppressed, 0);
    return true;
}

void
om_log_write(struct om_log_site *site, enum om_log_level level, const char *message,
             const struct om_log_field *fields)
{
    int suppressed = 0;
    if (level < config.level)
        return;
    if (level > OM_DEBUG && !om_log_may(site, om_clock_mono_ms(), &suppressed)) {
        om_metric_add(suppressed_cell, 1);
        return;
    }
    struct line line;
    line.size = 0;
    line.cut = false;
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
    const struct om_log_field others = LOG_I("suppressed", suppressed);
    if (suppressed)
        put_field(&line, &others);
    for (; fields->key; fields++)
        put_field(&line, fields);
    if (line.cut)
        put(&line, config.json ? ",\"cut\":true" : " cut=true", config.json ? 11 : 9);
    put(&line, config.json ? "}\n" : "\n", config.json ? 2 : 1);
    // One write a line, so that lines of several processes do not mix. A log that cannot
    // be written has nobody to tell but the metrics.
    om_metric_add(line_cells[level], 1);
    if (write(STDERR_FILENO, line.text, line.size) != (ssize_t)line.size)
        om_metric_add(lost_cell, 1);
}

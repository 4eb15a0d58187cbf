#include "status_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"

enum {
    DAYS = 90,
    DAY_S = 86400,
};

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
    "<meta http-equiv=\"refresh\" content=\"30\"><title>Omni status</title><style>"
    ":root{color-scheme:light dark;--good:#2da44e;--part:#bf8700;--bad:#cf222e}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
    "padding:0 1rem}"
    "h1{font-size:1.25rem;margin:0;padding:.8rem 1rem;border-radius:.5rem;color:#fff;"
    "background:#57606a}"
    "h1.operational{background:#1a7f37}h1.degraded{background:#9a6700}"
    "h1.outage{background:var(--bad)}h2{font-size:1.05rem;margin:2rem 0 .5rem}"
    "section{border:1px solid #8883;border-radius:.5rem;margin:.6rem 0;padding:.6rem "
    ".8rem}"
    ".row{display:flex;justify-content:space-between;gap:1rem;margin-bottom:.3rem}"
    ".days{display:flex;gap:1px;height:1.5rem}"
    ".days i{flex:1;border-radius:1px;background:#8883}.days "
    "i.good{background:var(--good)}"
    ".days i.part{background:var(--part)}.days i.bad{background:var(--bad)}"
    ".down,.no{color:var(--bad);font-weight:600}small,.ends{color:#808890}"
    ".ends{display:flex;justify-content:space-between;font-size:.8rem}"
    ".wide{overflow-x:auto}table{width:100%;border-collapse:collapse}"
    "td,th{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #8883;"
    "vertical-align:top;font-variant-numeric:tabular-nums}"
    "td+td,th+th{white-space:nowrap}</style></head><body>";

// What the page says of each state.
static const struct {
    const char *state, *headline;
} headlines[] = {
    { "operational", "All systems operational" },
    { "degraded", "Some systems are down" },
    { "outage", "Outage: requests are not served" },
    { "unknown", "Unknown: nothing was looked at lately" },
};

static void
put_text(struct om_buf *out, struct om_str text)
{
    static const char *const escapes[128] = {
        ['<'] = "&lt;", ['>'] = "&gt;", ['&'] = "&amp;", ['"'] = "&quot;"
    };
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        const char *escape = c < OM_COUNT(escapes) ? escapes[c] : NULL;
        if (escape)
            om_json_put(out, escape);
        else
            om_buf_put(out, text.data + i, 1);
    }
}

static void __attribute__((format(printf, 2, 3)))
put_format(struct om_buf *out, const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    om_json_put(out, text);
}

static void
format_time(char text[32], int64_t seconds)
{
    time_t at = (time_t)seconds;
    struct tm parts = { 0 };
    gmtime_r(&at, &parts);
    strftime(text, 32, "%Y-%m-%d %H:%M UTC", &parts);
}

static void
put_time(struct om_buf *out, int64_t seconds)
{
    char text[32];
    format_time(text, seconds);
    om_json_put(out, text);
}

// One mark for each of the 90 days until `today`; those that nobody looked at are grey.
static void
put_days(struct om_buf *out, struct om_str days, int64_t today)
{
    struct rec_iter iter = rec_iter(days);
    struct status_day day;
    struct om_str raw;
    bool more = rec_next_rec(&iter, &status_day_rec, &day, &raw);
    om_json_put(out, "<div class=\"days\">");
    for (int i = DAYS - 1; i >= 0; i--) {
        char date[32];
        format_time(date, today - (int64_t)i * DAY_S);
        date[10] = 0;
        while (more && memcmp(day.day.data, date, 10) < 0)
            more = rec_next_rec(&iter, &status_day_rec, &day, &raw);
        if (!more || memcmp(day.day.data, date, 10) != 0) {
            om_json_put(out, "<i></i>");
            continue;
        }
        put_format(out, "<i class=\"%s\" title=\"%s: %.2f %%\"></i>",
                   day.uptime >= 0.999  ? "good"
                   : day.uptime >= 0.95 ? "part"
                                        : "bad",
                   date, 100 * day.uptime);
    }
    om_json_put(out, "</div>");
}

static void
put_status_component(struct om_buf *out, const struct status_component *item,
                     int64_t today)
{
    om_json_put(out, "<section><div class=\"row\"><b>");
    put_text(out, item->name);
    put_format(out, "</b><span>%.2f %% · <span class=\"", 100 * item->uptime);
    put_text(out, item->state);
    om_json_put(out, "\">");
    put_text(out, item->state);
    om_json_put(out, "</span></span></div>");
    put_days(out, item->days, today);
    om_json_put(out, "</section>");
}

static void
put_status_objective(struct om_buf *out, const struct status_objective *item)
{
    om_json_put(out, "<tr><td>");
    put_text(out, item->doc);
    om_json_put(out, "<br><small>");
    put_text(out, item->name);
    put_format(out, "</small></td><td>%.4g %%</td>", 100 * item->target);
    struct rec_iter windows = rec_iter(item->windows);
    struct status_window window;
    struct om_str raw;
    while (rec_next_rec(&windows, &status_window_rec, &window, &raw))
        put_format(out, "<td%s>%.3f %%</td>",
                   window.good < item->target ? " class=\"no\"" : "", 100 * window.good);
    put_format(out, "<td%s>%.0f %%</td></tr>",
               item->budget_left < 0 ? " class=\"no\"" : "", 100 * item->budget_left);
}

static void
put_status_incident(struct om_buf *out, const struct status_incident *item)
{
    om_json_put(out, "<tr><td>");
    put_text(out, item->component);
    om_json_put(out, "</td><td>");
    put_time(out, item->began_at);
    om_json_put(out, "</td><td>");
    if (REC_HAS(item, status_incident, ended_at))
        put_time(out, item->ended_at);
    else
        om_json_put(out, "<span class=\"no\">not over</span>");
    om_json_put(out, "</td></tr>");
}

// Write each of a list of records.
#define PUT_EACH(out, list, NAME, ...)                                                   \
    do {                                                                                 \
        struct rec_iter iter = rec_iter(list);                                           \
        struct om_str raw;                                                               \
        struct NAME item;                                                                \
        while (rec_next_rec(&iter, &NAME##_rec, &item, &raw))                            \
            put_##NAME(out, &item __VA_OPT__(, ) __VA_ARGS__);                           \
    } while (0)

void
status_page_put(struct om_buf *out, const struct status_get_reply *status)
{
    const char *headline = NULL;
    for (size_t i = 0; i < OM_COUNT(headlines); i++)
        if (om_str_eq(status->state, om_str(headlines[i].state)))
            headline = headlines[i].headline;
    om_json_put(out, head);
    om_json_put(out, "<h1 class=\"");
    put_text(out, status->state);
    om_json_put(out, "\">");
    put_text(out, headline ? om_str(headline) : status->state);
    om_json_put(out, "</h1><p><small>looked at every 15 s, last at ");
    put_time(out, status->updated_at);
    om_json_put(out, "</small></p><h2>Components</h2>");
    PUT_EACH(out, status->components, status_component, status->updated_at);
    put_format(out,
               "<div class=\"ends\"><span>%d days ago</span><span>grey: not looked at"
               "</span><span>today</span></div>",
               DAYS - 1);
    om_json_put(out, "<h2>Objectives</h2><div class=\"wide\"><table><tr><th>good is</th>"
                     "<th>target</th><th>1 h</th><th>24 h</th><th>30 d</th>"
                     "<th>budget left</th></tr>");
    PUT_EACH(out, status->objectives, status_objective);
    om_json_put(out, "</table></div><h2>Incidents of the last 90 days</h2>");
    if (rec_iter(status->incidents).left == 0) {
        om_json_put(out, "<p>None.</p></body></html>\n");
        return;
    }
    om_json_put(out, "<div class=\"wide\"><table><tr><th>component</th><th>down from</th>"
                     "<th>until</th></tr>");
    PUT_EACH(out, status->incidents, status_incident);
    om_json_put(out, "</table></div></body></html>\n");
}

// How the platform does, for anybody: JSON, or a page for a browser that needs nothing
// but itself.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "exchange.h"
#include "json.h"

enum { SCHEDULER_MS = 5000 };

// ---- the page

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
    "<meta http-equiv=\"refresh\" content=\"30\"><title>Status</title><style>"
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 "
    "1rem}"
    "h1{font-size:1.4rem;padding:.7rem "
    "1rem;border-radius:.4rem;color:#fff;background:#555}"
    "h1.operational{background:#1a7f37}h1.degraded{background:#9a6700}"
    "h1.outage{background:#cf222e}"
    "section{margin:1.2rem 0}.row{display:flex;justify-content:space-between;gap:1rem}"
    ".days{display:flex;gap:1px;height:1.6rem}"
    ".days i{flex:1;background:#1a7f37}.days i.part{background:#9a6700}"
    ".days i.bad{background:#cf222e}"
    "table{width:100%;border-collapse:collapse}td,th{text-align:left;padding:.3rem .3rem "
    ".3rem 0;border-bottom:1px solid #8884;vertical-align:top}"
    "small{color:#777}.no{color:#cf222e}</style></head><body>";

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
put_time(struct om_buf *out, int64_t seconds)
{
    char text[32];
    time_t at = (time_t)seconds;
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &parts);
    om_json_put(out, text);
}

static void
put_component(struct om_buf *out, const struct status_component *item)
{
    om_json_put(out, "<section><div class=\"row\"><b>");
    put_text(out, item->name);
    om_json_put(out, "</b><span>");
    put_text(out, item->state);
    put_format(out, ", %.2f %%</span></div><div class=\"days\">", 100 * item->uptime);
    struct rec_iter days = rec_iter(item->days);
    struct status_day day;
    for (struct om_str raw; rec_next_raw(&days, &raw);) {
        if (rec_decode(&status_day_rec, raw, &day, NULL))
            continue;
        om_json_put(out, day.uptime >= 0.999  ? "<i title=\""
                         : day.uptime >= 0.95 ? "<i class=\"part\" title=\""
                                              : "<i class=\"bad\" title=\"");
        put_text(out, day.day);
        put_format(out, ": %.2f %%\"></i>", 100 * day.uptime);
    }
    om_json_put(out, "</div></section>");
}

static void
put_objective(struct om_buf *out, const struct status_objective *item)
{
    om_json_put(out, "<tr><td>");
    put_text(out, item->name);
    om_json_put(out, "<br><small>");
    put_text(out, item->doc);
    put_format(out, "</small></td><td>%.4g %%</td>", 100 * item->target);
    struct rec_iter windows = rec_iter(item->windows);
    struct status_window window;
    for (struct om_str raw; rec_next_raw(&windows, &raw);)
        if (rec_decode(&status_window_rec, raw, &window, NULL) == OM_OK)
            put_format(out, "<td%s>%.3f %%</td>",
                       window.good < item->target ? " class=\"no\"" : "",
                       100 * window.good);
    put_format(out, "<td%s>%.0f %%</td></tr>",
               item->budget_left < 0 ? " class=\"no\"" : "", 100 * item->budget_left);
}

static void
put_incident(struct om_buf *out, const struct status_incident *item)
{
    om_json_put(out, "<tr><td>");
    put_text(out, item->component);
    om_json_put(out, "</td><td>");
    put_time(out, item->began_at);
    om_json_put(out, "</td><td>");
    if (REC_HAS(item, status_incident, ended_at))
        put_time(out, item->ended_at);
    else
        om_json_put(out, "<b class=\"no\">goes on</b>");
    om_json_put(out, "</td></tr>");
}

// Write each of a list of records.
#define PUT_EACH(out, list, NAME, put)                                                   \
    do {                                                                                 \
        struct rec_iter iter = rec_iter(list);                                           \
        struct NAME item;                                                                \
        for (struct om_str raw; rec_next_raw(&iter, &raw);)                              \
            if (rec_decode(&NAME##_rec, raw, &item, NULL) == OM_OK)                      \
                put(out, &item);                                                         \
    } while (0)

static void
put_page(struct om_buf *out, const struct status_get_reply *status)
{
    om_json_put(out, head);
    om_json_put(out, "<h1 class=\"");
    put_text(out, status->state);
    om_json_put(out, "\">");
    put_text(out, status->state);
    om_json_put(out, "</h1><p><small>last looked at ");
    put_time(out, status->updated_at);
    om_json_put(out, "; a bar is a day</small></p>");
    PUT_EACH(out, status->components, status_component, put_component);
    om_json_put(out, "<h2>Objectives</h2><table><tr><th></th><th>target</th><th>1 h</th>"
                     "<th>24 h</th><th>30 d</th><th>budget left</th></tr>");
    PUT_EACH(out, status->objectives, status_objective, put_objective);
    om_json_put(out, "</table><h2>Incidents of 90 days</h2><table><tr><th>not ready</th>"
                     "<th>from</th><th>until</th></tr>");
    PUT_EACH(out, status->incidents, status_incident, put_incident);
    om_json_put(out, "</table></body></html>\n");
}

// ---- the answer

static void
on_status(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct status_get_reply status;
    if (!exchange_answered(x, answer))
        return;
    if (rec_decode(&status_get_reply_rec, answer->payload, &status, NULL)) {
        exchange_fail(x, OM_EINTERNAL, NULL, "the scheduler's answer is malformed");
        return;
    }
    struct om_http_response response = { .status = 200 };
    om_http_response_field(&response, "cache-control", OM_LIT("public, max-age=5"));
    om_http_response_field(&response, "vary", OM_LIT("accept"));
    const struct om_http_request *request = exchange_request(x);
    struct om_str accept =
        request ? om_http_field(request, "accept") : (struct om_str){ 0 };
    if (accept.size == 0 || !memmem(accept.data, accept.size, "text/html", 9)) {
        om_json_put_record(&x->edge->out, &status_get_reply_rec, &status);
        exchange_reply_json(x, &response);
        return;
    }
    om_http_response_field(&response, "content-security-policy",
                           OM_LIT("default-src 'none'; style-src 'unsafe-inline'"));
    om_buf_reset(&x->edge->out);
    put_page(&x->edge->out, &status);
    response.content_type = OM_LIT("text/html; charset=utf-8");
    response.body = om_buf_str(&x->edge->out);
    exchange_reply(x, &response);
}

void
show_status(struct exchange *x)
{
    const struct status_get_request nothing = { 0 };
    exchange_call(x, OP_status_get, false, &nothing, SCHEDULER_MS, on_status);
}

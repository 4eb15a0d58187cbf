// How the platform does, for anybody: JSON, or a page for a browser.
#include "clock.h"
#include "exchange.h"
#include "json.h"
#include "status_page.h"

enum {
    SCHEDULER_MS = 5000,
    KEPT_MS = 1000, // no key is needed: nobody can have the scheduler asked more often
};

static void
reply_status(struct exchange *x, struct om_str bytes)
{
    struct status_get_reply status;
    if (rec_decode(&status_get_reply_rec, bytes, &status, NULL)) {
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
    status_page_put(&x->edge->out, &status);
    response.content_type = OM_LIT("text/html; charset=utf-8");
    response.body = om_buf_str(&x->edge->out);
    exchange_reply(x, &response);
}

static void
on_status(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct om_buf *kept = &x->edge->status;
    if (!exchange_answered(x, answer))
        return;
    om_buf_reset(kept);
    om_buf_put(kept, answer->payload.data, answer->payload.size);
    x->edge->status_ms = om_clock_mono_ms();
    if (kept->failed)
        om_buf_finish(kept);
    reply_status(x, answer->payload);
}

void
show_status(struct exchange *x)
{
    const struct status_get_request nothing = { 0 };
    const struct edge *edge = x->edge;
    if (edge->status.size && om_clock_mono_ms() - edge->status_ms < KEPT_MS)
        reply_status(x, om_buf_str(&edge->status));
    else
        exchange_call(x, OP_status_get, false, &nothing, SCHEDULER_MS, on_status);
}

// GET /metrics: this edge's page of metrics, and what the broker tells of its queues.
#include "metrics.h"
#include "exchange.h"
#include "queue_stats.h"

enum { QUEUES_MS = 2000 }; // for the broker to tell of them

static void
put_queues(void *context, struct om_scrape *scrape)
{
    const struct om_answer *answer = context;
    if (answer->rc == OM_OK)
        queue_stats(scrape, answer->payload);
}

// Without the broker there is the edge's own part still.
static void
on_queues(void *context, const struct om_answer *answer)
{
    struct exchange *x = context;
    struct om_answer copy = *answer;
    const struct om_http_request *request = exchange_request(x);
    x->pending = 0;
    enum om_metric_format format = om_metrics_accepted(
        request ? om_http_field(request, "accept") : (struct om_str){ 0 });
    om_metrics_write(&x->edge->out, format, put_queues, &copy);
    struct om_http_response response = { .status = 200,
                                         .content_type = om_metrics_media_type(format),
                                         .body = om_buf_str(&x->edge->out) };
    exchange_reply(x, &response);
}

void
show_metrics(struct exchange *x)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, action, OM_LIT("list"));
    exchange_send(x, WIRE_QUEUE, &msg, (struct om_str){ 0 }, QUEUES_MS, on_queues);
}

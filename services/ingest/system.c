// What anyone may ask of the edge itself.
#include <stdio.h>

#include "exchange.h"
#include "json.h"

void
show_health(struct exchange *x)
{
    om_json_put(&x->edge->out, "{\"status\":\"ok\"}");
    struct om_http_response response = { .status = 200 };
    exchange_reply_json(x, &response);
}

void
show_ready(struct exchange *x)
{
    struct edge *edge = x->edge;
    if (!om_link_is_open(om_client_link(edge->client))) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no session with the broker");
        return;
    }
    if (!edge_ready(edge)) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "identity has not answered lately");
        return;
    }
    om_json_put(&edge->out, "{\"status\":\"ready\"}");
    struct om_http_response response = { .status = 200 };
    exchange_reply_json(x, &response);
}

void
show_openapi(struct exchange *x)
{
    struct om_http_response response = { .status = 200,
                                         .content_type = OM_LIT("application/json"),
                                         .body = om_buf_str(&x->edge->ingest->openapi) };
    exchange_reply(x, &response);
}

void
show_metrics(struct exchange *x)
{
    struct om_buf *out = &x->edge->out;
    struct ingest *ingest = x->edge->ingest;
    om_json_put(out, "# HELP omni_http_requests_total Requests answered.\n"
                     "# TYPE omni_http_requests_total counter\n");
    for (size_t row = 0; row < INGEST_ROUTES_MAX; row++)
        for (size_t class = 1; class < STATUS_CLASSES; class ++) {
            char line[256];
            uint64_t count = atomic_load(&ingest->answered[row][class]);
            bool known = row < route_count;
            if (count == 0)
                continue;
            int size = snprintf(line, sizeof(line),
                                "omni_http_requests_total{method=\"%s\",route=\"%s\","
                                "code=\"%zuxx\"} %llu\n",
                                known ? om_http_method_name(routes[row].method) : "",
                                known ? routes[row].pattern : "none", class,
                                (unsigned long long)count);
            om_buf_put(out, line, (size_t)size);
        }
    struct om_http_response response = { .status = 200,
                                         .content_type =
                                             OM_LIT("text/plain; version=0.0.4"),
                                         .body = om_buf_str(out) };
    exchange_reply(x, &response);
}

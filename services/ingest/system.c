// What anyone may ask of the edge itself.
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

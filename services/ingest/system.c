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
    // Without what edges share there are this edge's own limits.
    static const char *const caches[] = {
        [SHARE_NONE] = "memory", [SHARE_UP] = "up", [SHARE_DOWN] = "down"
    };
    om_json_put(&edge->out, "{\"status\":\"ready\",\"cache\":");
    om_json_put_str(&edge->out, om_str(caches[share_state(edge->ingest)]));
    om_json_put(&edge->out, "}");
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

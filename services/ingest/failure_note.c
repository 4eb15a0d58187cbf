#include "failure_note.h"

#include <stdio.h>

#include "clock.h"

void
failure_note(struct exchange *x, int status)
{
    const struct route *route = x->route;
    struct error_event error = { 0 };
    char where[160], trace_id[33];
    if (status < 500 || !x->authenticated || !route || route->auth != AUTH_KEY)
        return;
    snprintf(where, sizeof(where), "%s %s", om_http_method_name(route->method),
             route->pattern);
    om_trace_id_text(&x->trace, trace_id);
    REC_SET(&error, error_event, source, OM_LIT(ERROR_SOURCE_HTTP));
    REC_SET(&error, error_event, route, om_str(where));
    REC_SET(&error, error_event, code, om_str(x->code ? x->code : "failed"));
    REC_SET(&error, error_event, text, om_str(x->failure ? x->failure : ""));
    REC_SET(&error, error_event, trace_id, om_str(trace_id));
    REC_SET(&error, error_event, request_id, om_str(x->id_text));
    if (route->op < OP_COUNT)
        REC_SET(&error, error_event, queue, om_str(queues[ops[route->op].queue].name));
    if (route->flags & ROUTE_MODEL && x->params[0].size > 0 && x->params[0].size <= 64)
        REC_SET(&error, error_event, model, x->params[0]);
    failures_add(&x->edge->failures, x->caller.tenant_text,
                 om_uuid_shard(&x->caller.tenant), &error, om_clock_wall_ms());
}

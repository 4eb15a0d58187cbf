#include "cors_reply.h"

static enum cors_answer
decide(struct exchange *x, struct om_str *origin)
{
    const struct om_http_request *request = exchange_request(x);
    const struct cors *cors = &x->edge->ingest->cors;
    if ((cors->count == 0 && !cors->by_tenant) || !request)
        return CORS_SILENT;
    const struct policy *policy = x->caller.policy;
    *origin = om_http_field(request, "origin");
    struct cors_facts facts = {
        .cors = cors,
        .origin = *origin,
        .host = om_http_field(request, "host"),
        .known = policy != NULL,
        .origins = policy ? policy->origins : NULL,
        .count = policy ? policy->origin_count : 0,
    };
    return cors_decide(&facts);
}

bool
cors_preflight(struct exchange *x, const char *allow)
{
    const struct om_http_request *request = exchange_request(x);
    struct om_str origin;
    if (request->method != OM_HTTP_OPTIONS ||
        !om_http_field(request, "access-control-request-method").data ||
        decide(x, &origin) != CORS_ALLOWED)
        return false;
    struct om_http_response response = { .status = 204 };
    om_http_response_field(&response, "access-control-allow-methods", om_str(allow));
    om_http_response_field(&response, "access-control-allow-headers",
                           OM_LIT("authorization, content-type, idempotency-key, "
                                  "if-match, if-none-match, last-event-id, "
                                  "omni-version, prefer, traceparent, x-request-id"));
    om_http_response_field(&response, "access-control-max-age", OM_LIT("600"));
    exchange_reply(x, &response);
    return true;
}

bool
cors_admit(struct exchange *x)
{
    struct om_str origin;
    if (decide(x, &origin) != CORS_REFUSED)
        return true;
    exchange_fail(x, OM_EFORBIDDEN, NULL,
                  "web pages of this origin may not use this API key");
    return false;
}

void
cors_fields(struct exchange *x, struct om_http_response *response)
{
    struct om_str origin;
    enum cors_answer answer = decide(x, &origin);
    if (answer == CORS_SILENT)
        return;
    om_http_response_field(response, "vary", OM_LIT("Origin"));
    if (answer != CORS_ALLOWED)
        return;
    om_http_response_field(response, "access-control-allow-origin", origin);
    om_http_response_field(
        response, "access-control-expose-headers",
        OM_LIT("x-request-id, omni-request-id, location, retry-after, ratelimit, "
               "ratelimit-policy, idempotent-replayed, etag, age, "
               "omni-version, "
               "x-cache, x-cache-key, preference-applied"));
}

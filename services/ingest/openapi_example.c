// Examples of requests in the OpenAPI document, where a schema does not say enough.
#include "openapi_part.h"

static const struct {
    enum om_http_method method;
    const char *pattern, *json;
} examples[] = {
    { OM_HTTP_POST, "/api/v1/train/custom-model",
      "{\"model\":\"revenue-lstm\",\"training_file\":\"file_01h455vb4pex5vsknk084sn02q\","
      "\"target\":\"revenue\",\"horizon\":12}" },
    { OM_HTTP_POST, "/api/v1/predict/{model}",
      "{\"time_series\":[112,118,132,129,121,135,148,148,136,119,104,118,115,126,141,135,"
      "125,149,170,170,158,133,114,140],\"forecast_steps\":3}" },
    { OM_HTTP_POST, "/api/v1/cache/purge", "{\"model\":\"seasonal-naive\"}" },
    { OM_HTTP_POST, "/api/v1/admin/tenants/{id}/cache/purge", "{}" },
    { OM_HTTP_POST, "/api/v1/tasks",
      "{\"queue\":\"mail\",\"kind\":\"send\",\"payload\":{\"to\":\"a@example.com\"}}" },
    { OM_HTTP_POST, "/api/v1/tasks/batch",
      "{\"jobs\":[{\"queue\":\"mail\",\"kind\":\"send\"},{\"queue\":\"mail\","
      "\"kind\":\"send\",\"priority\":9}],\"atomic\":true}" },
    { OM_HTTP_POST, "/api/v1/tasks/retry",
      "{\"queue\":\"mail\",\"code\":\"timeout\",\"limit\":100}" },
    { OM_HTTP_POST, "/api/v1/workflows",
      "{\"tasks\":[{\"name\":\"fetch\",\"queue\":\"data\",\"kind\":\"fetch\"},"
      "{\"name\":\"report\",\"after\":[\"fetch\"],\"queue\":\"data\",\"kind\":\"report\"}"
      "]}" },
    { OM_HTTP_PUT, "/api/v1/queues/{queue}",
      "{\"concurrency\":4,\"rate\":100,\"rate_ms\":60000}" },
    { OM_HTTP_PUT, "/api/v1/limits/{key}", "{\"concurrency\":1}" },
    { OM_HTTP_PUT, "/api/v1/admin/tenants/{id}/limits",
      "{\"weight\":2,\"concurrency\":50}" },
    { OM_HTTP_POST, "/api/v1/schedules",
      "{\"cron\":\"0 3 * * *\",\"queue\":\"data\",\"kind\":\"report\","
      "\"misfire\":\"latest\"}" },
    { OM_HTTP_PUT, "/api/v1/admin/plans/{code}",
      "{\"name\":\"Team\",\"requests\":600,\"quotas\":[{\"policy\":\"ml_inference_day\","
      "\"limit\":10000}]}" },
    { OM_HTTP_PUT, "/api/v1/admin/tenants/{id}/quotas/{policy}", "{\"limit\":50000}" },
    { OM_HTTP_POST, "/developer/keys",
      "{\"name\":\"nightly report\",\"scopes\":[\"predict\",\"tasks:read\"],"
      "\"cidrs\":[\"192.0.2.0/24\"]}" },
    { OM_HTTP_POST, "/developer/keys/{id}/rotate", "{\"overlap_s\":3600}" },
    { OM_HTTP_PATCH, "/api/v1/tenants/me", "{\"name\":\"Example Ltd\"}" },
    { OM_HTTP_PUT, "/api/v1/tenants/me/config", "{\"settings\":{}}" },
    { OM_HTTP_POST, "/api/v1/admin/tenants",
      "{\"name\":\"Example Ltd\",\"slug\":\"example\",\"plan\":\"free\"}" },
    { OM_HTTP_PATCH, "/api/v1/admin/tenants/{id}", "{\"state\":\"suspended\"}" },
    { OM_HTTP_POST, "/api/v1/admin/users",
      "{\"email\":\"ada@example.com\",\"name\":\"Ada\",\"roles\":[\"developer\"]}" },
    { OM_HTTP_PATCH, "/api/v1/admin/users/{id}", "{\"state\":\"suspended\"}" },
    { OM_HTTP_POST, "/api/v1/admin/roles",
      "{\"name\":\"forecaster\",\"permissions\":[{\"permission\":\"predict\"},"
      "{\"permission\":\"files:*\"}]}" },
    { OM_HTTP_PUT, "/api/v1/admin/roles/{id}",
      "{\"permissions\":[{\"permission\":\"predict\"}]}" },
    { OM_HTTP_POST, "/api/v1/admin/bindings",
      "{\"user\":\"user_01h455vb4pex5vsknk084sn02q\",\"role\":\"developer\"}" },
    { OM_HTTP_POST, "/api/v1/admin/teams", "{\"name\":\"Finance\",\"requests\":120}" },
    { OM_HTTP_PATCH, "/api/v1/admin/teams/{id}", "{\"concurrent\":4}" },
};

const size_t openapi_example_count = OM_COUNT(examples);

const char *
openapi_example(const struct route *route)
{
    for (size_t i = 0; i < OM_COUNT(examples); i++)
        if (examples[i].method == route->method &&
            strcmp(examples[i].pattern, route->pattern) == 0)
            return examples[i].json;
    return NULL;
}

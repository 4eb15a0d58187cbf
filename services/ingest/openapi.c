#include "openapi.h"

#include <ctype.h>
#include <stdio.h>

#include "openapi_part.h"

enum { TAGS_MAX = 64, OPERATION_ID_MAX = 160 };

static const char head[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Omni\",\"version\":\"" OMNI_VERSION
    "\",\"summary\":\"A self-hosted AI job platform for many tenants\","
    "\"description\":\"Lengths of strings are counted in bytes of UTF-8. Members a "
    "request "
    "does not know are refused. Times end in _at (seconds) or _ms (milliseconds) since "
    "1970. Every answer has x-request-id, and every error has the same shape.\","
    "\"license\":{\"name\":\"Apache License 2.0\",\"identifier\":\"Apache-2.0\"}},"
    "\"servers\":[{\"url\":\"/\",\"description\":\"where this document came from\"}]";

static const char security[] =
    "\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"An API key: omni_live_… or omni_test_…; x-scope of an operation "
    "is "
    "the scope it needs\"},\"grant\":{\"type\":\"http\",\"scheme\":\"bearer\","
    "\"description\":\"The grant of a job, which its worker got with it\"}}";

// ---- names

// The part of a path that follows what all paths of its kind begin with.
static const char *
without_prefix(const char *pattern)
{
    static const char *const prefixes[] = { "/api/v1/admin/", "/api/v1/compliance/",
                                            "/api/v1/",       "/v1/",
                                            "/developer/",    "/internal/" };
    for (size_t i = 0; i < OM_COUNT(prefixes); i++)
        if (strncmp(pattern, prefixes[i], strlen(prefixes[i])) == 0)
            return pattern + strlen(prefixes[i]);
    return NULL;
}

// The module a route belongs to: the first segment behind the prefix.
static struct om_str
tag_of(const struct route *route)
{
    const char *rest = without_prefix(route->pattern);
    return rest ? (struct om_str){ rest, strcspn(rest, "/") } : OM_LIT("system");
}

// A name of the operation for programs: method and words of the path, joined by
// underscores.
static void
put_operation_id(struct om_buf *out, const struct route *route)
{
    static const char api[] = "/api/v1/";
    char name[OPERATION_ID_MAX];
    size_t size =
        (size_t)snprintf(name, sizeof(name), "%s_", om_http_method_name(route->method));
    const char *at = route->pattern;
    at += strncmp(at, api, strlen(api)) == 0 ? strlen(api) : 1;
    for (; *at && size < sizeof(name); at++)
        if (isalnum((unsigned char)*at))
            name[size++] = *at;
        else if (*at != '{' && *at != '}')
            name[size++] = '_';
    for (size_t i = 0; i < size; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
    om_json_put(out, ",\"operationId\":");
    om_json_put_str(out, (struct om_str){ name, size });
}

// ---- tags

static void
put_tags(struct om_buf *out)
{
    static const struct {
        const char *name, *doc;
    } texts[] = {
        { "audit", "The hash-chained log of who did what" },
        { "bindings", "Who has which role" },
        { "cache", "Answers that are kept to be given again" },
        { "blobs", "Bytes for workers that share no directory with the platform" },
        { "files", "Uploaded data" },
        { "keys", "API keys" },
        { "limits", "Limits of a tenant and of keys that jobs name" },
        { "models", "Trained models" },
        { "plans", "What tenants may use" },
        { "predict", "Forecasts" },
        { "queues", "Where jobs wait" },
        { "quotas", "What is left of a plan" },
        { "requests", "Requests that failed" },
        { "roles", "What users may do" },
        { "schedules", "Jobs at the times of a cron expression" },
        { "system", "The edge itself" },
        { "tasks", "Jobs, and what became of them" },
        { "teams", "Users that share limits" },
        { "tenants", "Who shares the platform" },
        { "train", "Training of models" },
        { "usage", "What was metered" },
        { "users", "People of a tenant" },
        { "workers", "Processes that do jobs" },
        { "workflows", "Jobs that wait for each other" },
    };
    struct om_str seen[TAGS_MAX];
    size_t count = 0;
    om_json_put(out, ",\"tags\":[");
    for (size_t i = 0; i < route_count && count < TAGS_MAX; i++) {
        struct om_str tag = tag_of(&routes[i]);
        bool known = false;
        for (size_t j = 0; j < count; j++)
            known = known || om_str_eq(seen[j], tag);
        if (known)
            continue;
        om_json_put(out, count ? ",{\"name\":" : "{\"name\":");
        om_json_put_str(out, tag);
        for (size_t j = 0; j < OM_COUNT(texts); j++)
            if (om_str_eq(tag, om_str(texts[j].name)))
                openapi_put_pair(out, ",", "description", texts[j].doc);
        om_json_put(out, "}");
        seen[count++] = tag;
    }
    om_json_put(out, "]");
}

// ---- paths

static void
put_security(struct om_buf *out, const struct route *route)
{
    om_json_put(out, route->auth == AUTH_NONE    ? ",\"security\":[]"
                     : route->auth == AUTH_GRANT ? ",\"security\":[{\"grant\":[]}]"
                                                 : ",\"security\":[{\"key\":[]}]");
    if (route->auth == AUTH_KEY)
        openapi_put_pair(out, ",", "x-scope", scope_infos[route->scope].name);
}

// How long its answers are kept, who shares them, and what else they depend on.
static void
put_cache(struct om_buf *out, const struct cache_policy *policy)
{
    const char *comma = "";
    if (policy->ttl_s == 0)
        return;
    om_json_put(out, ",\"x-omni-cache\":{\"ttl_s\":");
    om_json_put_i64(out, policy->ttl_s);
    om_json_put(out, policy->scope == CACHE_USER ? ",\"scope\":\"user\",\"vary\":["
                                                 : ",\"scope\":\"tenant\",\"vary\":[");
    for (size_t i = 0; i < CACHE_VARY_MAX && policy->vary[i]; i++) {
        om_json_put(out, comma);
        om_json_put_str(out, om_str(policy->vary[i]));
        comma = ",";
    }
    om_json_put(out, "]}");
}

static void
put_operation(struct om_buf *out, const struct route *route)
{
    static const char *const methods[] = { [OM_HTTP_GET] = "get",
                                           [OM_HTTP_POST] = "post",
                                           [OM_HTTP_PUT] = "put",
                                           [OM_HTTP_PATCH] = "patch",
                                           [OM_HTTP_DELETE] = "delete" };
    om_json_put_str(out, om_str(methods[route->method]));
    om_json_put(out, ":{\"tags\":[");
    om_json_put_str(out, tag_of(route));
    openapi_put_pair(out, "],", "summary", route->doc);
    put_operation_id(out, route);
    put_security(out, route);
    put_cache(out, &route->cache);
    openapi_put_parameters(out, route);
    openapi_put_body(out, route);
    openapi_put_responses(out, route);
    om_json_put(out, "}");
}

// A path is one object with its methods, and rows of a path stand anywhere in the table.
static bool
is_first(size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(routes[i].pattern, routes[row].pattern) == 0)
            return false;
    return true;
}

static void
put_path(struct om_buf *out, size_t row)
{
    const char *comma = "";
    om_json_put_str(out, om_str(routes[row].pattern));
    om_json_put(out, ":{");
    for (size_t i = row; i < route_count; i++) {
        if (strcmp(routes[i].pattern, routes[row].pattern) != 0)
            continue;
        om_json_put(out, comma);
        put_operation(out, &routes[i]);
        comma = ",";
    }
    om_json_put(out, "}");
}

void
openapi_write(struct om_buf *out)
{
    const char *comma = "";
    om_json_put(out, head);
    put_tags(out);
    om_json_put(out, ",\"paths\":{");
    for (size_t i = 0; i < route_count; i++) {
        if (!is_first(i))
            continue;
        om_json_put(out, comma);
        put_path(out, i);
        comma = ",";
    }
    om_json_put(out, "},\"components\":{");
    om_json_put(out, security);
    om_json_put(out, ",");
    openapi_put_schemas(out);
    om_json_put(out, ",");
    openapi_put_headers(out);
    om_json_put(out, ",");
    openapi_put_errors(out);
    om_json_put(out, "}}");
}

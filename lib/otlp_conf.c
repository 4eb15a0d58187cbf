#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf.h"
#include "otlp_conf.h"

// clang-format off
//    member               name                                       default
#define ENV_LIST(X)                                                           \
    X(disabled,            "OTEL_SDK_DISABLED",                       "false") \
    X(exporter,            "OTEL_TRACES_EXPORTER",                    "")      \
    X(service,             "OTEL_SERVICE_NAME",                       "")      \
    X(resource,            "OTEL_RESOURCE_ATTRIBUTES",                "")      \
    X(sampler,             "OTEL_TRACES_SAMPLER",                     "")      \
    X(sampler_arg,         "OTEL_TRACES_SAMPLER_ARG",                 "")      \
    X(endpoint,            "OTEL_EXPORTER_OTLP_ENDPOINT",             "")      \
    X(traces_endpoint,     "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",      "")      \
    X(headers,             "OTEL_EXPORTER_OTLP_HEADERS",              "")      \
    X(traces_headers,      "OTEL_EXPORTER_OTLP_TRACES_HEADERS",       "")      \
    X(timeout,             "OTEL_EXPORTER_OTLP_TIMEOUT",              "")      \
    X(traces_timeout,      "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",       "")      \
    X(protocol,            "OTEL_EXPORTER_OTLP_PROTOCOL",             "")      \
    X(traces_protocol,     "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",      "")      \
    X(compression,         "OTEL_EXPORTER_OTLP_COMPRESSION",          "")      \
    X(traces_compression,  "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",   "")      \
    X(certificate,         "OTEL_EXPORTER_OTLP_CERTIFICATE",          "")      \
    X(traces_certificate,  "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",   "")      \
    X(client_key,          "OTEL_EXPORTER_OTLP_CLIENT_KEY",           "")      \
    X(traces_client_key,   "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",    "")      \
    X(client_cert,         "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",   "")      \
    X(traces_client_cert,  "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "") \
    X(delay,               "OTEL_BSP_SCHEDULE_DELAY",                 "")      \
    X(deadline,            "OTEL_BSP_EXPORT_TIMEOUT",                 "")      \
    X(queue,               "OTEL_BSP_MAX_QUEUE_SIZE",                 "")      \
    X(batch,               "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",          "")      \
    X(dir,                 "OMNI_TRACE_DIR",                          "")      \
    X(keep_spans,          "OMNI_TRACE_SPANS",                        "")      \
    X(keep_hours,          "OMNI_TRACE_HOURS",                        "")
// clang-format on

enum { INSTANCE_MAX = 128 };

struct om_otlp_env {
#define ENV_MEMBER(member, name, fallback) const char *member;
    ENV_LIST(ENV_MEMBER)
#undef ENV_MEMBER
    char name[INSTANCE_MAX], instance[INSTANCE_MAX];
};

static const struct om_setting env_settings[] = {
#define ENV_ROW(member, name, fallback)                                                  \
    { name, CONF_STR, offsetof(struct om_otlp_env, member), fallback, 0, 0, "" },
    ENV_LIST(ENV_ROW)
#undef ENV_ROW
        { 0 },
};

static void
warn(struct om_otlp_conf *self, const char *name)
{
    if (self->warning_count < OM_OTLP_WARNINGS_MAX)
        self->warnings[self->warning_count++] = name;
}

static const char *
first(const char *own, const char *common)
{
    return *own ? own : common;
}

static int64_t
number(struct om_otlp_conf *self, const char *name, const char *text, int64_t fallback,
       int64_t min, int64_t max)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!*text)
        return fallback;
    if (errno == 0 && !*end && value >= min && value <= max)
        return value;
    warn(self, name);
    return fallback;
}

// Which of the names it is; `fallback` if none, and that is told.
static int
choice(struct om_otlp_conf *self, const char *name, const char *text,
       const char *const *names, int fallback)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    if (*text)
        warn(self, name);
    return fallback;
}

// ---- pairs

static int
hex_digit(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

// Decode %XX in place; false: one is broken, or stands for a control character.
static bool
decode(struct om_str *text)
{
    char *to = (char *)text->data;
    for (size_t i = 0; i < text->size; i++) {
        int c = (unsigned char)text->data[i];
        if (c == '%') {
            int high = i + 2 < text->size ? hex_digit(text->data[i + 1]) : -1;
            int low = i + 2 < text->size ? hex_digit(text->data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = high << 4 | low;
            i += 2;
        }
        if (c < ' ' || c == 0x7f)
            return false;
        *to++ = (char)c;
    }
    text->size = (size_t)(to - text->data);
    return true;
}

static struct om_str
trim(char *from, char *to)
{
    while (from < to && *from == ' ')
        from++;
    while (to > from && to[-1] == ' ')
        to--;
    return (struct om_str){ from, (size_t)(to - from) };
}

int
om_otlp_pairs(char *text, struct om_otlp_pair *out, int max)
{
    int count = 0;
    while (*text) {
        char *end = strchrnul(text, ','),
             *equals = memchr(text, '=', (size_t)(end - text));
        char *next = *end ? end + 1 : end;
        if (trim(text, end).size > 0) {
            if (!equals || count == max)
                return -1;
            struct om_otlp_pair pair = { trim(text, equals), trim(equals + 1, end) };
            if (pair.key.size == 0 || !decode(&pair.key) || !decode(&pair.value))
                return -1;
            out[count++] = pair;
        }
        text = next;
    }
    return count;
}

static size_t
read_pairs(struct om_otlp_conf *self, const char *name, const char *text,
           struct om_otlp_pair *out, int max)
{
    int count = om_otlp_pairs((char *)text, out, max);
    if (count < 0)
        warn(self, name);
    return count < 0 ? 0 : (size_t)count;
}

// ---- what they mean

static void
put_pair(struct om_otlp_conf *self, const char *key, const char *value)
{
    self->pairs[self->pair_count++] = (struct om_otlp_pair){ om_str(key), om_str(value) };
}

static bool
has_pair(const struct om_otlp_conf *self, const char *key)
{
    for (size_t i = 0; i < self->pair_count; i++)
        if (om_str_eq(self->pairs[i].key, om_str(key)))
            return true;
    return false;
}

static void
drop_pair(struct om_otlp_conf *self, const char *key)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->pair_count; i++)
        if (!om_str_eq(self->pairs[i].key, om_str(key)))
            self->pairs[kept++] = self->pairs[i];
    self->pair_count = kept;
}

static void
set_resource(struct om_otlp_conf *self, const char *service, const char *node)
{
    struct om_otlp_env *env = self->env;
    enum { OWN = 4 }; // what is put below
    self->pair_count = read_pairs(self, "OTEL_RESOURCE_ATTRIBUTES", env->resource,
                                  self->pairs, OM_OTLP_PAIRS_MAX - OWN);
    snprintf(env->name, sizeof(env->name), "omni-%s", service);
    snprintf(env->instance, sizeof(env->instance), "%s", node);
    if (*env->service)
        drop_pair(self, "service.name");
    if (!has_pair(self, "service.name"))
        put_pair(self, "service.name", first(env->service, env->name));
    if (!has_pair(self, "service.namespace"))
        put_pair(self, "service.namespace", "omni");
    if (!has_pair(self, "service.version"))
        put_pair(self, "service.version", OMNI_VERSION);
    if (!has_pair(self, "service.instance.id"))
        put_pair(self, "service.instance.id", env->instance);
}

static void
set_sampler(struct om_otlp_conf *self)
{
    static const char *const names[] = { "parentbased_always_on",
                                         "parentbased_always_off",
                                         "parentbased_traceidratio",
                                         "always_on",
                                         "always_off",
                                         "traceidratio",
                                         NULL };
    static const enum om_sampler samplers[] = { OM_SAMPLE_ALWAYS, OM_SAMPLE_NEVER,
                                                OM_SAMPLE_RATIO };
    int at = choice(self, "OTEL_TRACES_SAMPLER", self->env->sampler, names, 0);
    self->sampler = samplers[at % 3];
    self->ignore_parent = at >= 3;
    self->ratio = 1;
    const char *text = self->env->sampler_arg;
    char *end;
    double ratio = strtod(text, &end);
    if (self->sampler != OM_SAMPLE_RATIO || !*text)
        return;
    if (*end || !(ratio >= 0 && ratio <= 1))
        warn(self, "OTEL_TRACES_SAMPLER_ARG");
    else
        self->ratio = ratio;
}

static bool
is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

static void
set_url(struct om_otlp_conf *self)
{
    static const char *const exporters[] = { "otlp", "none", NULL };
    struct om_otlp_env *env = self->env;
    int exporter = choice(self, "OTEL_TRACES_EXPORTER", env->exporter, exporters, 0);
    const char *base = *env->endpoint                    ? env->endpoint
                       : *env->exporter && exporter == 0 ? "http://localhost:4318"
                                                         : "";
    if (exporter == 1 || (!*env->traces_endpoint && !*base))
        return;
    size_t size = strlen(base);
    while (size && base[size - 1] == '/')
        size--;
    const char *name = *env->traces_endpoint ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
                                             : "OTEL_EXPORTER_OTLP_ENDPOINT";
    if (!is_url(first(env->traces_endpoint, base)))
        warn(self, name);
    else if (*env->traces_endpoint)
        self->url = strdup(env->traces_endpoint);
    else if (asprintf(&self->url, "%.*s/v1/traces", (int)size, base) < 0)
        self->url = NULL;
}

static void
set_export(struct om_otlp_conf *self)
{
    static const char *const protocols[] = { "http/protobuf", "http/json", NULL };
    static const char *const compressions[] = { "none", "gzip", NULL };
    struct om_otlp_env *env = self->env;
    set_url(self);
    self->form = (enum om_otlp_form)choice(self, "OTEL_EXPORTER_OTLP_PROTOCOL",
                                           first(env->traces_protocol, env->protocol),
                                           protocols, OM_OTLP_PROTOBUF);
    self->gzip =
        choice(self, "OTEL_EXPORTER_OTLP_COMPRESSION",
               first(env->traces_compression, env->compression), compressions, 0);
    self->timeout_ms = number(self, "OTEL_EXPORTER_OTLP_TIMEOUT",
                              first(env->traces_timeout, env->timeout), 10000, 1, 600000);
    self->certificate = first(env->traces_certificate, env->certificate);
    self->client_key = first(env->traces_client_key, env->client_key);
    self->client_certificate = first(env->traces_client_cert, env->client_cert);
    self->header_count = read_pairs(self, "OTEL_EXPORTER_OTLP_HEADERS",
                                    first(env->traces_headers, env->headers),
                                    self->headers, OM_OTLP_PAIRS_MAX);
}

static void
set_limits(struct om_otlp_conf *self)
{
    const struct om_otlp_env *env = self->env;
    self->delay_ms = number(self, "OTEL_BSP_SCHEDULE_DELAY", env->delay, 5000, 1, 600000);
    self->deadline_ms =
        number(self, "OTEL_BSP_EXPORT_TIMEOUT", env->deadline, 30000, 1, 600000);
    self->queue = number(self, "OTEL_BSP_MAX_QUEUE_SIZE", env->queue, 8192, 2, 1 << 20);
    self->batch =
        number(self, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", env->batch, 512, 1, 8192);
    if (self->batch > self->queue)
        self->batch = self->queue;
    self->dir = env->dir;
    self->keep_spans =
        number(self, "OMNI_TRACE_SPANS", env->keep_spans, 4096, 64, 1 << 20);
    self->keep_hours = number(self, "OMNI_TRACE_HOURS", env->keep_hours, 24, 1, 24 * 365);
}

enum om_rc
om_otlp_conf_read(const char *service, const char *node, struct om_otlp_conf *out)
{
    static const char *const bools[] = { "false", "true", NULL };
    char why[512];
    *out = (struct om_otlp_conf){ 0 };
    out->env = calloc(1, sizeof(*out->env));
    if (!out->env || om_conf_load(env_settings, out->env, why, sizeof(why)) != OM_OK)
        return OM_EUNAVAILABLE;
    if (choice(out, "OTEL_SDK_DISABLED", out->env->disabled, bools, 0))
        return OM_EUNAVAILABLE;
    set_resource(out, service, node);
    set_sampler(out);
    set_export(out);
    set_limits(out);
    out->node = out->env->instance;
    return out->url || *out->dir ? OM_OK : OM_EUNAVAILABLE;
}

void
om_otlp_conf_finish(struct om_otlp_conf *self)
{
    free(self->url);
    if (self->env)
        om_conf_free(env_settings, self->env);
    free(self->env);
    *self = (struct om_otlp_conf){ 0 };
}

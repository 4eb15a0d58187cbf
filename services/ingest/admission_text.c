// What a client is told of its limits: header fields and sentences.
#include <stdio.h>

#include "admission.h"

const char *
admission_policy_name(const struct admission_policy *policy)
{
    static const char *const names[LIMIT_SCOPES][COUNTER_KINDS] = {
#define LIMIT_SCOPE_NAMES(symbol, name, prefix)                                          \
    { prefix "rpm", prefix "tpm", prefix "concurrent" },
        LIMIT_SCOPE_LIST(LIMIT_SCOPE_NAMES)
#undef LIMIT_SCOPE_NAMES
    };
    return names[policy->scope][policy->kind];
}

int64_t
admission_seconds(int64_t wait_ms)
{
    return (wait_ms + 999) / 1000;
}

// ---- header fields

struct text {
    char *at, *end;
};

static void
put_bytes(struct text *self, const char *bytes, size_t size)
{
    size_t room = (size_t)(self->end - self->at);
    size = size < room ? size : room;
    memcpy(self->at, bytes, size);
    self->at += size;
}

static void
put(struct text *self, const char *text)
{
    put_bytes(self, text, strlen(text));
}

static void
put_number(struct text *self, int64_t number)
{
    char digits[20], *at = digits + sizeof(digits);
    uint64_t rest = (uint64_t)number;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    put_bytes(self, at, (size_t)(digits + sizeof(digits) - at));
}

static void
put_policy(struct text *self, const struct admission_policy *policy)
{
    put(self, "\"");
    put(self, admission_policy_name(policy));
    put(self, "\";q=");
    put_number(self, policy->limit);
    put(self, ";w=60");
    if (policy->kind == COUNTER_TOKENS)
        put(self, ";qu=\"tokens\"");
}

static void
put_standing(struct text *self, const struct admission_policy *policy)
{
    put(self, "\"");
    put(self, admission_policy_name(policy));
    put(self, "\";r=");
    put_number(self, policy->state.remaining);
    put(self, ";t=");
    put_number(self, admission_seconds(policy->state.reset_ms));
}

static void
put_reset(struct text *self, const struct admission_policy *policy)
{
    put_number(self, admission_seconds(policy->state.reset_ms));
    put(self, "s");
}

static void
put_limit(struct text *self, const struct admission_policy *policy)
{
    put_number(self, policy->limit);
}

static void
put_remaining(struct text *self, const struct admission_policy *policy)
{
    put_number(self, policy->state.remaining);
}

// A field with the value that `put_value` writes for each kind of `kinds`.
static void
add_field(struct text *text, struct om_http_response *response, const char *name,
          const struct admission_limits *limits, unsigned kinds,
          void (*put_value)(struct text *, const struct admission_policy *))
{
    const char *begin = text->at;
    for (unsigned kind = 0; kind < COUNTER_CONCURRENT; kind++) {
        if (!limits->has[kind] || !(kinds >> kind & 1))
            continue;
        if (text->at > begin)
            put(text, ",");
        put_value(text, &limits->shown[kind]);
    }
    if (text->at > begin)
        om_http_response_field(response, name,
                               (struct om_str){ begin, (size_t)(text->at - begin) });
}

void
admission_fields(const struct admission_limits *limits, char text[ADMISSION_TEXT_MAX],
                 struct om_http_response *response)
{
    enum { REQUESTS = 1 << COUNTER_REQUESTS, TOKENS = 1 << COUNTER_TOKENS };
    static const struct {
        const char *name;
        unsigned kinds;
        void (*put_value)(struct text *, const struct admission_policy *);
    } fields[] = {
        { "ratelimit-policy", REQUESTS | TOKENS, put_policy },
        { "ratelimit", REQUESTS | TOKENS, put_standing },
        { "x-ratelimit-limit-requests", REQUESTS, put_limit },
        { "x-ratelimit-remaining-requests", REQUESTS, put_remaining },
        { "x-ratelimit-reset-requests", REQUESTS, put_reset },
        { "x-ratelimit-limit-tokens", TOKENS, put_limit },
        { "x-ratelimit-remaining-tokens", TOKENS, put_remaining },
        { "x-ratelimit-reset-tokens", TOKENS, put_reset },
    };
    struct text out = { text, text + ADMISSION_TEXT_MAX };
    for (size_t i = 0; i < OM_COUNT(fields); i++)
        add_field(&out, response, fields[i].name, limits, fields[i].kinds,
                  fields[i].put_value);
}

// ---- sentences

int64_t
admission_retry_s(const struct admission_limits *limits)
{
    const struct admission_policy *policy = &limits->violated[0];
    bool never = policy->limit > 0 && policy->amount > policy->limit;
    return never ? 0 : admission_seconds(policy->state.wait_ms);
}

void
admission_reason(const struct admission_limits *limits, char *out, size_t size)
{
    static const char *const owners[LIMIT_SCOPES] = {
        [LIMIT_KEY] = "API key",   [LIMIT_USER] = "user", [LIMIT_TEAM] = "team",
        [LIMIT_TENANT] = "tenant", [LIMIT_PLAN] = "plan",
    };
    static const char *const things[COUNTER_KINDS] = {
        [COUNTER_REQUESTS] = "requests in any minute",
        [COUNTER_TOKENS] = "tokens in any minute",
        [COUNTER_CONCURRENT] = "requests at a time",
    };
    const struct admission_policy *policy = &limits->violated[0];
    char when[80];
    int64_t retry_s = admission_retry_s(limits);
    if (retry_s > 0)
        snprintf(when, sizeof(when), "try again in %lld s", (long long)retry_s);
    else
        snprintf(when, sizeof(when), "this request alone wants %lld",
                 (long long)policy->amount);
    snprintf(out, size, "%s: this %s allows %lld %s; %s", admission_policy_name(policy),
             owners[policy->scope], (long long)policy->limit, things[policy->kind], when);
}

// admission.h - may this request be served? The one place that decides it, for every
// route. Pure: no clock, no socket, nothing global.
//
// It decides in this order, and the first refusal is the answer: the key, where it comes
// from, its scope, the model, the tenant's state, rates and concurrency, and quotas last.
// Of the limits of key, user, team, tenant and plan each holds, so the strictest decides.
// A refusal takes nothing from any counter.
//
//   admission_check   what is known without counting
//   admission_wants   what it takes of the counters; counters_take() takes all or nothing
//   admission_judge   what came of that, and what the client is told of its limits
#pragma once
#include "counters.h"
#include "plans.h"
#include "route.h"

// clang-format off
//  symbol        code                    status  type
#define ADMISSION_LIST(X)                                                                 \
    X(ADMITTED,   "",                     200,    "")                                     \
    X(NO_KEY,     "invalid_api_key",      401,    "authentication_error")                 \
    X(EXPIRED,    "invalid_api_key",      401,    "authentication_error")                 \
    X(NETWORK,    "ip_not_allowed",       403,    "permission_error")                     \
    X(SCOPE,      "permission_denied",    403,    "permission_error")                     \
    X(MODEL,      "model_not_allowed",    403,    "permission_error")                     \
    X(SUSPENDED,  "tenant_suspended",     403,    "permission_error")                     \
    X(PAYMENT,    "payment_required",     402,    "billing_error")                        \
    X(RATE,       "rate_limit_exceeded",  429,    "rate_limit_error")                     \
    X(CROWDED,    "unavailable",          503,    "api_error")
// clang-format on

enum admission {
#define ADMISSION_ENUM(symbol, code, status, type) ADMISSION_##symbol,
    ADMISSION_LIST(ADMISSION_ENUM)
#undef ADMISSION_ENUM
        ADMISSION_COUNT
};

struct admission_info {
    const char *code, *type;
    int status;
};

extern const struct admission_info admission_infos[ADMISSION_COUNT];

// What the decision is made of.
struct admission_facts {
    const struct route *route;
    const struct caller *caller; // NULL: no valid key
    const struct plan *plan;     // the caller's
    const char *address;         // of the client, numeric
    struct om_str model;         // that is asked for; absent: none, or not known yet
    int64_t wall_ms;
};

enum admission admission_check(const struct admission_facts *facts);

// What a request takes: one request and one in flight of each that limits the caller, and
// a look at its tokens. Those with scope operator have no rate limit. Returns how many.
size_t admission_wants(const struct admission_facts *facts,
                       struct counter_want wants[COUNTERS_WANTS_MAX]);

// The same for `tokens` of an admitted request, once it is known how many it takes.
size_t admission_token_wants(const struct caller *caller, const struct plan *plan,
                             int64_t tokens,
                             struct counter_want wants[COUNTERS_WANTS_MAX]);

// One of the limits that hold.
struct admission_policy {
    enum limit_scope scope;
    enum counter_kind kind;
    int64_t limit, amount; // what it allows, and what was wanted of it
    struct counter_state state;
};

// What the client is told.
struct admission_limits {
    // Of requests and of tokens: the limit with the least left.
    struct admission_policy shown[COUNTER_CONCURRENT];
    bool has[COUNTER_CONCURRENT];
    // Of a refusal: the limits that are exceeded, the one that lasts longest first.
    struct admission_policy violated[LIMIT_SCOPES];
    size_t violated_count;
};

// Say what came of the wants. `rc` is counters_take()'s. What was known of the other kind
// of limit before stays in `out`.
enum admission admission_judge(enum om_rc rc, const struct counter_want *wants,
                               const struct counter_state *states, size_t count,
                               struct admission_limits *out);

// Name of a limit in headers and errors: rpm, tpm or concurrent; before it the scope, if
// it is not the plan's: key_rpm.
const char *admission_policy_name(const struct admission_policy *policy);

// Whole seconds, so that after them it is surely over.
int64_t admission_seconds(int64_t wait_ms);

enum { ADMISSION_TEXT_MAX = 512 };

// The header fields about limits (draft-ietf-httpapi-ratelimit-headers-10, and those that
// OpenAI's clients read). `text` holds their values as long as the response is used.
void admission_fields(const struct admission_limits *limits,
                      char text[ADMISSION_TEXT_MAX], struct om_http_response *response);

// Whole seconds until the refused request would be admitted. 0: never, as it wants more
// than the limit allows at all.
int64_t admission_retry_s(const struct admission_limits *limits);

// A sentence for people about the limit of a refusal, and when to come back.
void admission_reason(const struct admission_limits *limits, char *out, size_t size);

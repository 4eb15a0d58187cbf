// quota.h - the quotas there are, once, for billing, which keeps them, and the edge,
// which asks for them.
//
// A quota limits what a tenant uses of a meter in a window of time, or, without a window,
// has at a time. Plans say how much (services/billing), a tenant may have a limit of its
// own.
#pragma once
#include "base.h"

// clang-format off
//  symbol        name                meter          window  what a request takes of it
#define QUOTA_LIST(X)                                                                     \
    X(API_CALLS,  "api_calls_month",  "api_call",    MONTH,  "one")                       \
    X(INFERENCE,  "ml_inference_day", "ml_inference", DAY,    "one a prediction")          \
    X(STORAGE,    "storage_bytes",    "storage_bytes", NONE, "the bytes it keeps")        \
    X(COMPUTE,    "compute_month",    "compute_ms",  MONTH,  "the time of its jobs, ms")  \
    X(MODELS,     "custom_models",    "custom_model", NONE, "one a training")
// clang-format on

enum quota {
#define QUOTA_ENUM(symbol, name, meter, window, doc) QUOTA_##symbol,
    QUOTA_LIST(QUOTA_ENUM)
#undef QUOTA_ENUM
        QUOTA_COUNT
};

enum quota_window { QUOTA_WINDOW_NONE, QUOTA_WINDOW_DAY, QUOTA_WINDOW_MONTH };

#define QUOTA_BIT(symbol) (1u << QUOTA_##symbol)

struct quota_info {
    const char *name, *meter;
    enum quota_window window;
};

extern const struct quota_info quota_infos[QUOTA_COUNT];

// The quota of that name; QUOTA_COUNT: there is none.
enum quota quota_find(struct om_str name);

// peer.h - who may speak, and which queues the platform owns.
#pragma once
#include "record.h"

// The services of the platform, and a tenant's own worker.
// clang-format off
//  symbol      name
#define ROLE_LIST(X)                                                                      \
    X(NONE,       "none")                                                                 \
    X(INGEST,     "ingest")                                                               \
    X(IDENTITY,   "identity")                                                             \
    X(REGISTRY,   "registry")                                                             \
    X(INFERENCE,  "inference")                                                            \
    X(BILLING,    "billing")                                                              \
    X(COMPLIANCE, "compliance")                                                           \
    X(SCHEDULER,  "scheduler")                                                            \
    X(BROKER,     "broker")                                                               \
    X(TENANT,     "tenant")
// clang-format on

enum role {
#define ROLE_ENUM(symbol, name) ROLE_##symbol,
    ROLE_LIST(ROLE_ENUM)
#undef ROLE_ENUM
        ROLE_COUNT
};

#define ROLE_BIT(symbol) (1u << ROLE_##symbol)

// Every service of the platform: all roles but NONE and TENANT.
#define ROLES_PLATFORM (((1u << ROLE_COUNT) - 1) & ~ROLE_BIT(NONE) & ~ROLE_BIT(TENANT))

const char *role_name(enum role role);

// ROLE_NONE if there is no such role.
enum role role_find(struct om_str name);

// How long a silent worker keeps a lease.
enum queue_class {
    CLASS_SHORT, // lease 10 s; written to disk with the next batch
    CLASS_LONG,  // lease 30 s; on disk before the job is sent
};

// The platform's queues. A name with this prefix belongs to the platform; every other
// name belongs to the tenant in whose name it is used.
#define QUEUE_PLATFORM_PREFIX "omni."

// clang-format off
//  symbol             name                       owner       class  hard_ms
#define QUEUE_LIST(X)                                                                     \
    X(IDENTITY,          "omni.identity",           IDENTITY,   SHORT, 10000)             \
    X(REGISTRY,          "omni.registry",           REGISTRY,   SHORT, 10000)             \
    X(INFERENCE,         "omni.inference",          INFERENCE,  SHORT, 60000)             \
    X(TRAINING,          "omni.training",           INFERENCE,  LONG,  0)                 \
    X(BILLING,           "omni.billing",            BILLING,    SHORT, 10000)             \
    X(BILLING_EVENTS,    "omni.billing.events",     BILLING,    SHORT, 60000)             \
    X(COMPLIANCE,        "omni.compliance",         COMPLIANCE, SHORT, 30000)             \
    X(COMPLIANCE_EVENTS, "omni.compliance.events",  COMPLIANCE, SHORT, 60000)             \
    X(SCHEDULER,         "omni.scheduler",          SCHEDULER,  SHORT, 10000)             \
    X(SCHEDULER_EVENTS,  "omni.scheduler.events",   SCHEDULER,  SHORT, 60000)
// clang-format on

enum queue {
#define QUEUE_ENUM(symbol, name, owner, class, hard_ms) QUEUE_##symbol,
    QUEUE_LIST(QUEUE_ENUM)
#undef QUEUE_ENUM
        QUEUE_COUNT
};

struct queue_info {
    const char *name;
    enum role owner; // whose sessions may take from it
    enum queue_class class;
    int64_t hard_ms; // default hard time limit of a job or call; 0 = none
};

extern const struct queue_info queues[QUEUE_COUNT];

// The platform queue of that name, or NULL.
const struct queue_info *queue_find(struct om_str name);

// May a tenant have a queue of this name: [a-z][a-z0-9_-]{0,63}?
bool queue_name_valid(struct om_str name);

// Which subscriber gets which events. Their numbers are stored: a row never moves.
// clang-format off
//  topic     queue
#define SUBSCRIPTION_LIST(X)                                                              \
    X("usage", BILLING_EVENTS)                                                            \
    X("audit", COMPLIANCE_EVENTS)                                                         \
    X("error", SCHEDULER_EVENTS)
// clang-format on

struct subscription {
    const char *topic;
    enum queue queue;
};

enum {
#define SUBSCRIPTION_ENUM(topic, queue) SUBSCRIPTION_##queue,
    SUBSCRIPTION_LIST(SUBSCRIPTION_ENUM)
#undef SUBSCRIPTION_ENUM
        SUBSCRIPTION_COUNT
};

extern const struct subscription subscriptions[SUBSCRIPTION_COUNT];

// What a task is doing, and what the HTTP interface calls it. Numbers are stored.
// clang-format off
//  number symbol      name          public       ended
#define STATE_LIST(X)                                                                     \
    X(1,  BLOCKED,    "blocked",    "submitted", false)                                   \
    X(2,  SCHEDULED,  "scheduled",  "scheduled", false)                                   \
    X(3,  READY,      "ready",      "submitted", false)                                   \
    X(4,  LEASED,     "leased",     "submitted", false)                                   \
    X(5,  RUNNING,    "running",    "running",   false)                                   \
    X(6,  CANCELLING, "cancelling", "running",   false)                                   \
    X(7,  RETRY_WAIT, "retry_wait", "retrying",  false)                                   \
    X(8,  SUCCEEDED,  "succeeded",  "complete",  true)                                    \
    X(9,  FAILED,     "failed",     "failed",    true)                                    \
    X(10, CANCELLED,  "cancelled",  "cancelled", true)                                    \
    X(11, EXPIRED,    "expired",    "expired",   true)
// clang-format on

enum task_state {
    STATE_NONE = 0,
#define STATE_ENUM(number, symbol, name, public, ended) STATE_##symbol = number,
    STATE_LIST(STATE_ENUM)
#undef STATE_ENUM
        STATE_COUNT
};

struct state_info {
    const char *name;
    const char *public_name;
    bool ended;
};

// The row of `state`; a row of empty names for a number that is none.
const struct state_info *state_info(int64_t state);

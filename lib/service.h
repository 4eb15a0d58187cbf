// service.h - a service is two tables and a short main: settings and routes.
//
// om_service_main() reads the settings, opens the session as the service's role, serves
// every queue its routes name, checks the caller's role, decodes the request, calls the
// handler, encodes the reply, logs once, and drains on SIGTERM.
#pragma once
#include "admin.h"
#include "client.h"
#include "conf.h"
#include "metrics.h"
#include "worker.h"

// A request being handled.
struct om_call {
    const struct op_info *op;
    struct om_str tenant; // text, "ten_…"; empty for operations of the platform itself
    struct om_uuid tenant_id; // the same, decoded
    struct om_str id; // a call's message id, a job's task id: the same for a repeat
    struct om_str traceparent, grant;
    enum role from;
    struct om_job *job; // progress, usage, arena, om_job_fail()
    bool now;           // answer at once, or om_call_later(): om_service.now
};

// Answer a request: fill in `reply` (zeroed before), whose strings live in the arena, the
// request or static memory. For failures: return om_job_fail(call->job, …).
typedef enum om_rc om_handler(void *self, struct om_call *call, const void *request,
                              void *reply);

struct om_route {
    enum op op;
    om_handler *handle; // NULL ends a table
};

// A field of an operation's reply that is shown once: it is not kept for a repeat of the
// request, which is refused instead.
struct om_shown_once {
    enum op op;
    const char *field; // NULL ends a table
};

// Apply a run of a shard's events, in order, in one transaction that also stores
// (shard, last seq); events up to the stored seq were applied before and are skipped.
// Anything but OM_OK: nothing was applied, the run comes again.
typedef enum om_rc om_events_handler(void *self, uint8_t shard,
                                     const struct wire_logged *events, size_t count);

// The settings every service has; a service's own struct begins with this one.
struct om_service_conf {
    const char *broker;      // OMNI_BROKER
    const char *broker_work; // OMNI_BROKER_WORK
    const char *database;    // OMNI_DATABASE: "sqlite:DIR"
    const char *keys;        // OMNI_KEYS
    const char *node;        // OMNI_NODE
    const char *admin;       // OMNI_ADMIN
};

// The rows of the common settings, for a service's table:
//   static const struct om_setting settings[] = { OM_SERVICE_SETTINGS, {...}, {0} };
// clang-format off
#define OM_SERVICE_AT(member) offsetof(struct om_service_conf, member)
#define OM_SERVICE_SETTINGS                                                               \
    { "OMNI_BROKER", CONF_STR, OM_SERVICE_AT(broker), "ipc://run/broker", 0, 0,           \
      "the broker's client socket" },                                                     \
    { "OMNI_BROKER_WORK", CONF_STR, OM_SERVICE_AT(broker_work), "ipc://run/work", 0, 0,   \
      "the broker's worker socket" },                                                     \
    { "OMNI_DATABASE", CONF_STR, OM_SERVICE_AT(database), "sqlite:data", 0, 0,            \
      "where the service keeps its tables: sqlite:DIR" },                                 \
    { "OMNI_KEYS", CONF_STR, OM_SERVICE_AT(keys), "", 0, 0,                               \
      "folder of CURVE keys, needed on tcp" },                                            \
    { "OMNI_NODE", CONF_STR, OM_SERVICE_AT(node), "", 0, 0,                               \
      "name of this process in logs and listings" },                                      \
    OM_ADMIN_SETTING(OM_SERVICE_AT(admin))
// clang-format on

struct om_service {
    const char *name; // "billing"; the program is omni-billing
    enum role role;
    const struct om_setting *settings;
    size_t conf_size; // of its settings struct
    const struct om_route *routes;
    // May be NULL. The routes of this process by its settings, instead of `routes`.
    const struct om_route *(*choose_routes)(const void *conf);
    unsigned metrics;             // METRICS_BITs of its own
    om_events_handler *on_events; // NULL: no subscription
    enum queue events_queue;

    // Threads that handle, from the settings; NULL or 0: the control thread does.
    int (*slots)(const void *conf);

    // With slots: operations whose calls are first tried in the control thread, with
    // call->now set, ended by OP_COUNT. Their handlers answer within a few hundred
    // microseconds, without waiting for anything, or do nothing and return
    // om_call_later(); then a slot does it. NULL: there are none.
    const enum op *now;

    // Make the service from its settings; `client` is the control thread's own, to be
    // used in handlers (without slots) and tick. NULL with the reason in `why` if it
    // cannot serve. `stop` takes what `start` made.
    void *(*start)(const void *conf, struct om_client *client, char *why,
                   size_t why_size);
    void (*stop)(void *self);

    // May be NULL. Called by the control thread when due, and when the client has news
    // (om_client_process() has been called before). Returns when to be called next.
    int64_t (*tick)(void *self, int64_t now_ms);

    // May be NULL; not for services with slots. Its database, whose schema has
    // OM_IDEM_TABLE: what a handler commits for a request with an Idempotency-Key is
    // then committed together with the answer, and done once. What it says of a failure
    // is logged: a caller is only told the code.
    struct om_db *(*database)(void *self);
    const struct om_shown_once *shown_once; // NULL: nothing is
};

// Run until SIGTERM or SIGINT. Settings can be given as --name VALUE too: OMNI_FOO_BAR is
// --foo-bar. Also --help, --version, --check (read the settings and stop). Returns the
// exit status: 0, or a code of sysexits.h.
int om_service_main(const struct om_service *service, int argc, char **argv);

// Send a record as a part of the answer, to a caller that takes parts (om_job_streams).
// On failure the call fails, and the handler returns that.
OM_MUST_CHECK enum om_rc om_call_part(const struct om_call *call, const struct rec *type,
                                      const void *record);

// A copy of `text`, or the text of an id, that lives as long as the call.
struct om_str om_call_copy(const struct om_call *call, struct om_str text);
struct om_str om_call_id(const struct om_call *call, const char *prefix,
                         struct om_uuid id);

// For `return om_call_later(call)`: it takes longer than a call that is to be answered
// now may.
enum om_rc om_call_later(struct om_call *call);

// A client for calls made while handling: the slot's own, or without slots the service's.
struct om_client *om_call_client(const struct om_call *call);

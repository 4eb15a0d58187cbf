#include <stdlib.h>

#include "patrol.h"
#include "request.h"

#define AT(member) offsetof(struct compliance_conf, member)

static const struct om_setting settings[] = {
    OM_SERVICE_SETTINGS,
    { "OMNI_REQUEST_LOG_MS", CONF_INT, AT(request_ms), "604800000", 1,
      INT64_C(366) * 24 * 3600 * 1000, "how long a request that failed is kept" },
    { "OMNI_REQUEST_LOG_MAX", CONF_INT, AT(request_max), "1000", 1, 1000000,
      "requests that failed, of a tenant; its oldest give way" },
    { 0 },
};

static void
stop(void *context)
{
    struct compliance *self = context;
    om_db_close(&self->db);
    free(self);
}

struct service {
    struct compliance compliance; // first: what the handlers get
    struct patrol patrol;
    int64_t request_due_ms; // when request_tick() is to be called
};

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct compliance_conf *conf = context;
    (void)client;
    struct service *self = calloc(1, sizeof(*self));
    if (self && !om_db_open(conf->service.database, "compliance", compliance_schema,
                            &self->compliance.db, why, why_size)) {
        self->compliance.request_ms = conf->request_ms;
        self->compliance.request_max = conf->request_max;
        patrol_init(&self->patrol);
        return self;
    }
    free(self);
    return NULL;
}

static int64_t
tick(void *context, int64_t now_ms)
{
    struct service *self = context;
    if (now_ms >= self->request_due_ms)
        self->request_due_ms = request_tick(&self->compliance, now_ms);
    int64_t due_ms = patrol_tick(&self->patrol, self->compliance.db, now_ms);
    return due_ms < self->request_due_ms ? due_ms : self->request_due_ms;
}

static struct om_db *
database(void *context)
{
    return ((struct compliance *)context)->db;
}

int
main(int argc, char **argv)
{
    static const struct om_service compliance = {
        .name = "compliance",
        .role = ROLE_COMPLIANCE,
        .settings = settings,
        .conf_size = sizeof(struct compliance_conf),
        .routes = compliance_routes,
        .metrics = METRICS_BIT(COMPLIANCE),
        .on_events = audit_apply,
        .events_queue = QUEUE_COMPLIANCE_EVENTS,
        .start = start,
        .stop = stop,
        .tick = tick,
        .database = database,
    };
    return om_service_main(&compliance, argc, argv);
}

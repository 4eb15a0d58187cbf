#include <stdlib.h>

#include "audit.h"
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

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct compliance_conf *conf = context;
    (void)client;
    struct compliance *self = calloc(1, sizeof(*self));
    if (self && !om_db_open(conf->service.database, "compliance", compliance_schema,
                            &self->db, why, why_size)) {
        self->request_ms = conf->request_ms;
        self->request_max = conf->request_max;
        return self;
    }
    free(self);
    return NULL;
}

static const char *
storage_error(const void *context)
{
    return om_db_error(((const struct compliance *)context)->db);
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
        .on_events = audit_apply,
        .events_queue = QUEUE_COMPLIANCE_EVENTS,
        .start = start,
        .stop = stop,
        .tick = request_tick,
        .database = database,
        .storage_error = storage_error,
    };
    return om_service_main(&compliance, argc, argv);
}

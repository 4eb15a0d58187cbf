#include <stdlib.h>

#include "audit.h"

static const struct om_setting settings[] = { OM_SERVICE_SETTINGS, { 0 } };

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
    const struct om_service_conf *conf = context;
    (void)client;
    struct compliance *self = calloc(1, sizeof(*self));
    if (self && !om_db_open(conf->database, "compliance", compliance_schema, &self->db,
                            why, why_size))
        return self;
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
        .conf_size = sizeof(struct om_service_conf),
        .routes = compliance_routes,
        .on_events = audit_apply,
        .events_queue = QUEUE_COMPLIANCE_EVENTS,
        .start = start,
        .stop = stop,
        .database = database,
        .storage_error = storage_error,
    };
    return om_service_main(&compliance, argc, argv);
}

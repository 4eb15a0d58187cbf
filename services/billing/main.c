#include <stdlib.h>

#include "usage.h"

static const struct om_setting settings[] = { OM_SERVICE_SETTINGS, { 0 } };

static void
stop(void *context)
{
    struct billing *self = context;
    om_db_close(&self->db);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct om_service_conf *conf = context;
    (void)client;
    struct billing *self = calloc(1, sizeof(*self));
    if (self && !om_db_open(conf->database, "billing", billing_schema, &self->db, why,
                            why_size)) {
        self->began_ms = billing_now(self);
        return self;
    }
    free(self);
    return NULL;
}

static struct om_db *
database(void *context)
{
    return ((struct billing *)context)->db;
}

int
main(int argc, char **argv)
{
    static const struct om_service billing = {
        .name = "billing",
        .role = ROLE_BILLING,
        .settings = settings,
        .conf_size = sizeof(struct om_service_conf),
        .routes = billing_routes,
        .metrics = METRICS_BIT(BILLING),
        .on_events = usage_apply,
        .events_queue = QUEUE_BILLING_EVENTS,
        .start = start,
        .stop = stop,
        .database = database,
        .tick = billing_tick,
    };
    return om_service_main(&billing, argc, argv);
}

#include <stdlib.h>

#include "tick.h"

static const struct om_setting settings[] = { OM_SERVICE_SETTINGS, { 0 } };

static void
stop(void *context)
{
    struct scheduler *self = context;
    om_db_close(&self->db);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct om_service_conf *conf = context;
    struct scheduler *self = calloc(1, sizeof(*self));
    if (self && !om_db_open(conf->database, "scheduler", scheduler_schema, &self->db, why,
                            why_size)) {
        self->sender.client = client;
        return self;
    }
    free(self);
    return NULL;
}

static const char *
storage_error(const void *context)
{
    return om_db_error(((const struct scheduler *)context)->db);
}

static struct om_db *
database(void *context)
{
    return ((struct scheduler *)context)->db;
}

int
main(int argc, char **argv)
{
    static const struct om_service scheduler = {
        .name = "scheduler",
        .role = ROLE_SCHEDULER,
        .settings = settings,
        .conf_size = sizeof(struct om_service_conf),
        .routes = scheduler_routes,
        .start = start,
        .stop = stop,
        .database = database,
        .storage_error = storage_error,
        .tick = scheduler_tick,
    };
    return om_service_main(&scheduler, argc, argv);
}

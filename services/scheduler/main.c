#include <stdlib.h>

#include "tick.h"

struct scheduler_conf {
    struct om_service_conf service;
    struct status_conf status;
    struct error_conf errors;
};

#define AT(member) offsetof(struct scheduler_conf, status.member)
static const struct om_setting settings[] = {
    OM_SERVICE_SETTINGS,
    { "OMNI_TARGETS", CONF_STR, AT(targets), "", 0, 0,
      "file that says where the programs' /metrics are, for GET /status; none: unknown" },
    { "OMNI_STATUS_FILE", CONF_STR, AT(file), "", 0, 0,
      "file to which the status is written as JSON; none: it is not" },
    { "OMNI_LOOK_MS", CONF_INT, AT(look_ms), "15000", 100, 60000,
      "how often the programs are looked at, ms" },
    { "OMNI_ERROR_GROUPS", CONF_INT, offsetof(struct scheduler_conf, errors.groups_max),
      "500", 1, 100000, "groups of errors of a tenant" },
    { "OMNI_ERROR_MS", CONF_INT, offsetof(struct scheduler_conf, errors.keep_ms),
      "2592000000", 1, INT64_C(3660) * 24 * 3600 * 1000,
      "how long a group of errors is kept after it was seen last" },
    { 0 },
};

static void
stop(void *context)
{
    struct scheduler *self = context;
    status_close(&self->status);
    om_db_close(&self->db);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct scheduler_conf *conf = context;
    struct scheduler *self = calloc(1, sizeof(*self));
    if (!self || om_db_open(conf->service.database, "scheduler", scheduler_schema,
                            &self->db, why, why_size)) {
        free(self);
        return NULL;
    }
    self->sender.client = client;
    self->errors = conf->errors;
    if (status_open(&self->status, &conf->status, why, why_size))
        return self;
    stop(self);
    return NULL;
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
        .conf_size = sizeof(struct scheduler_conf),
        .routes = scheduler_routes,
        .metrics = METRICS_BIT(SCHEDULER),
        .on_events = scheduler_on_events,
        .events_queue = QUEUE_SCHEDULER_EVENTS,
        .start = start,
        .stop = stop,
        .database = database,
        .tick = scheduler_tick,
    };
    return om_service_main(&scheduler, argc, argv);
}

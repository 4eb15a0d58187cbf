#include <stdlib.h>

#include "clock.h"
#include "identity.h"
#include "log.h"

enum { TICK_MS = 500 };

#define AT(member) offsetof(struct identity_conf, member)

static const struct om_setting settings[] = {
    OM_SERVICE_SETTINGS,
    { "OMNI_ADMIN_KEY_FILE", CONF_STR, AT(admin_key_file), "data/admin.key", 0, 0,
      "where the first start writes the first key" },
    { "OMNI_BOOTSTRAP_KEY_FILE", CONF_STR, AT(bootstrap_key_file), "", 0, 0,
      "a file that holds the first key, instead" },
    { 0 },
};

static void
stop(void *context)
{
    struct identity *self = context;
    om_db_close(&self->db);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct identity_conf *conf = context;
    (void)client;
    struct identity *self = calloc(1, sizeof(*self));
    if (self &&
        !om_db_open(conf->common.database, "identity", identity_schema, &self->db, why,
                    why_size) &&
        !identity_bootstrap(self, conf, why, why_size))
        return self;
    if (self)
        stop(self);
    return NULL;
}

// Roles end by themselves, and the edges learn of it as of any other change.
static int64_t
tick(void *context, int64_t now_ms)
{
    if (identity_end_roles(context, om_clock_wall_ms()) != OM_OK)
        om_log(OM_ERROR, "roles that have ended are not taken away",
               LOG_S("err", om_db_error(((struct identity *)context)->db)));
    return now_ms + TICK_MS;
}

static struct om_db *
database(void *context)
{
    return ((struct identity *)context)->db;
}

int
main(int argc, char **argv)
{
    static const struct om_service identity = {
        .name = "identity",
        .role = ROLE_IDENTITY,
        .settings = settings,
        .conf_size = sizeof(struct identity_conf),
        .routes = identity_routes,
        .start = start,
        .stop = stop,
        .database = database,
        .shown_once = identity_shown_once,
        .tick = tick,
    };
    return om_service_main(&identity, argc, argv);
}

#include <stdio.h>
#include <stdlib.h>

#include "registry.h"

static const struct om_setting settings[] = {
    OM_SERVICE_SETTINGS,
    { "OMNI_BLOBS", CONF_STR, offsetof(struct registry_conf, blobs), "dir:data/blobs", 0,
      0, "where files and models are kept: dir:PATH, shared with the edge" },
    { 0 },
};

static void
stop(void *context)
{
    struct registry *self = context;
    om_blob_walk_destroy(&self->walk);
    om_blob_store_destroy(&self->blobs);
    om_db_close(&self->db);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct registry_conf *conf = context;
    struct registry *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    if (strncmp(conf->blobs, "dir:", 4) != 0)
        snprintf(why, why_size, "OMNI_BLOBS is \"%s\": the registry needs dir:PATH",
                 conf->blobs);
    else if (om_blob_store_create(conf->blobs, &self->blobs, why, why_size) == OM_OK &&
             om_db_open(conf->common.database, "registry", registry_schema, &self->db,
                        why, why_size) == OM_OK) {
        self->outbox =
            (struct outbox){ .db = self->db, .client = client, .pending = true };
        return self;
    }
    stop(self);
    return NULL;
}

static struct om_db *
database(void *context)
{
    return ((struct registry *)context)->db;
}

int
main(int argc, char **argv)
{
    static const struct om_service registry = {
        .name = "registry",
        .role = ROLE_REGISTRY,
        .settings = settings,
        .conf_size = sizeof(struct registry_conf),
        .routes = registry_routes,
        .start = start,
        .stop = stop,
        .database = database,
        .tick = registry_tick,
    };
    return om_service_main(&registry, argc, argv);
}

#include <stdio.h>
#include <stdlib.h>

#include "pool.h"
#include "stats.h"

#define AT(member) offsetof(struct pool_conf, member)

static const struct om_setting settings[] = {
    OM_SERVICE_SETTINGS,
    { "OMNI_POOL", CONF_STR, AT(pool), "inference", 0, 0,
      "inference: answer predictions; training: train models" },
    { "OMNI_SLOTS", CONF_INT, AT(slots), "1", 1, 256,
      "how many at a time, a thread each" },
    { "OMNI_BLOBS", CONF_STR, AT(blobs), "dir:data/blobs", 0, 0,
      "where files and models are: dir:PATH, shared with the registry, or the edge's "
      "URL" },
    { "OMNI_MODEL_CACHE_BYTES", CONF_INT, AT(cache_bytes), "268435456", 0,
      INT64_C(1) << 40, "of models kept in memory" },
    { 0 },
};

static const struct om_route *
choose_routes(const void *context)
{
    const struct pool_conf *conf = context;
    return strcmp(conf->pool, "training") == 0 ? pool_training_routes
                                               : pool_inference_routes;
}

static int
count_slots(const void *context)
{
    return (int)((const struct pool_conf *)context)->slots;
}

static void
stop(void *context)
{
    struct pool *self = context;
    model_cache_destroy(&self->cache);
    om_blob_store_destroy(&self->blobs);
    free(self);
}

static void *
start(const void *context, struct om_client *client, char *why, size_t why_size)
{
    const struct pool_conf *conf = context;
    (void)client;
    if (strcmp(conf->pool, "inference") != 0 && strcmp(conf->pool, "training") != 0) {
        snprintf(why, why_size, "OMNI_POOL is \"%s\": must be inference or training",
                 conf->pool);
        return NULL;
    }
    struct pool *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    stats_open();
    self->cache = model_cache_create((size_t)conf->cache_bytes);
    if (self->cache &&
        om_blob_store_create(conf->blobs, &self->blobs, why, why_size) == OM_OK)
        return self;
    stop(self);
    return NULL;
}

int
main(int argc, char **argv)
{
    static const enum op now[] = { OP_predict, OP_COUNT };
    static const struct om_service inference = {
        .name = "inference",
        .role = ROLE_INFERENCE,
        .settings = settings,
        .conf_size = sizeof(struct pool_conf),
        .choose_routes = choose_routes,
        .metrics = METRICS_BIT(INFERENCE),
        .slots = count_slots,
        .now = now,
        .start = start,
        .stop = stop,
    };
    return om_service_main(&inference, argc, argv);
}

#include "driver.h"

static const struct store_driver *const drivers[] = { &store_sqlite };

enum om_rc
store_open(const char *url, struct store **out, const char **why)
{
    *out = NULL;
    for (size_t i = 0; i < OM_COUNT(drivers); i++) {
        size_t size = strlen(drivers[i]->scheme);
        if (strncmp(url, drivers[i]->scheme, size) == 0)
            return drivers[i]->open(url + size, out, why);
    }
    *why = "a store's URL begins with sqlite:";
    return OM_EINVAL;
}

void
store_close(struct store **self_p)
{
    struct store *self = *self_p;
    *self_p = NULL;
    if (self)
        self->driver->close(self);
}

uint32_t
store_epoch(const struct store *self)
{
    return self->epoch;
}

enum om_rc
store_load(struct store *self, const struct store_loader *loader)
{
    return self->driver->load(self, loader);
}

enum om_rc
store_commit(struct store *self, struct batch *batch)
{
    return self->driver->commit(self, batch);
}

void
store_checkpoint(struct store *self)
{
    self->driver->checkpoint(self);
}

void
store_read(struct store *self, struct read *read)
{
    self->driver->read(self, read);
}

bool
store_purge(struct store *self, int64_t now_ms, int64_t retention_ms)
{
    return self->driver->purge(self, now_ms, retention_ms);
}

double
store_disk_free(const struct store *self)
{
    return self->driver->disk_free(self);
}

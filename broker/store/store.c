#include <stdarg.h>
#include <stdio.h>

#include "driver.h"

static const struct store_driver *const drivers[] = { &store_journal };

static _Thread_local char why_text[512];

enum om_rc
store_refuse(enum om_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why_text, sizeof(why_text), format, args);
    va_end(args);
    return rc;
}

const char *
store_why(void)
{
    return why_text;
}

enum om_rc
store_open(const char *url, struct store **out, const char **why)
{
    *out = NULL;
    *why = why_text;
    for (size_t i = 0; i < OM_COUNT(drivers); i++) {
        size_t size = strlen(drivers[i]->scheme);
        if (strncmp(url, drivers[i]->scheme, size) == 0)
            return drivers[i]->open(url + size, out);
    }
    return store_refuse(OM_EINVAL, "a store's URL begins with sqlite:");
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

bool
store_has_room(const struct store *self)
{
    return self->driver->has_room(self);
}

void
store_read(struct store *self, struct read *read)
{
    self->driver->read(self, read);
}

void
store_purge(struct store *self, int64_t now_ms, int64_t retention_ms)
{
    self->driver->purge(self, now_ms, retention_ms);
}

enum om_rc
store_settle(struct store *self)
{
    return self->driver->settle(self);
}

double
store_disk_free(const struct store *self)
{
    return self->driver->disk_free(self);
}

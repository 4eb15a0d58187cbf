// driver.h - what an implementation of the store provides; the functions of store.h, as
// they stand there. An implementation's struct begins with a struct store.
#pragma once
#include "store.h"

struct store_driver {
    const char *scheme; // the URL's beginning, with its colon
    enum om_rc (*open)(const char *place, struct store **out);
    void (*close)(struct store *self);
    enum om_rc (*load)(struct store *self, const struct store_loader *loader);
    enum om_rc (*commit)(struct store *self, struct batch *batch);
    bool (*has_room)(const struct store *self);
    void (*read)(struct store *self, struct read *read);
    void (*purge)(struct store *self, int64_t now_ms, int64_t retention_ms);
    enum om_rc (*settle)(struct store *self);
    double (*disk_free)(const struct store *self);
};

struct store {
    const struct store_driver *driver;
    uint32_t epoch;
};

// Keep the text as what store_open()'s *why will say on this thread; returns `rc`.
enum om_rc store_refuse(enum om_rc rc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// That text.
const char *store_why(void);

extern const struct store_driver store_journal;

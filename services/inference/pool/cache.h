// cache.h - loaded models, so that a prediction need not fetch its model each time.
//
// Bounded by the size of the models' stored bytes; the least recently used goes first. A
// model never changes once registered, so nothing here goes stale. The key holds the
// tenant: a model is found only by the one it was fetched for. Any thread.
#pragma once
#include "artifact.h"
#include "uuid.h"

struct model_cache;
struct cached_model;

// NULL without memory.
struct model_cache *model_cache_create(size_t bytes_max);

// No model may be in use any more.
void model_cache_destroy(struct model_cache **self_p);

// The model, to be given back with model_cache_release(); NULL if it is not there.
struct cached_model *model_cache_find(struct model_cache *self,
                                      const struct om_uuid *tenant,
                                      const struct om_uuid *model);

// Add a model of `bytes` stored bytes; takes the artifact. If another thread was faster,
// its model is returned. To be given back like that of model_cache_find(). NULL without
// memory.
struct cached_model *model_cache_add(struct model_cache *self,
                                     const struct om_uuid *tenant,
                                     const struct om_uuid *model,
                                     struct artifact **artifact_p, size_t bytes);

const struct artifact *cached_model_artifact(const struct cached_model *model);

// How long a forecast of `steps` after `count` values took; and may one take less than
// `us` microseconds, by what was measured so far? False of a model never asked before.
void model_cache_measured(struct model_cache *self, struct cached_model *model,
                          size_t count, size_t steps, int64_t us);
bool model_cache_is_quick(struct model_cache *self, const struct cached_model *model,
                          size_t count, size_t steps, int64_t us);

void model_cache_release(struct model_cache *self, struct cached_model **model_p);

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

#include "cache.h"

struct key {
    struct om_uuid tenant, model;
};

// In the table, or evicted and freed by its last user.
struct cached_model {
    struct key key;
    struct artifact *artifact;
    size_t bytes;
    unsigned users;
    bool evicted;
    struct measured {
        size_t count, steps; // 0: nothing was measured
        int64_t us;
    } measured; // last
    UT_hash_handle hh;
};

// uthash keeps the order of insertion: the head was used least recently.
struct model_cache {
    pthread_mutex_t lock;
    struct cached_model *models;
    size_t bytes, bytes_max;
};

struct model_cache *
model_cache_create(size_t bytes_max)
{
    struct model_cache *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    self->bytes_max = bytes_max;
    return self;
}

static void
model_free(struct cached_model *model)
{
    artifact_destroy(&model->artifact);
    free(model);
}

static void
evict(struct model_cache *self, struct cached_model *model)
{
    HASH_DEL(self->models, model);
    self->bytes -= model->bytes;
    model->evicted = true;
    if (model->users == 0)
        model_free(model);
}

void
model_cache_destroy(struct model_cache **self_p)
{
    struct model_cache *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->models)
        evict(self, self->models);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

// Find a model and make it the most recently used.
static struct cached_model *
touch(struct model_cache *self, const struct key *key)
{
    struct cached_model *model;
    HASH_FIND(hh, self->models, key, sizeof(*key), model);
    if (!model)
        return NULL;
    HASH_DEL(self->models, model);
    HASH_ADD(hh, self->models, key, sizeof(model->key), model);
    model->users++;
    return model;
}

struct cached_model *
model_cache_find(struct model_cache *self, const struct om_uuid *tenant,
                 const struct om_uuid *model)
{
    struct key key = { *tenant, *model };
    pthread_mutex_lock(&self->lock);
    struct cached_model *found = touch(self, &key);
    pthread_mutex_unlock(&self->lock);
    return found;
}

struct cached_model *
model_cache_add(struct model_cache *self, const struct om_uuid *tenant,
                const struct om_uuid *model, struct artifact **artifact_p, size_t bytes)
{
    struct cached_model *made = calloc(1, sizeof(*made));
    if (!made) {
        artifact_destroy(artifact_p);
        return NULL;
    }
    *made = (struct cached_model){
        .key = { *tenant, *model }, .artifact = *artifact_p, .bytes = bytes, .users = 1
    };
    *artifact_p = NULL;
    pthread_mutex_lock(&self->lock);
    struct cached_model *found = touch(self, &made->key);
    if (!found) {
        HASH_ADD(hh, self->models, key, sizeof(made->key), made);
        self->bytes += bytes;
        while (self->bytes > self->bytes_max)
            evict(self, self->models);
    }
    pthread_mutex_unlock(&self->lock);
    if (found)
        model_free(made);
    return found ? found : made;
}

const struct artifact *
cached_model_artifact(const struct cached_model *model)
{
    return model->artifact;
}

void
model_cache_measured(struct model_cache *self, struct cached_model *model, size_t count,
                     size_t steps, int64_t us)
{
    pthread_mutex_lock(&self->lock);
    model->measured = (struct measured){ count, steps, us };
    pthread_mutex_unlock(&self->lock);
}

static double
times_more(size_t now, size_t then)
{
    return now > then ? (double)now / (double)then : 1;
}

// Time grows no faster than with the values, and with the steps.
bool
model_cache_is_quick(struct model_cache *self, const struct cached_model *model,
                     size_t count, size_t steps, int64_t us)
{
    pthread_mutex_lock(&self->lock);
    struct measured then = model->measured;
    pthread_mutex_unlock(&self->lock);
    return then.count > 0 && then.steps > 0 &&
           (double)then.us * times_more(count, then.count) *
                   times_more(steps, then.steps) <
               (double)us;
}

void
model_cache_release(struct model_cache *self, struct cached_model **model_p)
{
    struct cached_model *model = *model_p;
    *model_p = NULL;
    if (!model)
        return;
    pthread_mutex_lock(&self->lock);
    bool last = --model->users == 0 && model->evicted;
    pthread_mutex_unlock(&self->lock);
    if (last)
        model_free(model);
}

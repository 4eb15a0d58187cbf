#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "exposition.h"
#include "log.h"
#include "watcher.h"

enum {
    ANSWER_MS = 2000,
    PAGE_MAX = 8 << 20,
    FILE_MAX = 64 << 10,
};

struct watcher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping, fresh;
    int64_t interval_ms;
    char *targets;
    struct look latest; // fresh: nobody has taken it
    struct look next;   // the thread's own
    struct om_buf page;
};

// ---- a look

bool
look_is_ready(const struct look *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->programs[i].ready && strcmp(self->programs[i].name, name) == 0)
            return true;
    return false;
}

bool
look_repeats(const struct look *self, size_t place)
{
    for (size_t i = 0; i < place; i++)
        if (strcmp(self->programs[i].name, self->programs[place].name) == 0)
            return true;
    return false;
}

// ---- the file

static void
add_target(struct look *out, const char *address, const char *name)
{
    if (!address || !name || !*name || out->count == WATCHER_PROGRAMS_MAX ||
        strlen(name) > WATCHER_NAME_MAX || strlen(address) >= WATCHER_ADDRESS_MAX)
        return;
    struct look_program *program = &out->programs[out->count++];
    *program = (struct look_program){ 0 };
    memcpy(program->name, name, strlen(name));
    memcpy(program->address, address, strlen(address));
}

void
watcher_read_targets(struct om_str json, struct look *out)
{
    out->count = 0;
    json_t *groups = json_loadb(json.data, json.size, 0, NULL), *group, *target;
    size_t i, j;
    json_array_foreach (groups, i, group) {
        const char *name = json_string_value(
            json_object_get(json_object_get(group, "labels"), "process"));
        json_array_foreach (json_object_get(group, "targets"), j, target)
            add_target(out, json_string_value(target), name);
    }
    json_decref(groups);
}

static void
read_file(const struct watcher *self, struct look *out)
{
    char text[FILE_MAX];
    out->count = 0;
    FILE *file = fopen(self->targets, "re");
    if (!file)
        return;
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    watcher_read_targets((struct om_str){ text, size }, out);
}

// ---- a program's page

static size_t
on_page(char *data, size_t size, size_t count, void *context)
{
    struct om_buf *page = context;
    if (page->size + size * count > PAGE_MAX)
        return 0; // ends the transfer
    om_buf_put(page, data, size * count);
    return size * count;
}

static bool
says_ready(struct om_str page)
{
    for (struct exposition_sample sample; exposition_next(&page, &sample);)
        if (om_str_eq(sample.name, OM_LIT("omni_ready")))
            return sample.value > 0;
    return false;
}

static void
look_at(struct watcher *self, CURL *curl, struct look_program *program)
{
    char url[WATCHER_ADDRESS_MAX + 32];
    snprintf(url, sizeof(url), "http://%s/metrics", program->address);
    om_buf_reset(&self->page);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ANSWER_MS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_page);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &self->page);
    program->answered = curl_easy_perform(curl) == CURLE_OK && !self->page.failed;
    if (!program->answered)
        return;
    program->ready = says_ready(om_buf_str(&self->page));
    program->counts = slo_read(om_buf_str(&self->page));
}

// ---- the thread

// False: it is to stop.
static bool
wait_for_turn(struct watcher *self, int64_t due_ms)
{
    struct timespec due = { .tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000 };
    pthread_mutex_lock(&self->lock);
    int rc = 0;
    while (!self->stopping && rc == 0)
        rc = pthread_cond_timedwait(&self->changed, &self->lock, &due);
    bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return !stopping;
}

static bool
is_stopping(struct watcher *self)
{
    pthread_mutex_lock(&self->lock);
    bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return stopping;
}

static void *
watch(void *context)
{
    struct watcher *self = context;
    CURL *curl = curl_easy_init();
    for (int64_t due_ms = om_clock_mono_ms() + self->interval_ms;
         curl && wait_for_turn(self, due_ms);
         due_ms = om_clock_mono_ms() + self->interval_ms) {
        read_file(self, &self->next);
        for (size_t i = 0; i < self->next.count && !is_stopping(self); i++)
            look_at(self, curl, &self->next.programs[i]);
        self->next.at_ms = om_clock_wall_ms();
        pthread_mutex_lock(&self->lock);
        self->latest = self->next;
        self->fresh = !self->stopping;
        pthread_mutex_unlock(&self->lock);
    }
    if (!curl)
        om_log(OM_ERROR, "no memory to look at the programs");
    curl_easy_cleanup(curl);
    return NULL;
}

static void
destroy(struct watcher *self)
{
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    om_buf_finish(&self->page);
    free(self->targets);
    free(self);
}

struct watcher *
watcher_start(const char *targets, int64_t interval_ms)
{
    struct watcher *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&self->lock, NULL);
    self->interval_ms = interval_ms;
    self->targets = strdup(targets);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (self->targets && pthread_create(&self->thread, NULL, watch, self) == 0)
        return self;
    destroy(self);
    return NULL;
}

void
watcher_stop(struct watcher **self_p)
{
    struct watcher *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    destroy(self);
}

bool
watcher_take(struct watcher *self, struct look *out)
{
    pthread_mutex_lock(&self->lock);
    bool fresh = self->fresh;
    if (fresh)
        *out = self->latest;
    self->fresh = false;
    pthread_mutex_unlock(&self->lock);
    return fresh;
}

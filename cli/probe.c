#include <curl/curl.h>
#include <stdlib.h>

#include "clock.h"
#include "probe.h"

// The first answers decide how soon a start is noticed; later there is no hurry.
enum { EAGER_MS = 2000, EAGER_INTERVAL_MS = 5, INTERVAL_MS = 100, TIMEOUT_MS = 2000 };

struct probe {
    CURLM *multi;
    CURL *easy;
    bool asking, ready;
    int64_t began_ms, next_ms;
};

static size_t
ignore(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

struct probe *
probe_create(const char *url)
{
    struct probe *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->multi = curl_multi_init();
    self->easy = curl_easy_init();
    self->began_ms = om_clock_mono_ms();
    if (!self->multi || !self->easy) {
        probe_destroy(&self);
        return NULL;
    }
    curl_easy_setopt(self->easy, CURLOPT_URL, url);
    curl_easy_setopt(self->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, ignore);
    // Our own child on this machine, by an address its certificate need not name; nothing
    // is told it.
    curl_easy_setopt(self->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(self->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    return self;
}

void
probe_destroy(struct probe **self_p)
{
    struct probe *self = *self_p;
    if (!self)
        return;
    if (self->asking)
        curl_multi_remove_handle(self->multi, self->easy);
    curl_easy_cleanup(self->easy);
    curl_multi_cleanup(self->multi);
    free(self);
    *self_p = NULL;
}

bool
probe_ready(struct probe *self, int64_t now_ms)
{
    if (!self->ready && !self->asking && now_ms >= self->next_ms) {
        self->asking = true;
        curl_multi_add_handle(self->multi, self->easy);
    }
    if (!self->asking)
        return self->ready;

    int running = 0, left;
    curl_multi_perform(self->multi, &running);
    CURLMsg *message = curl_multi_info_read(self->multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return false;
    long status = 0;
    curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(self->multi, self->easy);
    self->asking = false;
    self->ready = status == 200;
    bool eager = now_ms - self->began_ms < EAGER_MS;
    self->next_ms = now_ms + (eager ? EAGER_INTERVAL_MS : INTERVAL_MS);
    return self->ready;
}

void
probe_wait(struct probe *self, int fd, int64_t next_ms)
{
    if (!self->ready && !self->asking && self->next_ms < next_ms)
        next_ms = self->next_ms;
    int64_t wait_ms = next_ms - om_clock_mono_ms();
    wait_ms = wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : wait_ms;
    struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
    curl_multi_poll(self->multi, &extra, 1, (int)wait_ms, NULL);
}

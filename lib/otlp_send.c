#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "clock.h"
#include "id.h"
#include "otlp_send.h"

enum {
    ANSWER_MAX = 64 * 1024, // what is read of an answer
    WHY_MAX = 256,
    BACKOFF_MS = 1000, // doubled at each try, with full jitter
    BACKOFF_CAP_MS = 5000,
    PAUSE_MAX_MS = 5 * 60 * 1000, // of what Retry-After may ask
    GZIP_WINDOW = 15 + 16,
    GZIP_MEMORY = 8,
};

struct om_otlp_sender {
    const struct om_otlp_conf *conf;
    int stop_fd;
    const _Atomic int64_t *end_ms;
    CURL *curl;
    CURLM *multi; // drives `curl`, so that the end can come meanwhile
    struct curl_slist *headers;
    struct om_buf request, packed, answer;
    int64_t pause_ms;
    char why[WHY_MAX], error[CURL_ERROR_SIZE];
};

static bool
is_stopping(const struct om_otlp_sender *self)
{
    return *self->end_ms != 0;
}

// What is more than ANSWER_MAX of an answer ends the request.
static size_t
on_answer(char *data, size_t size, size_t count, void *context)
{
    struct om_otlp_sender *self = context;
    if (self->answer.size + size * count > ANSWER_MAX)
        return 0;
    om_buf_put(&self->answer, data, size * count);
    return size * count;
}

static bool
add_header(struct om_otlp_sender *self, struct om_str key, struct om_str value)
{
    char *line;
    if (asprintf(&line, "%.*s: %.*s", (int)key.size, key.data, (int)value.size,
                 value.data) < 0)
        return false;
    struct curl_slist *list = curl_slist_append(self->headers, line);
    free(line);
    if (list)
        self->headers = list;
    return list != NULL;
}

static void
set_options(struct om_otlp_sender *self)
{
    const struct om_otlp_conf *conf = self->conf;
    CURL *curl = self->curl;
    curl_easy_setopt(curl, CURLOPT_URL, conf->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "OTel-OTLP-Exporter-Omni/" OMNI_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, self->headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, self->error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, self);
    if (*conf->certificate)
        curl_easy_setopt(curl, CURLOPT_CAINFO, conf->certificate);
    if (*conf->client_certificate)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, conf->client_certificate);
    if (*conf->client_key)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, conf->client_key);
}

struct om_otlp_sender *
om_otlp_sender_create(const struct om_otlp_conf *conf, int stop_fd,
                      const _Atomic int64_t *end_ms)
{
    struct om_otlp_sender *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->conf = conf;
    self->stop_fd = stop_fd;
    self->end_ms = end_ms;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        self->curl = curl_easy_init();
    self->multi = self->curl ? curl_multi_init() : NULL;
    bool made =
        self->multi &&
        add_header(self, OM_LIT("Content-Type"),
                   conf->form == OM_OTLP_JSON ? OM_LIT("application/json")
                                              : OM_LIT("application/x-protobuf")) &&
        add_header(self, OM_LIT("Expect"), OM_LIT(""));
    if (made && conf->gzip)
        made = add_header(self, OM_LIT("Content-Encoding"), OM_LIT("gzip"));
    for (size_t i = 0; made && i < conf->header_count; i++)
        made = add_header(self, conf->headers[i].key, conf->headers[i].value);
    if (!made) {
        om_otlp_sender_destroy(&self);
        return NULL;
    }
    set_options(self);
    return self;
}

void
om_otlp_sender_destroy(struct om_otlp_sender **self_p)
{
    struct om_otlp_sender *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    curl_slist_free_all(self->headers);
    curl_easy_cleanup(self->curl);
    curl_multi_cleanup(self->multi);
    curl_global_cleanup();
    om_buf_finish(&self->request);
    om_buf_finish(&self->packed);
    om_buf_finish(&self->answer);
    free(self);
}

// The request as it is sent; data NULL: no memory.
static struct om_str
pack(struct om_otlp_sender *self)
{
    struct om_str plain = om_buf_str(&self->request);
    if (self->request.failed || !self->conf->gzip)
        return self->request.failed ? (struct om_str){ 0 } : plain;
    z_stream stream = { .next_in = (Bytef *)plain.data, .avail_in = (uInt)plain.size };
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return (struct om_str){ 0 };
    uLong most = deflateBound(&stream, plain.size);
    om_buf_reset(&self->packed);
    char *out = om_buf_room(&self->packed, most);
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)most;
    bool done = out && deflate(&stream, Z_FINISH) == Z_STREAM_END;
    size_t size = stream.total_out;
    deflateEnd(&stream);
    return done ? (struct om_str){ out, size } : (struct om_str){ 0 };
}

// Perform the request; once it is time to end, no longer than then.
static CURLcode
perform(struct om_otlp_sender *self)
{
    CURLcode code = CURLE_FAILED_INIT;
    int running = 1;
    curl_multi_add_handle(self->multi, self->curl);
    while (running && curl_multi_perform(self->multi, &running) == CURLM_OK && running) {
        struct curl_waitfd stop = { self->stop_fd, CURL_WAIT_POLLIN, 0 };
        int64_t left_ms = is_stopping(self) ? *self->end_ms - om_clock_mono_ms() : 60000;
        if (left_ms <= 0)
            break;
        curl_multi_poll(self->multi, is_stopping(self) ? NULL : &stop, !is_stopping(self),
                        (int)left_ms, NULL);
    }
    const CURLMsg *done = curl_multi_info_read(self->multi, &running);
    if (done && done->msg == CURLMSG_DONE)
        code = done->data.result;
    else if (is_stopping(self))
        code = CURLE_OPERATION_TIMEDOUT;
    curl_multi_remove_handle(self->multi, self->curl);
    return code;
}

// One POST. Returns NULL when it was taken; *retry: it may be tried again.
static const char *
post(struct om_otlp_sender *self, struct om_str body, int64_t left_ms, size_t count,
     bool *retry)
{
    CURL *curl = self->curl;
    long status = 0;
    curl_off_t after_s = 0;
    int64_t timeout_ms =
        self->conf->timeout_ms < left_ms ? self->conf->timeout_ms : left_ms;
    om_buf_reset(&self->answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : 1));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    CURLcode code = perform(self);
    *retry = code != CURLE_OK && code != CURLE_WRITE_ERROR;
    if (code != CURLE_OK) {
        snprintf(self->why, sizeof(self->why), "%s",
                 *self->error ? self->error : curl_easy_strerror(code));
        return self->why;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after_s);
    if (status / 100 != 2) {
        *retry = status == 429 || (status >= 502 && status <= 504);
        int64_t after_ms = after_s < PAUSE_MAX_MS / 1000 ? after_s * 1000 : PAUSE_MAX_MS;
        self->pause_ms = *retry && after_ms > 0 ? om_clock_mono_ms() + after_ms : 0;
        snprintf(self->why, sizeof(self->why), "it answers with status %ld", status);
        return self->why;
    }
    int64_t refused;
    if (!om_otlp_read_answer(self->conf->form, om_buf_str(&self->answer), &refused,
                             self->why, sizeof(self->why)))
        return "its answer is not one of OTLP";
    if ((uint64_t)refused > count)
        refused = (int64_t)count;
    om_span_count(count - (uint64_t)refused, (uint64_t)refused);
    return NULL;
}

static int64_t
backoff_ms(unsigned tries)
{
    int64_t most = BACKOFF_MS << (tries < 8 ? tries : 8);
    uint32_t random;
    memcpy(&random, om_random_id(sizeof(random)), sizeof(random));
    return 1 + random % (most < BACKOFF_CAP_MS ? most : BACKOFF_CAP_MS);
}

// Wait, but not when it is time to end. False: it is.
static bool
wait(const struct om_otlp_sender *self, int64_t ms)
{
    struct pollfd stop = { self->stop_fd, POLLIN, 0 };
    return !is_stopping(self) && poll(&stop, 1, (int)ms) == 0;
}

const char *
om_otlp_send(struct om_otlp_sender *self, struct om_str spans, size_t count)
{
    struct om_otlp_resource resource = { self->conf->pairs, self->conf->pair_count };
    om_buf_reset(&self->request);
    om_otlp_put_request(&self->request, self->conf->form, &resource, spans);
    struct om_str body = pack(self);
    int64_t paused_ms = self->pause_ms - om_clock_mono_ms();
    if (paused_ms > 0)
        (void)wait(self, paused_ms); // the queue fills meanwhile
    int64_t until_ms = om_clock_mono_ms() + self->conf->deadline_ms;
    const char *why = "no memory";
    for (unsigned tries = 0; body.data; tries++) {
        bool retry;
        int64_t now_ms = om_clock_mono_ms();
        int64_t end_ms =
            is_stopping(self) && *self->end_ms < until_ms ? *self->end_ms : until_ms;
        self->pause_ms = 0;
        why = post(self, body, end_ms - now_ms, count, &retry);
        if (!why)
            return *self->why ? self->why : NULL;
        now_ms = om_clock_mono_ms();
        int64_t pause_ms = self->pause_ms ? self->pause_ms - now_ms : backoff_ms(tries);
        if (!retry || now_ms + pause_ms >= until_ms || !wait(self, pause_ms))
            break;
    }
    om_span_count(0, count);
    return why;
}

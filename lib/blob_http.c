#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "blob_store.h"
#include "id.h"

enum {
    TRIES = 5,
    BACKOFF_MS = 100, // doubled at each try, with full jitter
    CONNECT_MS = 3000,
    TOTAL_MS = 15 * 60 * 1000,
    STALL_BYTES = 1000, // a second, on average over
    STALL_S = 20,
    ASK_BYTES = 1 << 20, // an upload from here on asks first whether it is wanted
    ANSWER_MAX = 4096,
};

// One GET or PUT of the edge's route, kept over its tries.
struct transfer {
    struct om_blob_store *store;
    const struct om_blob_caller *caller;
    const struct om_blob_ref *ref;
    int fd;         // the file that is sent, or filled
    int64_t upload; // bytes to send; -1: receive
    int64_t moved;
    enum om_rc failed; // why a callback ended it
    CURL *curl;
    size_t answer_size; // of a PUT
    char answer[ANSWER_MAX];
};

static enum om_rc
http_check(struct om_blob_store *store, char *why, size_t why_size)
{
    CURLU *url = curl_url();
    bool valid = url && strlen(store->base) > strlen(store->kind->scheme) &&
                 curl_url_set(url, CURLUPART_URL, store->base, 0) == CURLUE_OK;
    curl_url_cleanup(url);
    if (valid && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        return OM_OK;
    snprintf(why, why_size, "\"%s\" is no URL for blobs: use http://HOST:PORT",
             store->base);
    return OM_EINVAL;
}

static bool
is_cancelled(const struct om_blob_caller *caller)
{
    return caller && caller->cancelled && caller->cancelled(caller->context);
}

static int
on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *self = context;
    (void)a, (void)b, (void)c, (void)d;
    if (is_cancelled(self->caller))
        self->failed = OM_ECANCELLED;
    return self->failed != OM_OK;
}

static size_t
on_send(char *out, size_t size, size_t count, void *context)
{
    struct transfer *self = context;
    ssize_t got = pread(self->fd, out, size * count, self->moved);
    if (got < 0) {
        self->failed = blob_rc_of_errno(errno);
        return CURL_READFUNC_ABORT;
    }
    self->moved += got;
    return (size_t)got;
}

// Bytes of a blob go to the file; those of a PUT's answer, or of an error, to memory.
static size_t
on_receive(char *data, size_t size, size_t count, void *context)
{
    struct transfer *self = context;
    long status = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    size_t bytes = size * count;
    if (self->upload >= 0 || status != 200) {
        size_t room = sizeof(self->answer) - self->answer_size;
        size_t kept = bytes < room ? bytes : room;
        memcpy(self->answer + self->answer_size, data, kept);
        self->answer_size += kept;
        return bytes;
    }
    if (self->moved + (int64_t)bytes > OM_BLOB_BYTES_MAX)
        self->failed = OM_ETOOBIG;
    else if (pwrite(self->fd, data, bytes, self->moved) != (ssize_t)bytes)
        self->failed = errno == ENOSPC ? OM_ENOSPACE : OM_EDB;
    self->moved += (int64_t)bytes;
    return self->failed == OM_OK ? bytes : 0;
}

// What an HTTP status means here. 5xx is worth another try.
static enum om_rc
rc_of_status(long status)
{
    switch (status) {
    case 200:
    case 201:
        return OM_OK;
    case 401:
        return OM_EAUTH;
    case 403:
        return OM_EFORBIDDEN;
    case 404:
        return OM_ENOTFOUND;
    case 413:
        return OM_ETOOBIG;
    case 422:
        return OM_EREUSED;
    default:
        return status >= 500 || status == 408 || status == 429 ? OM_EUNAVAILABLE
                                                               : OM_EINVAL;
    }
}

static void
set_options(struct transfer *self, const char *url, struct curl_slist *headers)
{
    CURL *curl = self->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); // the edge is inside
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TOTAL_MS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, self);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, self);
    if (self->upload >= 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)self->upload);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(curl, CURLOPT_READDATA, self);
    }
}

static enum om_rc
try_once(struct transfer *self)
{
    char ref[OM_BLOB_REF_MAX], url[1024], bearer[600];
    om_blob_ref_text(self->ref, ref);
    int size = snprintf(url, sizeof(url), "%s/internal/blobs/%s", self->store->base, ref);
    struct om_str grant = self->caller ? self->caller->grant : (struct om_str){ 0 };
    int room = snprintf(bearer, sizeof(bearer), "Authorization: Bearer %.*s",
                        (int)grant.size, grant.data ? grant.data : "");
    if (size >= (int)sizeof(url) || room >= (int)sizeof(bearer))
        return OM_EINVAL;

    self->moved = 0;
    self->answer_size = 0;
    self->failed =
        ftruncate(self->fd, self->upload >= 0 ? self->upload : 0) ? OM_EDB : OM_OK;
    struct curl_slist *headers = curl_slist_append(NULL, bearer);
    if (headers && self->upload < ASK_BYTES)
        headers = curl_slist_append(headers, "Expect:"); // curl would ask, and wait
    self->curl = curl_easy_init();
    if (!self->curl || !headers)
        abort();
    set_options(self, url, headers);
    CURLcode code = self->failed == OM_OK ? curl_easy_perform(self->curl) : CURLE_OK;
    long status = 0;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(self->curl);
    curl_slist_free_all(headers);
    if (self->failed != OM_OK)
        return self->failed;
    // A server that refuses early may close before it has read everything.
    if (code != CURLE_OK && status < 400)
        return code == CURLE_OPERATION_TIMEDOUT ? OM_ETIMEOUT : OM_EUNAVAILABLE;
    return rc_of_status(status);
}

// Wait before try number `n`, in steps short enough to notice a cancel.
static enum om_rc
back_off(const struct om_blob_caller *caller, int n)
{
    uint32_t random;
    om_random(&random, sizeof(random));
    for (int left_ms = (int)(random % (uint32_t)(BACKOFF_MS << n)); left_ms > 0;) {
        if (is_cancelled(caller))
            return OM_ECANCELLED;
        int step_ms = left_ms < 100 ? left_ms : 100;
        nanosleep(&(struct timespec){ 0, step_ms * 1000000L }, NULL);
        left_ms -= step_ms;
    }
    return OM_OK;
}

static enum om_rc
run(struct transfer *self)
{
    enum om_rc rc = OM_OK;
    for (int n = 0; n < TRIES; n++) {
        rc = n ? back_off(self->caller, n) : OM_OK;
        if (rc == OM_OK)
            rc = try_once(self);
        if (rc != OM_EUNAVAILABLE && rc != OM_ETIMEOUT)
            break;
    }
    return rc;
}

// A file without a name: it goes when it is closed, however this process ends.
static enum om_rc
open_temporary(int *fd)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    int size = snprintf(path, sizeof(path), "%s/omni-blob-XXXXXX",
                        folder && *folder ? folder : "/tmp");
    *fd = size < (int)sizeof(path) ? mkostemp(path, O_CLOEXEC) : -1;
    if (*fd < 0)
        return size < (int)sizeof(path) ? blob_rc_of_errno(errno) : OM_EDB;
    unlink(path);
    return OM_OK;
}

static enum om_rc
http_begin(struct om_blob_writer *writer)
{
    return open_temporary(&writer->fd);
}

// Has the edge stored the bytes that were sent?
static bool
answer_agrees(const struct transfer *done, const struct om_blob_info *info)
{
    json_t *answer = json_loadb(done->answer, done->answer_size, 0, NULL);
    const char *sha256 = json_string_value(json_object_get(answer, "sha256"));
    bool agrees = sha256 && strcmp(sha256, info->sha256) == 0 &&
                  json_integer_value(json_object_get(answer, "bytes")) == info->bytes;
    json_decref(answer);
    return agrees;
}

static enum om_rc
http_commit(struct om_blob_writer *writer)
{
    struct transfer put = { .store = writer->store,
                            .caller = writer->caller,
                            .ref = &writer->ref,
                            .fd = writer->fd,
                            .upload = writer->info.bytes };
    enum om_rc rc = run(&put);
    return rc == OM_OK && !answer_agrees(&put, &writer->info) ? OM_EPROTO : rc;
}

static void
http_discard(struct om_blob_writer *writer)
{
    (void)writer;
}

static enum om_rc
http_open(struct om_blob_store *store, const struct om_blob_caller *caller,
          const struct om_blob_ref *ref, int *fd)
{
    enum om_rc rc = open_temporary(fd);
    if (rc != OM_OK)
        return rc;
    struct transfer get = { store, caller, ref, .fd = *fd, .upload = -1 };
    rc = run(&get);
    if (rc == OM_OK && lseek(*fd, 0, SEEK_SET) != 0)
        rc = OM_EDB;
    if (rc != OM_OK)
        close(*fd);
    return rc;
}

const struct blob_store_kind blob_http_kind = {
    "http://", http_check, http_begin, http_commit, http_discard, http_open,
};

const struct blob_store_kind blob_https_kind = {
    "https://", http_check, http_begin, http_commit, http_discard, http_open,
};

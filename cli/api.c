#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api.h"
#include "home.h"

enum {
    ANSWER_MAX = 64 << 20,
    CONNECT_MS = 5000,
    SILENCE_S = 120, // longer than any wait the interface allows
    PATH_TEXT_MAX = 2048,
    ESCAPED = 8,
    ESCAPED_MAX = 512,
};

struct api {
    CURL *curl;
    struct curl_slist *fields;
    char url[256];
    char error[CURL_ERROR_SIZE];
};

struct answer {
    char *data;
    size_t size;
};

// ---- opening

struct api *
api_open_at(const char *url, const char *key)
{
    char field[256];
    struct api *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    size_t size = strlen(url);
    while (size && url[size - 1] == '/')
        size--;
    snprintf(self->url, sizeof(self->url), "%.*s", (int)size, url);
    snprintf(field, sizeof(field), "Authorization: Bearer %s", key);
    self->fields = curl_slist_append(self->fields, field);
    self->fields = curl_slist_append(self->fields, "Accept: application/json");
    self->fields = curl_slist_append(self->fields, "Expect:");
    self->curl = curl_easy_init();
    if (!self->curl)
        api_close(&self);
    return self;
}

static const char *
choose(const char *given, const char *variable, const char *fallback)
{
    const char *value = given ? given : getenv(variable);
    return value && *value ? value : fallback;
}

// The key in a data folder is given only to the Omni that runs on it, or that the user
// named together with the folder.
struct api *
api_open(const struct args *args)
{
    static char found_url[256], found_key[192];
    const char *named = choose(args_get(args, "data"), "OMNI_DATA", NULL);
    const char *dir = named ? named : "data";
    const char *url = choose(args_get(args, "url"), "OMNI_URL", NULL);
    const char *key = choose(args_get(args, "key"), "OMNI_API_KEY", NULL);
    bool local = !url || named;
    if (!url && home_find_url(dir, found_url, sizeof(found_url)))
        url = found_url;
    if (!url && named) {
        args_fail(0, "no Omni runs on %s; start it with: omni up --data %s", dir, dir);
        return NULL;
    }
    if (!key && local && home_read_key(dir, found_key, sizeof(found_key)))
        key = found_key;
    if (!key) {
        args_fail(0,
                  "no API key: give --key or set OMNI_API_KEY, or name with --data the "
                  "folder of an Omni that runs on this machine");
        return NULL;
    }
    url = url ? url : "http://127.0.0.1:8080";
    if (strpbrk(key, "\r\n") || strlen(key) > 180 || strlen(url) > 250) {
        args_fail(0, "the API key or the URL is malformed");
        return NULL;
    }
    return api_open_at(url, key);
}

void
api_close(struct api **self_p)
{
    struct api *self = *self_p;
    if (!self)
        return;
    curl_slist_free_all(self->fields);
    curl_easy_cleanup(self->curl);
    free(self);
    *self_p = NULL;
}

void
api_reply_finish(struct api_reply *reply)
{
    json_decref(reply->body);
    *reply = (struct api_reply){ 0 };
}

const char *
api_escape(const char *text)
{
    static char texts[ESCAPED][ESCAPED_MAX];
    static unsigned next;
    char *out = texts[next++ % ESCAPED];
    size_t size = 0;
    for (const unsigned char *at = (const void *)text; *at && size < ESCAPED_MAX - 4;
         at++)
        if (strchr("-_.~", *at) || (*at >= '0' && *at <= '9') ||
            ((*at | 32) >= 'a' && (*at | 32) <= 'z'))
            out[size++] = (char)*at;
        else
            size += (size_t)snprintf(out + size, 4, "%%%02X", *at);
    out[size] = '\0';
    return out;
}

// ---- talking

static size_t
receive(char *data, size_t size, size_t count, void *context)
{
    struct answer *answer = context;
    size *= count;
    if (answer->size + size > ANSWER_MAX)
        return 0;
    char *grown = realloc(answer->data, answer->size + size + 1);
    if (!grown)
        return 0;
    memcpy(grown + answer->size, data, size);
    answer->data = grown;
    answer->size += size;
    return size;
}

static void
report(const struct api *self, const struct api_reply *reply)
{
    const char *message = NULL, *code = NULL, *request = NULL, *param = NULL;
    json_unpack(reply->body, "{s:{s?s,s?s,s?s,s?s}}", "error", "message", &message,
                "code", &code, "request_id", &request, "param", &param);
    if (!message) {
        args_fail(0, "%s answered %ld", self->url, reply->status);
        return;
    }
    fprintf(stderr, "omni: %s\n      (%ld %s%s%s%s%s)\n", message, reply->status,
            code ? code : "", param ? ", field " : "", param ? param : "",
            request ? ", " : "", request ? request : "");
}

static int
perform(struct api *self, struct api_reply *reply, const char *path)
{
    char url[sizeof(self->url) + PATH_TEXT_MAX];
    struct answer answer = { 0 };
    snprintf(url, sizeof(url), "%s%s", self->url, path);
    self->error[0] = '\0';
    curl_easy_setopt(self->curl, CURLOPT_URL, url);
    curl_easy_setopt(self->curl, CURLOPT_NOSIGNAL, 1L);
    const char *roots = getenv("SSL_CERT_FILE"); // as curl and Python have it
    if (roots && *roots)
        curl_easy_setopt(self->curl, CURLOPT_CAINFO, roots);
    curl_easy_setopt(self->curl, CURLOPT_USERAGENT, "omni/" OMNI_VERSION);
    curl_easy_setopt(self->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, self->fields);
    curl_easy_setopt(self->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(self->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(self->curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    curl_easy_setopt(self->curl, CURLOPT_ERRORBUFFER, self->error);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, &answer);
    CURLcode code = curl_easy_perform(self->curl);
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_reset(self->curl);
    if (answer.size)
        reply->body = json_loadb(answer.data, answer.size, JSON_DECODE_ANY, NULL);
    free(answer.data);
    if (code != CURLE_OK)
        return args_fail(EXIT_UNREACHABLE, "cannot reach Omni at %s: %s", self->url,
                         *self->error ? self->error : curl_easy_strerror(code));
    if (reply->status < 200 || reply->status > 299) {
        report(self, reply);
        return EXIT_REFUSED;
    }
    return EXIT_DONE;
}

void
api_set_field(struct api *self, const char *name, const char *value)
{
    char field[320];
    snprintf(field, sizeof(field), "%s: %s", name, value);
    self->fields = curl_slist_append(self->fields, field);
}

int
api_call(struct api *self, struct api_reply *reply, const char *method, json_t *body,
         const char *path, ...)
{
    char text[PATH_TEXT_MAX];
    va_list list;
    va_start(list, path);
    vsnprintf(text, sizeof(text), path, list);
    va_end(list);

    *reply = (struct api_reply){ 0 };
    char *encoded = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    curl_easy_setopt(self->curl, CURLOPT_CUSTOMREQUEST, method);
    struct curl_slist *plain = self->fields;
    if (encoded) {
        curl_easy_setopt(self->curl, CURLOPT_POSTFIELDS, encoded);
        self->fields = NULL;
        for (struct curl_slist *field = plain; field; field = field->next)
            self->fields = curl_slist_append(self->fields, field->data);
        self->fields = curl_slist_append(self->fields, "Content-Type: application/json");
    }
    int status = perform(self, reply, text);
    if (encoded)
        curl_slist_free_all(self->fields);
    self->fields = plain;
    free(encoded);
    return status;
}

// Takes `part`'s form: purpose first, so that the server knows it before the bytes come.
static int
send_form(struct api *self, struct api_reply *reply, curl_mime *form)
{
    curl_easy_setopt(self->curl, CURLOPT_MIMEPOST, form);
    int status = perform(self, reply, "/v1/files");
    curl_mime_free(form);
    return status;
}

static curl_mimepart *
start_form(struct api *self, const char *purpose, const char *filename, curl_mime **form)
{
    *form = curl_mime_init(self->curl);
    curl_mimepart *part = curl_mime_addpart(*form);
    curl_mime_name(part, "purpose");
    curl_mime_data(part, purpose, CURL_ZERO_TERMINATED);
    part = curl_mime_addpart(*form);
    curl_mime_name(part, "file");
    curl_mime_type(part, "text/csv");
    curl_mime_filename(part, filename);
    return part;
}

int
api_upload(struct api *self, struct api_reply *reply, const char *purpose,
           const char *filename, const char *path)
{
    curl_mime *form;
    curl_mimepart *part = start_form(self, purpose, filename, &form);
    *reply = (struct api_reply){ 0 };
    if (curl_mime_filedata(part, path) != CURLE_OK) {
        curl_mime_free(form);
        return args_fail(EXIT_USAGE, "cannot read %s", path);
    }
    curl_mime_filename(part, filename);
    return send_form(self, reply, form);
}

int
api_upload_bytes(struct api *self, struct api_reply *reply, const char *purpose,
                 const char *filename, const char *bytes, size_t size)
{
    curl_mime *form;
    curl_mimepart *part = start_form(self, purpose, filename, &form);
    *reply = (struct api_reply){ 0 };
    curl_mime_data(part, bytes, size);
    return send_form(self, reply, form);
}

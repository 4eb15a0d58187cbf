#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http_ask.h"

static void
init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
http_answer_finish(struct http_answer *self)
{
    om_buf_finish(&self->text);
    json_decref(self->body);
    *self = (struct http_answer){ 0 };
}

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    om_buf_put(context, data, size * count);
    return size * count;
}

static size_t
on_field(char *data, size_t size, size_t count, void *context)
{
    struct http_answer *answer = context;
    size_t used = strlen(answer->fields), room = sizeof(answer->fields) - used - 1;
    size_t take = size * count < room ? size * count : room;
    memcpy(answer->fields + used, data, take);
    answer->fields[used + take] = '\0';
    return size * count;
}

static void
add_field(struct http_call *self, const char *name, const char *value)
{
    char line[1024];
    cr_assert_lt(snprintf(line, sizeof(line), "%s%s", name, value), (int)sizeof(line));
    self->fields = curl_slist_append(self->fields, line);
}

static void
add_form(struct http_call *self, const struct http_form *form)
{
    self->form = curl_mime_init(self->curl);
    if (form->purpose) {
        curl_mimepart *part = curl_mime_addpart(self->form);
        curl_mime_name(part, "purpose");
        curl_mime_data(part, form->purpose, CURL_ZERO_TERMINATED);
    }
    if (form->file.data) {
        curl_mimepart *part = curl_mime_addpart(self->form);
        curl_mime_name(part, "file");
        curl_mime_filename(part, form->name);
        curl_mime_data(part, form->file.data, form->file.size);
    }
    if (form->chunked)
        add_field(self, "Transfer-Encoding: ", "chunked");
    curl_easy_setopt(self->curl, CURLOPT_MIMEPOST, self->form);
}

// The body is copied: whoever begins a call may forget it.
static void
add_body(struct http_call *self, const struct http_ask *ask)
{
    size_t size = ask->body_size ? ask->body_size : strlen(ask->body);
    curl_easy_setopt(self->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(self->curl, CURLOPT_COPYPOSTFIELDS, ask->body);
}

static void
add_fields(struct http_call *self, const struct http_ask *ask)
{
    if (ask->key)
        add_field(self, "Authorization: Bearer ", ask->key);
    if (ask->idempotency)
        add_field(self, "Idempotency-Key: ", ask->idempotency);
    for (size_t i = 0; i < HTTP_FIELDS && ask->fields[i]; i++)
        add_field(self, ask->fields[i], "");
    curl_easy_setopt(self->curl, CURLOPT_HTTPHEADER, self->fields);
}

void
http_call_begin(struct http_call *self, const struct http_ask *ask,
                struct http_answer *answer)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char url[HTTP_URL];
    pthread_once(&once, init_curl);
    *self =
        (struct http_call){ .curl = ask->connection ? ask->connection : curl_easy_init(),
                            .kept = ask->connection,
                            .answer = answer };
    cr_assert_lt(snprintf(url, sizeof(url), "%s%s", ask->url, ask->path),
                 (int)sizeof(url));
    curl_easy_reset(self->curl); // of the last request; its connection is kept
    curl_easy_setopt(self->curl, CURLOPT_URL, url);
    curl_easy_setopt(self->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(self->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(self->curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(self->curl, CURLOPT_WRITEDATA, &answer->text);
    curl_easy_setopt(self->curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(self->curl, CURLOPT_HEADERDATA, answer);
    curl_easy_setopt(self->curl, CURLOPT_TIMEOUT_MS,
                     (long)(ask->wait_ms ? ask->wait_ms : HTTP_WAIT_MS));
    if (ask->form)
        add_form(self, ask->form);
    else if (ask->body)
        add_body(self, ask);
    if (ask->method && strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(self->curl, CURLOPT_NOBODY, 1L);
    else if (ask->method)
        curl_easy_setopt(self->curl, CURLOPT_CUSTOMREQUEST, ask->method);
    add_fields(self, ask);
    http_answer_finish(answer); // not before: the request may name what it holds
}

void
http_call_end(struct http_call *self)
{
    struct http_answer *answer = self->answer;
    const char *type = NULL;
    curl_easy_getinfo(self->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(self->curl, CURLINFO_CONTENT_TYPE, &type);
    snprintf(answer->type, sizeof(answer->type), "%s", type ? type : "");
    if (answer->text.size)
        answer->body = json_loadb(answer->text.data, answer->text.size, 0, NULL);
    om_buf_put(&answer->text, "", 1);
    answer->text.size--;
    if (self->kept)
        curl_easy_reset(self->curl); // it names what is freed here
    else
        curl_easy_cleanup(self->curl);
    curl_slist_free_all(self->fields);
    curl_mime_free(self->form);
    *self = (struct http_call){ 0 };
}

CURLcode
http_try(const struct http_ask *ask, struct http_answer *answer)
{
    struct http_call call;
    http_call_begin(&call, ask, answer);
    CURLcode code = curl_easy_perform(call.curl);
    http_call_end(&call);
    return code;
}

long
http_ask(const struct http_ask *ask, struct http_answer *answer)
{
    CURLcode code = http_try(ask, answer);
    cr_assert_eq(code, CURLE_OK, "%s%s: %s", ask->url, ask->path,
                 curl_easy_strerror(code));
    return answer->status;
}

const char *
http_field(const struct http_answer *self, const char *name)
{
    static _Thread_local char value[512];
    char start[64];
    snprintf(start, sizeof(start), "\n%s: ", name);
    const char *at = strcasestr(self->fields, start);
    at = at ? at + strlen(start) : "";
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r\n"), at);
    return value;
}

json_t *
http_member(const struct http_answer *self, const char *path)
{
    json_t *at = self->body;
    while (at && *path) {
        size_t size = strcspn(path, ".");
        at = json_object_getn(at, path, size);
        path += size + (path[size] == '.');
    }
    return at;
}

const char *
http_text(const struct http_answer *self, const char *path)
{
    const char *text = json_string_value(http_member(self, path));
    return text ? text : "";
}

int64_t
http_number(const struct http_answer *self, const char *path)
{
    return json_integer_value(http_member(self, path));
}

// http_ask.h - a test's requests over HTTP, and their answers.
//
// A request is a value that borrows all it names. An answer belongs to the caller: it
// begins as { 0 }, holds what was answered last, and ends with http_answer_finish(). Each
// thread may ask, with answers and connections of its own. Proxies of the environment are
// not used. Of an answer's head the first HTTP_HEAD bytes are kept; its body has no
// limit.
#pragma once
#include <curl/curl.h>
#include <jansson.h>

#include "pack.h"

enum { HTTP_FIELDS = 8, HTTP_URL = 4096, HTTP_HEAD = 16 * 1024, HTTP_WAIT_MS = 20000 };

// A form of a file and its purpose; what is NULL is not in it.
struct http_form {
    const char *purpose, *name;
    struct om_str file;
    bool chunked; // its size is known only at its end
};

struct http_ask {
    const char *url;         // of the server, "http://127.0.0.1:1234"
    const char *path;        // with the query
    const char *method;      // NULL: POST with a body, GET without
    const char *key;         // NULL: none
    const char *idempotency; // the key of it; NULL: none
    const char *body;        // NULL: none
    size_t body_size;        // 0: up to its NUL
    const struct http_form *form;
    const char *fields[HTTP_FIELDS]; // "Name: value", until a NULL
    int64_t wait_ms;                 // for the answer; 0: HTTP_WAIT_MS
    CURL *connection;                // kept for the next one; NULL: one of its own
};

struct http_answer {
    long status;        // 0: none came
    struct om_buf text; // a NUL follows
    char fields[HTTP_HEAD];
    char type[64];
    json_t *body; // NULL: no JSON
};

void http_answer_finish(struct http_answer *self);

// Ask; the test fails when no answer comes. Returns its status.
long http_ask(const struct http_ask *ask, struct http_answer *answer);

// The same, where there may be none.
CURLcode http_try(const struct http_ask *ask, struct http_answer *answer);

// The halves of it, for requests that are under way at once in a curl_multi: between them
// `curl` is the caller's to perform, and `answer` must stay where it is.
struct http_call {
    CURL *curl;
    bool kept;
    struct curl_slist *fields;
    curl_mime *form;
    struct http_answer *answer;
};

void http_call_begin(struct http_call *self, const struct http_ask *ask,
                     struct http_answer *answer);
void http_call_end(struct http_call *self);

// The value of a header field, "" if there is none, until the thread asks for the next.
const char *http_field(const struct http_answer *self, const char *name);

// A member of the answer; "a.b" is b of a. NULL if there is none.
json_t *http_member(const struct http_answer *self, const char *path);

// Its text, "" if it has none; its number, 0 if it has none.
const char *http_text(const struct http_answer *self, const char *path);
int64_t http_number(const struct http_answer *self, const char *path);

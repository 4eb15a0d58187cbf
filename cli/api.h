// api.h - the client of the HTTP interface every command uses.
//
// One thread. A failed request has been reported on stderr when it returns.
#pragma once
#include <jansson.h>

#include "args.h"

struct api;

struct api_reply {
    long status;
    json_t *body; // NULL if the answer had none; freed by api_reply_finish
};

void api_reply_finish(struct api_reply *reply);

// Who to talk to, from --url, --key and --data or their defaults. NULL after a message.
struct api *api_open(const struct args *args);

// The same for a URL and a key that are known; no command line is asked.
struct api *api_open_at(const char *url, const char *key);
void api_close(struct api **self_p);

// Send a field in the head of all requests from now on.
void api_set_field(struct api *self, const char *name, const char *value);

// Send a request; `body` may be NULL and is taken. `path` is formatted; values in it come
// from api_escape() or are numbers. Returns EXIT_DONE, EXIT_REFUSED or EXIT_UNREACHABLE.
OM_MUST_CHECK int api_call(struct api *self, struct api_reply *reply, const char *method,
                           json_t *body, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

// Upload the bytes as a file named `filename`.
OM_MUST_CHECK int api_upload(struct api *self, struct api_reply *reply,
                             const char *purpose, const char *filename, const char *path);
OM_MUST_CHECK int api_upload_bytes(struct api *self, struct api_reply *reply,
                                   const char *purpose, const char *filename,
                                   const char *bytes, size_t size);

// Text as part of a path or query; static memory of which eight live at a time.
const char *api_escape(const char *text);

// http_message.h - what a request says and what is answered.
#pragma once
#include "rc.h"

//  symbol
#define OM_HTTP_METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)

enum om_http_method {
    OM_HTTP_OTHER, // known to HTTP, to no route of ours
#define OM_HTTP_METHOD_ENUM(symbol) OM_HTTP_##symbol,
    OM_HTTP_METHOD_LIST(OM_HTTP_METHOD_ENUM)
#undef OM_HTTP_METHOD_ENUM
        OM_HTTP_METHOD_COUNT
};

const char *om_http_method_name(enum om_http_method method);

enum {
    OM_HTTP_HEAD_MAX = 16 * 1024,
    OM_HTTP_FIELDS_MAX = 100,
    OM_HTTP_QUERY_MAX = 32,
    OM_HTTP_SEGMENTS_MAX = 16,
    OM_HTTP_BODY_MAX =
        2 * 1024 * 1024, // of a body that is not streamed, if no limit is set
    OM_HTTP_REPLY_FIELDS_MAX = 24,
    OM_HTTP_REMOTE_MAX = 46, // an IPv6 address as text
};

struct om_http_field {
    struct om_str name, value;
};

// Where the parts of a request stand.
struct om_http_tables {
    struct om_str segments[OM_HTTP_SEGMENTS_MAX];
    struct om_http_field query[OM_HTTP_QUERY_MAX];
    struct om_http_field fields[OM_HTTP_FIELDS_MAX];
};

// A request. Everything in it is borrowed from the connection until the request ends:
// om_http_respond or on_gone.
struct om_http_request {
    uint64_t handle;
    enum om_http_method method;
    int minor_version;        // of HTTP/1.x
    struct om_str path;       // as it was sent, without the query
    struct om_str query_text; // as it was sent, without the question mark
    size_t segment_count, query_count, field_count;
    struct om_str *segments;     // of the path, percent-decoded
    struct om_http_field *query; // percent-decoded
    struct om_http_field *fields;
    bool has_body;
    bool keep_alive; // what the client wants
    bool expects_continue;
    int64_t content_length; // -1: the body is chunked
    struct om_str body;     // the whole body, unless it is streamed
    const char *remote;     // the client's address
    int64_t started_ms;     // first byte, on the loop's clock
    // Set by on_head:
    size_t body_limit; // in bytes; OM_HTTP_BODY_MAX before
    bool streamed;     // on_body gets the body piece by piece
    void *user;        // the caller's own
};

// The first header field, or query parameter, of that name (field names in any case).
// Absent: data == NULL.
struct om_str om_http_field(const struct om_http_request *request, const char *name);
struct om_str om_http_query(const struct om_http_request *request, const char *name);

// Does the path match a pattern like "/v1/files/{id}"? A "{name}" takes one segment that
// is neither empty nor dots. What each took goes to `params`, which has room for `max`.
bool om_http_match(const struct om_http_request *request, const char *pattern,
                   struct om_str *params, size_t max);

// A body that is read while it is sent. `close` is called once, whatever happens.
struct om_http_source {
    void *context;
    bool (*read)(void *context, void *out, size_t size, size_t *got);
    void (*close)(void *context);
};

// A response. Zero is a good start; what it points to is borrowed until the call that
// takes it returns. Content-length, date and connection are added.
struct om_http_response {
    int status;
    struct om_str content_type;
    struct om_str body;
    struct om_http_source source; // the body instead, if it has a `read`; taken
    int64_t source_bytes;         // how much it will give
    bool close;                   // close the connection after it
    size_t field_count;
    struct om_http_field fields[OM_HTTP_REPLY_FIELDS_MAX];
};

// Add a header field; control characters are left out when it is written.
void om_http_response_field(struct om_http_response *response, const char *name,
                            struct om_str value);

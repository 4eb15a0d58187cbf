#include "http_reply.h"

// clang-format off
#define STATUS_LIST(X)                                                                    \
    X(200, "OK") X(201, "Created") X(202, "Accepted") X(204, "No Content")                \
    X(206, "Partial Content") X(303, "See Other") X(304, "Not Modified")                  \
    X(400, "Bad Request") X(401, "Unauthorized") X(402, "Payment Required")               \
    X(403, "Forbidden") X(404, "Not Found") X(405, "Method Not Allowed")                  \
    X(408, "Request Timeout") X(409, "Conflict") X(410, "Gone")                           \
    X(412, "Precondition Failed") X(413, "Content Too Large") X(414, "URI Too Long")      \
    X(415, "Unsupported Media Type") X(417, "Expectation Failed")                         \
    X(422, "Unprocessable Content") X(429, "Too Many Requests")                           \
    X(431, "Request Header Fields Too Large") X(500, "Internal Server Error")             \
    X(501, "Not Implemented") X(502, "Bad Gateway") X(503, "Service Unavailable")         \
    X(504, "Gateway Timeout") X(505, "HTTP Version Not Supported")
// clang-format on

static const char *
reason_of(int status)
{
    switch (status) {
#define STATUS_CASE(number, reason)                                                      \
    case number:                                                                         \
        return reason;
        STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
    default:
        return "Status";
    }
}

bool
om_http_reply_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

void
om_http_response_field(struct om_http_response *response, const char *name,
                       struct om_str value)
{
    if (response->field_count < OM_HTTP_REPLY_FIELDS_MAX && value.data)
        response->fields[response->field_count++] =
            (struct om_http_field){ om_str(name), value };
}

static void
put(struct om_buf *buf, struct om_str text)
{
    om_buf_put(buf, text.data, text.size);
}

// Every answer has two of them: snprintf() takes longer than the rest of its head.
static void
put_number(struct om_buf *buf, int64_t number)
{
    char text[24], *at = text + sizeof(text);
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    om_buf_put(buf, at, (size_t)(text + sizeof(text) - at));
}

static bool
is_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7f;
}

// A value may come from outside: what could end the line stays out.
static void
put_field(struct om_buf *buf, struct om_str name, struct om_str value)
{
    put(buf, name);
    put(buf, OM_LIT(": "));
    size_t start = 0;
    for (size_t i = 0; i <= value.size; i++) {
        if (i < value.size && is_plain(value.data[i]))
            continue;
        om_buf_put(buf, value.data + start, i - start);
        start = i + 1;
    }
    put(buf, OM_LIT("\r\n"));
}

void
om_http_reply_head(struct om_buf *buf, const struct om_http_response *response,
                   const char *date, int minor_version, int64_t length, bool keep_alive)
{
    put(buf, OM_LIT("HTTP/1.1 "));
    put_number(buf, response->status);
    put(buf, OM_LIT(" "));
    put(buf, om_str(reason_of(response->status)));
    put(buf, OM_LIT("\r\ndate: "));
    put(buf, om_str(date));
    put(buf, OM_LIT("\r\n"));
    if (om_http_reply_has_body(response->status) && length >= 0) {
        put(buf, OM_LIT("content-length: "));
        put_number(buf, length);
        put(buf, OM_LIT("\r\n"));
    } else if (om_http_reply_has_body(response->status) &&
               length == OM_HTTP_LENGTH_CHUNKED) {
        put(buf, OM_LIT("transfer-encoding: chunked\r\n"));
    }
    if (response->content_type.data)
        put_field(buf, OM_LIT("content-type"), response->content_type);
    for (size_t i = 0; i < response->field_count; i++)
        put_field(buf, response->fields[i].name, response->fields[i].value);
    if (!keep_alive)
        put(buf, OM_LIT("connection: close\r\n"));
    else if (minor_version == 0)
        put(buf, OM_LIT("connection: keep-alive\r\n"));
    put(buf, OM_LIT("\r\n"));
}

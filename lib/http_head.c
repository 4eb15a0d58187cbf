#include <http_parser.h>
#include <strings.h>

#include "http_head.h"
#include "http_target.h"

static const char *const method_names[] = { [OM_HTTP_OTHER] = "OTHER",
#define METHOD_NAME(symbol) [OM_HTTP_##symbol] = #symbol,
                                            OM_HTTP_METHOD_LIST(METHOD_NAME)
#undef METHOD_NAME
};

const char *
om_http_method_name(enum om_http_method method)
{
    return method_names[method < OM_HTTP_METHOD_COUNT ? method : OM_HTTP_OTHER];
}

static struct om_str
find(const struct om_http_field *fields, size_t count, const char *name,
     int (*differ)(const char *, const char *, size_t))
{
    size_t size = strlen(name);
    for (size_t i = 0; i < count; i++)
        if (fields[i].name.size == size && differ(fields[i].name.data, name, size) == 0)
            return fields[i].value;
    return (struct om_str){ 0 };
}

struct om_str
om_http_field(const struct om_http_request *request, const char *name)
{
    return find(request->fields, request->field_count, name, strncasecmp);
}

struct om_str
om_http_query(const struct om_http_request *request, const char *name)
{
    return find(request->query, request->query_count, name, strncmp);
}

enum om_http_scan_result
om_http_scan(struct om_http_scan *scan, struct om_str bytes)
{
    // A method begins with a letter: whoever speaks TLS to this port hears so at once.
    if (scan->line == 0 && bytes.size > 0 && (bytes.data[0] < 'A' || bytes.data[0] > 'Z'))
        return OM_HTTP_SCAN_BAD;
    for (;;) {
        const char *at = memchr(bytes.data + scan->at, '\n', bytes.size - scan->at);
        if (!at) {
            scan->at = bytes.size;
            return OM_HTTP_SCAN_MORE;
        }
        scan->at = (size_t)(at - bytes.data) + 1;
        size_t line_size = scan->at - scan->line;
        if (line_size < 2 || at[-1] != '\r')
            return OM_HTTP_SCAN_BAD;
        if (line_size == 2)
            return OM_HTTP_SCAN_DONE;
        // A line that goes on in the next one (obs-fold) has been used to smuggle
        // requests.
        if (scan->line > 0 &&
            (bytes.data[scan->line] == ' ' || bytes.data[scan->line] == '\t'))
            return OM_HTTP_SCAN_BAD;
        scan->line = scan->at;
    }
}

// What the parser's callbacks collect.
struct parse {
    struct om_http_request *out;
    struct om_str target;
    bool after_value; // the last callback was for a value: the next name is a new field
    bool too_many;
};

static int
on_url(http_parser *parser, const char *at, size_t size)
{
    struct parse *parse = parser->data;
    if (!parse->target.data)
        parse->target.data = at;
    parse->target.size += size;
    return 0;
}

static int
on_name(http_parser *parser, const char *at, size_t size)
{
    struct parse *parse = parser->data;
    struct om_http_request *out = parse->out;
    if (parse->after_value || out->field_count == 0) {
        if (out->field_count == OM_HTTP_FIELDS_MAX) {
            parse->too_many = true;
            return 1;
        }
        out->fields[out->field_count++] = (struct om_http_field){ { at, 0 }, { at, 0 } };
        parse->after_value = false;
    }
    out->fields[out->field_count - 1].name.size += size;
    return 0;
}

static int
on_value(http_parser *parser, const char *at, size_t size)
{
    struct parse *parse = parser->data;
    struct om_str *value = &parse->out->fields[parse->out->field_count - 1].value;
    if (!parse->after_value)
        value->data = at;
    value->size += size;
    parse->after_value = true;
    return 0;
}

static int
on_head(http_parser *parser)
{
    (void)parser;
    return 1; // there is no body as far as the parser is concerned
}

static int
on_complete(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static enum om_http_method
method_of(unsigned method)
{
    switch (method) {
#define METHOD_CASE(symbol)                                                              \
    case HTTP_##symbol:                                                                  \
        return OM_HTTP_##symbol;
        OM_HTTP_METHOD_LIST(METHOD_CASE)
#undef METHOD_CASE
    default:
        return OM_HTTP_OTHER;
    }
}

static bool
refuse(struct om_http_refusal *why, int status, const char *reason)
{
    *why = (struct om_http_refusal){ status, reason };
    return false;
}

// "METHOD target HTTP/1.1": the parser allows more spaces, and none for HTTP/0.9.
static bool
has_two_spaces(struct om_str head)
{
    size_t spaces = 0;
    for (size_t i = 0; i < head.size && head.data[i] != '\r'; i++)
        spaces += head.data[i] == ' ';
    return spaces == 2;
}

// Run the library over the whole head.
static bool
parse(struct om_str head, struct om_http_request *out, struct om_str *target,
      struct om_http_refusal *why)
{
    static const http_parser_settings settings = {
        .on_url = on_url,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_message_complete = on_complete,
    };
    if (!has_two_spaces(head))
        return refuse(why, 400, "the request line is not METHOD TARGET HTTP/1.1");
    struct parse state = { .out = out };
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &state;
    size_t used = http_parser_execute(&parser, &settings, head.data, head.size);
    if (state.too_many)
        return refuse(why, 431, "there are too many header fields");
    if (HTTP_PARSER_ERRNO(&parser) == HPE_INVALID_METHOD)
        return refuse(why, 400, "the method is unknown");
    if (HTTP_PARSER_ERRNO(&parser) != HPE_PAUSED || used != head.size)
        return refuse(why, 400, http_errno_description(HTTP_PARSER_ERRNO(&parser)));
    if (parser.http_major != 1)
        return refuse(why, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    out->minor_version = parser.http_minor;
    out->method = method_of(parser.method);
    *target = state.target;
    return true;
}

static bool
is_token(struct om_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return text.size > 0;
}

static bool
is_text(struct om_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static struct om_str
trim(struct om_str text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text.data++, text.size--;
    while (text.size > 0 &&
           (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static bool
is_word(struct om_str text, const char *word)
{
    return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

// Fields that decide about the connection and the body.
struct control {
    size_t hosts, lengths, encodings;
    struct om_str host, length, encoding, expect;
    bool close, keep_alive;
};

// Look for the options of one Connection field: a list with commas.
static void
read_connection(struct om_str value, struct control *control)
{
    while (value.size > 0) {
        const char *comma = memchr(value.data, ',', value.size);
        size_t size = comma ? (size_t)(comma - value.data) : value.size;
        struct om_str option = trim((struct om_str){ value.data, size });
        control->close |= is_word(option, "close");
        control->keep_alive |= is_word(option, "keep-alive");
        size += comma ? 1 : 0;
        value = (struct om_str){ value.data + size, value.size - size };
    }
}

static const char *
read_fields(struct om_http_request *out, struct control *control)
{
    for (size_t i = 0; i < out->field_count; i++) {
        struct om_http_field *field = &out->fields[i];
        if (!is_token(field->name))
            return "a header field's name has a character that is not allowed";
        if (!is_text(field->value))
            return "a header field's value has a control character";
        field->value = trim(field->value);
        if (is_word(field->name, "host"))
            control->hosts++, control->host = field->value;
        else if (is_word(field->name, "content-length"))
            control->lengths++, control->length = field->value;
        else if (is_word(field->name, "transfer-encoding"))
            control->encodings++, control->encoding = field->value;
        else if (is_word(field->name, "expect"))
            control->expect = field->value;
        else if (is_word(field->name, "connection"))
            read_connection(field->value, control);
    }
    return NULL;
}

static bool
read_length(struct om_str text, int64_t *length)
{
    *length = 0;
    if (text.size == 0 || text.size > 18) // more digits than any limit has
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *length = *length * 10 + (text.data[i] - '0');
    }
    return true;
}

static bool
is_host(struct om_str text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] <= ' ' || strchr("/\\@?#,", text.data[i]))
            return false;
    return true;
}

// Decide how long the body is (RFC 9112, 6.3).
static bool
read_framing(const struct control *control, struct om_http_request *out,
             struct om_http_refusal *why)
{
    if (control->lengths > 1)
        return refuse(why, 400, "Content-Length is repeated");
    if (control->encodings > 1)
        return refuse(why, 400, "Transfer-Encoding is repeated");
    if (control->lengths && control->encodings)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding are given");
    out->content_length = 0;
    if (control->lengths && !read_length(control->length, &out->content_length))
        return refuse(why, 400, "Content-Length is not a decimal number");
    if (control->encodings && out->minor_version == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (control->encodings && !is_word(control->encoding, "chunked"))
        return refuse(why, 501, "the only transfer coding here is chunked");
    if (control->encodings)
        out->content_length = -1;
    out->has_body = out->content_length != 0;
    return true;
}

bool
om_http_head_parse(struct om_str head, char *decoded, struct om_http_request *out,
                   struct om_http_refusal *why)
{
    out->field_count = 0;
    struct om_str target;
    if (!parse(head, out, &target, why))
        return false;
    struct control control = { 0 };
    const char *wrong = read_fields(out, &control);
    if (wrong)
        return refuse(why, 400, wrong);
    if (control.hosts > 1 || (control.hosts == 0 && out->minor_version > 0))
        return refuse(why, 400, "exactly one Host field is needed");
    if (!is_host(control.host))
        return refuse(why, 400, "the Host field is not a host");
    out->keep_alive = !control.close && (out->minor_version > 0 || control.keep_alive);
    if (!read_framing(&control, out, why))
        return false;
    out->expects_continue = false;
    if (control.expect.data && out->minor_version > 0) {
        if (!is_word(control.expect, "100-continue"))
            return refuse(why, 417, "the only expectation met here is 100-continue");
        out->expects_continue = out->has_body;
    }
    wrong = om_http_target_parse(target, decoded, out);
    return wrong ? refuse(why, 400, wrong) : true;
}

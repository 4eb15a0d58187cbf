#include <strings.h>

#include "multipart.h"

enum state {
    PREAMBLE,  // before the first delimiter; dropped
    DELIMITER, // behind a delimiter: "--", or spaces and CR LF
    DASH,      // one "-" was seen there
    PADDING,   // only spaces may come before the CR LF
    LINE_END,  // the CR was seen
    HEAD,      // header lines of a part
    DATA,
    ENDED,
};

static bool
starts_with(struct om_str text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && strncasecmp(text.data, word, size) == 0;
}

static void
skip(struct om_str *text, size_t size)
{
    text->data += size;
    text->size -= size;
}

static void
skip_spaces(struct om_str *text)
{
    while (text->size > 0 && (text->data[0] == ' ' || text->data[0] == '\t'))
        skip(text, 1);
}

// Read a token or a quoted string to `out`. False: too long, or not ended.
static bool
read_value(struct om_str *text, char *out, size_t max, struct om_str *value)
{
    bool quoted = text->size > 0 && text->data[0] == '"';
    size_t size = 0;
    skip(text, quoted ? 1 : 0);
    for (; text->size > 0; skip(text, 1)) {
        char c = text->data[0];
        if (quoted ? c == '"' : c == ';' || c == ' ' || c == '\t')
            break;
        // Browsers write %22 for a quote and leave other backslashes alone.
        if (quoted && c == '\\' && text->size > 1 &&
            (text->data[1] == '"' || text->data[1] == '\\')) {
            skip(text, 1);
            c = text->data[0];
        }
        if (size == max || (unsigned char)c < 0x20 || c == 0x7f)
            return false;
        out[size++] = c;
    }
    if (quoted && text->size == 0)
        return false;
    skip(text, quoted ? 1 : 0);
    *value = (struct om_str){ out, size };
    return true;
}

// A parameter of a header value and where it goes.
struct parameter {
    const char *name; // with the "="
    char *text;
    size_t max;
    struct om_str *value;
};

// Read "; name=value" pairs; those not asked for are skipped.
static bool
read_parameters(struct om_str text, const struct parameter *parameters, size_t count)
{
    char ignored[OM_MULTIPART_HEAD_MAX];
    for (;;) {
        skip_spaces(&text);
        if (text.size == 0)
            return true;
        if (text.data[0] != ';')
            return false;
        skip(&text, 1);
        skip_spaces(&text);
        struct om_str value;
        struct parameter found = { "", ignored, sizeof(ignored), &value };
        for (size_t i = 0; i < count; i++)
            if (starts_with(text, parameters[i].name))
                found = parameters[i];
        const char *equals = text.size ? memchr(text.data, '=', text.size) : NULL;
        if (!equals)
            return text.size == 0;
        skip(&text, (size_t)(equals - text.data) + 1);
        if (!read_value(&text, found.text, found.max, found.value))
            return false;
    }
}

// RFC 2046: these characters, and a space not at the end.
static bool
is_boundary(struct om_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && !memchr("'()+_,-./:=? ", c, 13))
            return false;
    }
    return text.size > 0 && text.data[text.size - 1] != ' ';
}

bool
om_multipart_init(struct om_multipart *self, struct om_str content_type)
{
    static const char media_type[] = "multipart/form-data";
    *self = (struct om_multipart){ .state = PREAMBLE };
    if (!starts_with(content_type, media_type))
        return false;
    skip(&content_type, sizeof(media_type) - 1);

    struct om_str boundary = { 0 };
    struct parameter parameter = { "boundary=", self->delimiter + 4,
                                   OM_MULTIPART_BOUNDARY_MAX, &boundary };
    if (!read_parameters(content_type, &parameter, 1) || !is_boundary(boundary))
        return false;
    memcpy(self->delimiter, "\r\n--", 4);
    self->delimiter_size = 4 + boundary.size;
    self->matched = 2; // the form may begin with the delimiter, as if behind a line
    return true;
}

static bool
read_head_line(struct om_multipart *self, struct om_str line)
{
    static const char disposition[] = "content-disposition:";
    if (!starts_with(line, disposition))
        return true;
    skip(&line, sizeof(disposition) - 1);
    skip_spaces(&line);
    if (self->name.data || !starts_with(line, "form-data"))
        return false;
    skip(&line, strlen("form-data"));
    struct parameter parameters[] = {
        { "name=", self->name_text, sizeof(self->name_text), &self->name },
        { "filename=", self->filename_text, sizeof(self->filename_text),
          &self->filename },
    };
    return read_parameters(line, parameters, OM_COUNT(parameters));
}

static bool
read_head(struct om_multipart *self)
{
    struct om_str rest = { self->head, self->head_size };
    self->name = self->filename = (struct om_str){ 0 };
    while (rest.size > 0) {
        const char *end = memmem(rest.data, rest.size, "\r\n", 2);
        struct om_str line = { rest.data, (size_t)(end - rest.data) };
        if (!read_head_line(self, line))
            return false;
        skip(&rest, line.size + 2);
    }
    return self->name.data != NULL;
}

// One byte of the header lines. Their end is an empty line.
static enum om_multipart_event
step_head(struct om_multipart *self, char c)
{
    if (self->head_size == sizeof(self->head))
        return OM_MULTIPART_BAD;
    self->head[self->head_size++] = c;
    size_t size = self->head_size;
    if (c != '\n')
        return OM_MULTIPART_MORE;
    if (size < 2 || self->head[size - 2] != '\r')
        return OM_MULTIPART_BAD;
    if (size > 2 && (size < 4 || memcmp(self->head + size - 4, "\r\n", 2) != 0))
        return OM_MULTIPART_MORE;
    self->head_size -= 2;
    if (self->parts++ == OM_MULTIPART_PARTS_MAX || !read_head(self))
        return OM_MULTIPART_BAD;
    self->state = DATA;
    return OM_MULTIPART_PART;
}

// One byte between a delimiter and the header lines, or the end.
static enum om_multipart_event
step_line(struct om_multipart *self, char c)
{
    bool space = c == ' ' || c == '\t';
    if (self->state == DELIMITER && c == '-') {
        self->state = DASH;
    } else if (self->state == DASH && c == '-') {
        self->state = ENDED;
        return OM_MULTIPART_END;
    } else if ((self->state == DELIMITER || self->state == PADDING) && space) {
        self->state = PADDING;
    } else if ((self->state == DELIMITER || self->state == PADDING) && c == '\r') {
        self->state = LINE_END;
    } else if (self->state == LINE_END && c == '\n') {
        self->state = HEAD;
        self->head_size = 0;
    } else {
        return OM_MULTIPART_BAD;
    }
    return OM_MULTIPART_MORE;
}

// How many bytes at the start of `input` are surely not part of a delimiter. Its only CR
// is its first byte, so one that the input cuts off begins at a CR.
static size_t
plain_size(const struct om_multipart *self, struct om_str input)
{
    const char *end = input.data + input.size;
    const char *at =
        memmem(input.data, input.size, self->delimiter, self->delimiter_size);
    if (at)
        return (size_t)(at - input.data);
    size_t tail =
        input.size < self->delimiter_size - 1 ? input.size : self->delimiter_size - 1;
    for (at = end - tail; (at = memchr(at, '\r', (size_t)(end - at))); at++)
        if (memcmp(at, self->delimiter, (size_t)(end - at)) == 0)
            return (size_t)(at - input.data);
    return input.size;
}

// Bytes of a part up to the next delimiter. A match that fails in a later piece can only
// begin again at the byte where it failed.
static enum om_multipart_event
take_data(struct om_multipart *self, struct om_str *input, struct om_str *data)
{
    if (self->matched == 0) {
        *data = (struct om_str){ input->data, plain_size(self, *input) };
        skip(input, data->size);
        if (data->size > 0)
            return OM_MULTIPART_DATA;
    }
    while (input->size > 0 && self->matched < self->delimiter_size &&
           input->data[0] == self->delimiter[self->matched]) {
        self->matched++;
        skip(input, 1);
    }
    if (self->matched == self->delimiter_size) {
        bool part = self->state == DATA;
        self->matched = 0;
        self->state = DELIMITER;
        return part ? OM_MULTIPART_PART_END : OM_MULTIPART_MORE;
    }
    if (input->size == 0)
        return OM_MULTIPART_MORE;
    *data = (struct om_str){ self->delimiter, self->matched };
    self->matched = 0;
    return data->size > 0 ? OM_MULTIPART_DATA : OM_MULTIPART_MORE;
}

enum om_multipart_event
om_multipart_take(struct om_multipart *self, struct om_str *input, struct om_str *data)
{
    while (input->size > 0) {
        enum om_multipart_event event;
        if (self->state == ENDED) {
            skip(input, input->size);
            break;
        }
        if (self->state == PREAMBLE || self->state == DATA) {
            event = take_data(self, input, data);
            if (event == OM_MULTIPART_DATA && self->state == PREAMBLE)
                continue;
        } else {
            event = self->state == HEAD ? step_head(self, input->data[0])
                                        : step_line(self, input->data[0]);
            skip(input, 1);
        }
        if (event != OM_MULTIPART_MORE)
            return event;
    }
    return OM_MULTIPART_MORE;
}

bool
om_multipart_ended(const struct om_multipart *self)
{
    return self->state == ENDED;
}

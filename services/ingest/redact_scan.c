#include "redact_scan.h"

#include <ctype.h>

#include "json.h"

enum {
    NESTED = 4,     // texts in strings of texts
    DECODED = 3,    // times a percent-encoding is undone
    LOCAL_MAX = 64, // before the @ of an address
    CLOSERS = 8,    // bytes between a name and what follows it
};

char
scan_byte(const struct scan *s, size_t at)
{
    return at < s->in.size ? s->in.data[at] : '\0';
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void
scan_plain(struct scan *s, size_t to)
{
    size_t end = to < s->stop ? to : s->stop;
    if (end > s->plain)
        om_buf_put(s->out, s->in.data + s->plain, end - s->plain);
    s->plain = to;
}

void
scan_take_out(struct scan *s, size_t at, size_t end, struct om_str mark)
{
    scan_plain(s, at);
    if (at < s->stop)
        om_buf_put(s->out, mark.data, mark.size);
    s->plain = end;
    s->hit = true;
}

// ---- strings

// Behind the string that begins at `at`, with its closing quote; or the end of the text,
// and *open. An apostrophe that nothing closes in its line is no quote.
static size_t
string_end(const struct scan *s, size_t at, bool *open)
{
    char quote = s->in.data[at];
    *open = false;
    for (size_t i = at + 1; i < s->in.size; i++) {
        char c = s->in.data[i];
        if (c == '\\')
            i++;
        else if (c == quote)
            return i + 1;
        else if (c == '\n' && quote == '\'')
            return at + 1;
    }
    *open = true;
    return quote == '\'' ? at + 1 : s->in.size;
}

static bool
read_hex(const char *at, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        char c = (char)(at[i] | 0x20);
        if (!isxdigit((unsigned char)at[i]))
            return false;
        *value = *value << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static void
put_character(struct om_buf *out, unsigned code)
{
    char utf8[3] = { (char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3f)),
                     (char)(0x80 | (code & 0x3f)) };
    char two[2] = { (char)(0xc0 | code >> 6), utf8[2] };
    char one = (char)code;
    if (code < 0x80)
        om_buf_put(out, &one, 1);
    else if (code < 0x800)
        om_buf_put(out, two, sizeof(two));
    else // half of a pair too: what is not ASCII is in no table
        om_buf_put(out, utf8, sizeof(utf8));
}

// The text that a string stands for. What is no escape stays.
static void
unescape(struct om_str text, struct om_buf *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    for (size_t i = 0; i < text.size; i++) {
        unsigned code;
        if (text.data[i] != '\\' || i + 1 == text.size) {
            om_buf_put(out, text.data + i, 1);
            continue;
        }
        char c = text.data[++i];
        const char *known = c ? strchr(from, c) : NULL;
        if (c == 'u' && text.size - i > 4 && read_hex(text.data + i + 1, &code)) {
            put_character(out, code);
            i += 4;
        } else {
            om_buf_put(out, known ? to + (known - from) : &text.data[i], 1);
        }
    }
}

// Look into the string from `at` to `end`.
static void
scan_string(struct scan *s, size_t at, size_t end, bool open)
{
    struct om_str inner = { s->in.data + at + 1, end - at - (open ? 1 : 2) };
    OM_AUTO(om_buf_finish) struct om_buf text = { 0 }, left = { 0 };
    if (inner.size && memchr(inner.data, '\\', inner.size)) {
        unescape(inner, &text);
        inner = om_buf_str(&text);
    }
    bool cut = open && s->cut;
    bool hit = scan_any(inner, cut, s->depth + 1, &left);
    if (!hit && !text.failed && !left.failed)
        return;
    OM_AUTO(om_buf_finish) struct om_buf quoted = { 0 };
    // Of one that is cut off nobody knows what its last bytes would have been.
    om_json_put_str(&quoted,
                    cut || left.failed ? OM_LIT(REDACT_MARK) : om_buf_str(&left));
    scan_take_out(s, at, end, om_buf_str(&quoted));
}

// ---- names and their values

bool
scan_is_name(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_-.%", c));
}

void
scan_percent(struct om_str text, bool form, struct om_buf *out)
{
    om_buf_put(out, text.data, text.size);
    for (int round = 0; round < DECODED && out->size; round++) {
        size_t size = 0;
        bool changed = false;
        for (size_t i = 0; i < out->size; i++, size++) {
            unsigned value;
            char digits[4] = "00", c = out->data[i];
            if (out->size - i > 2)
                memcpy(digits + 2, out->data + i + 1, 2);
            if (c == '%' && out->size - i > 2 && read_hex(digits, &value)) {
                c = (char)value;
                changed = true;
                i += 2;
            } else if (c == '+' && form && round == 0) {
                c = ' ';
            }
            out->data[size] = c;
        }
        out->size = size;
        if (!changed)
            return;
    }
}

static bool
is_secret(const struct scan *s, size_t at, size_t end)
{
    struct om_str name = { s->in.data + at, end - at };
    OM_AUTO(om_buf_finish) struct om_buf plain = { 0 }, text = { 0 };
    bool quoted = name.data[0] == '"' || name.data[0] == '\'';
    if (quoted && memchr(name.data, '\\', name.size)) {
        unescape(name, &plain);
        name = om_buf_str(&plain);
    }
    if (name.size && memchr(name.data, '%', name.size)) {
        scan_percent(name, false, &text);
        name = om_buf_str(&text);
    }
    return redact_is_secret_name(name);
}

// Where the value of the name from `at` to `end` begins; 0: it is no name.
static size_t
value_start(const struct scan *s, size_t at, size_t end)
{
    size_t i = end;
    if (at > 0 && s->in.data[at - 1] == '<' && scan_byte(s, i) == '>')
        return i + 1; // an element of XML
    for (size_t n = 0; n < CLOSERS && scan_byte(s, i) && strchr("]\\\"'", s->in.data[i]);
         n++)
        i++;
    while (is_space(scan_byte(s, i)))
        i++;
    char c = scan_byte(s, i);
    if (c != ':' && c != '=')
        return 0;
    for (i++;
         scan_byte(s, i) == '=' || scan_byte(s, i) == '>' || is_space(scan_byte(s, i));)
        i++;
    return i;
}

// Behind the array or object that begins at `at`.
static size_t
container_end(const struct scan *s, size_t at)
{
    size_t deep = 0;
    for (size_t i = at; i < s->in.size; i++) {
        char c = s->in.data[i];
        bool open;
        if (c == '"')
            i = string_end(s, i, &open) - 1;
        else if (c == '{' || c == '[')
            deep++;
        else if ((c == '}' || c == ']') && --deep == 0)
            return i + 1;
    }
    return s->in.size;
}

static bool
is_literal(struct om_str text)
{
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    return text.size == 0 || om_str_eq(text, OM_LIT("null")) ||
           om_str_eq(text, OM_LIT("true")) || om_str_eq(text, OM_LIT("false"));
}

// Take out the value that begins at `at`. Returns where to go on.
static size_t
take_value(struct scan *s, size_t at, bool quoted)
{
    struct om_str mark = quoted ? OM_LIT("\"" REDACT_MARK "\"") : OM_LIT(REDACT_MARK);
    char c = scan_byte(s, at);
    bool open = false;
    size_t end = at;
    if (c == '"' || c == '\'') {
        end = string_end(s, at, &open);
        if (end > at + 1) {
            if (end > at + 2 || open)
                scan_take_out(s, at, end, OM_LIT("\"" REDACT_MARK "\""));
            return end;
        }
        end = at;
    }
    if (c == '{' || c == '[') {
        end = container_end(s, at);
    } else {
        while (end < s->in.size &&
               (!s->in.data[end] || !strchr(",;&}])\"<>\r\n", s->in.data[end])))
            end++;
        if (is_literal((struct om_str){ s->in.data + at, end - at }) &&
            !(s->cut && end == s->in.size))
            return end;
    }
    if (end > at)
        scan_take_out(s, at, end, mark);
    return end;
}

// ---- shapes that do not begin with themselves

static bool
is_address_byte(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("._%+-", c)) || (c & 0x80);
}

// The e-mail address around the @ at `at`. Returns where to go on; `at`: there is none.
static size_t
take_address(struct scan *s, size_t at)
{
    size_t start = at, end = at + 1;
    while (start > s->plain && at - start < LOCAL_MAX &&
           is_address_byte(s->in.data[start - 1]))
        start--;
    while (end < s->in.size && is_address_byte(s->in.data[end]))
        end++;
    if (start == at || end == at + 1)
        return at;
    scan_take_out(s, start, end, OM_LIT(REDACT_MARK));
    return end;
}

// User and password of the URL whose "://" is at `at`.
static size_t
take_user(struct scan *s, size_t at)
{
    size_t start = at + 3, found = 0;
    for (size_t i = start; i < s->in.size && s->in.data[i] && !is_space(s->in.data[i]) &&
                           !strchr("/?#\"'<>", s->in.data[i]);
         i++)
        if (s->in.data[i] == '@')
            found = i;
    if (found <= start)
        return at;
    scan_take_out(s, start, found, OM_LIT(REDACT_MARK));
    return found;
}

static bool
is_url(const struct scan *s, size_t at)
{
    return s->in.size - at > 3 && memcmp(s->in.data + at, "://", 3) == 0;
}

// ---- a text

// The scheme before a credential says nothing, and stays.
static size_t
scheme_of(struct om_str text)
{
    const char *space = memchr(text.data, ' ', text.size);
    size_t size = space ? (size_t)(space - text.data) + 1 : 0;
    return size == strlen("bearer ") || size == strlen("basic ") ? size : 0;
}

// Take out the secrets in a name. Returns the end of the last one, or 0.
static size_t
take_shapes(struct scan *s, size_t at, size_t end)
{
    size_t last = 0;
    while (at < end) {
        struct om_str rest = { s->in.data + at, s->in.size - at };
        size_t size = redact_shape(rest, at ? s->in.data[at - 1] : '\0', s->cut);
        if (size)
            scan_take_out(s, at, last = at + size, OM_LIT(REDACT_MARK));
        at += size ? size : 1;
    }
    return last;
}

// Take out what begins at `at`, or is a name there. Returns where to go on; `at`: nothing
// is there.
static size_t
take_word(struct scan *s, size_t at)
{
    struct om_str rest = { s->in.data + at, s->in.size - at };
    char before = at ? s->in.data[at - 1] : '\0';
    size_t size = redact_shape(rest, before, s->cut);
    if (size) {
        scan_take_out(s, at + scheme_of((struct om_str){ rest.data, size }), at + size,
                      OM_LIT(REDACT_MARK));
        return at + size;
    }
    if (!scan_is_name(rest.data[0]) || scan_is_name(before))
        return at;
    size_t end = at;
    while (scan_is_name(scan_byte(s, end)))
        end++;
    size_t value = value_start(s, at, end);
    if (!value || !is_secret(s, at, end))
        return at;
    size_t seen = take_shapes(s, at, end);
    return take_value(s, seen > value ? seen : value, false);
}

static size_t
take_string(struct scan *s, size_t at)
{
    bool open;
    size_t end = string_end(s, at, &open);
    if (end == at + 1)
        return at;
    size_t value = open ? 0 : value_start(s, at, end);
    scan_string(s, at, end, open);
    return value && is_secret(s, at, end) ? take_value(s, value, true) : end;
}

void
scan_text(struct scan *s)
{
    size_t at = 0;
    while (at < s->in.size) {
        char c = s->in.data[at];
        bool word = at && isalnum((unsigned char)s->in.data[at - 1]);
        size_t next = at;
        if (c == '"' || (c == '\'' && !word))
            next = take_string(s, at);
        else if (c == '@')
            next = take_address(s, at);
        else if (c == ':' && is_url(s, at))
            next = take_user(s, at);
        else
            next = take_word(s, at);
        at = next > at ? next : at + 1;
    }
    scan_plain(s, s->in.size);
}

bool
scan_any(struct om_str text, bool cut, int depth, struct om_buf *out)
{
    struct scan s = { .in = text, .stop = text.size, .cut = cut, .depth = depth };
    OM_AUTO(om_buf_finish) struct om_buf decoded = { 0 };
    s.out = out;
    if (depth > NESTED) {
        bool deeper = text.size && (memchr(text.data, '"', text.size) ||
                                    memchr(text.data, '\'', text.size));
        om_buf_put(out, REDACT_MARK, deeper ? strlen(REDACT_MARK) : 0);
        if (deeper)
            return true;
    }
    if (text.size && memchr(text.data, '%', text.size)) {
        scan_percent(text, false, &decoded);
        s.in = om_buf_str(&decoded);
        s.stop = s.in.size;
    }
    if (s.in.size)
        scan_text(&s);
    return s.hit || decoded.failed;
}

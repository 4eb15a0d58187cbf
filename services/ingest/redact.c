#include "redact_scan.h"

enum {
    AHEAD = 1024,     // bytes behind `max` that are looked at
    NAME_SEEN = 1024, // of a form's first name
};

// What is looked at of a text of which `max` bytes are kept.
static struct om_str
window(struct om_str text, size_t max)
{
    text.size = text.size > max && text.size - max > AHEAD ? max + AHEAD : text.size;
    return text;
}

// Marks may be longer than what was there; and a character may be cut in two.
static unsigned
finish(struct om_buf *out, size_t begun, size_t max, bool hit, bool cut)
{
    if (out->size - begun > max) {
        out->size = begun + max;
        cut = true;
    }
    while (cut && out->size > begun && (out->data[out->size - 1] & 0xc0) == 0x80)
        out->size--;
    if (cut && out->size > begun && out->data[out->size - 1] & 0x80)
        out->size--;
    return (hit ? REDACT_HIT : 0u) | (cut ? REDACT_CUT : 0u);
}

unsigned
redact_text(struct om_str text, size_t max, struct om_buf *out)
{
    struct om_str seen = window(text, max);
    size_t begun = out->size, stop = text.size < max ? text.size : max;
    struct scan s = {
        .in = seen, .stop = stop, .cut = seen.size < text.size, .out = out
    };
    if (seen.size)
        scan_text(&s);
    return finish(out, begun, max, s.hit, text.size > max);
}

// One "name=value", or a piece of a path, from `at` to `end`.
static void
scan_pair(struct scan *s, size_t at, size_t end, bool form)
{
    struct om_str text = { s->in.data + at, end - at };
    const char *sign = form && text.size ? memchr(text.data, '=', text.size) : NULL;
    size_t name_size = sign ? (size_t)(sign - text.data) : text.size;
    bool cut = s->cut && end == s->in.size;
    OM_AUTO(om_buf_finish) struct om_buf name = { 0 }, value = { 0 }, left = { 0 };
    scan_percent((struct om_str){ text.data, name_size }, form, &name);
    if (scan_any(om_buf_str(&name), cut && !sign, 1, &left)) {
        scan_take_out(s, at, end, OM_LIT(REDACT_MARK));
        return;
    }
    if (!sign || name_size + 1 == text.size)
        return;
    struct om_str raw = { sign + 1, text.size - name_size - 1 };
    scan_percent(raw, form, &value);
    if (redact_is_secret_name(om_buf_str(&name)) ||
        scan_any(om_buf_str(&value), cut, 1, &left))
        scan_take_out(s, at + name_size + 1, end, OM_LIT(REDACT_MARK));
}

static unsigned
redact_pairs(struct om_str text, size_t max, bool form, struct om_buf *out)
{
    struct om_str seen = window(text, max);
    size_t begun = out->size, at = 0, stop = text.size < max ? text.size : max;
    struct scan s = {
        .in = seen, .stop = stop, .cut = seen.size < text.size, .out = out
    };
    for (size_t i = 0; i <= seen.size && seen.size; i++) {
        char c = scan_byte(&s, i);
        if (i < seen.size && !(form ? c == '&' || c == ';' : c == '/'))
            continue;
        scan_pair(&s, at, i, form);
        at = i + 1;
    }
    scan_plain(&s, seen.size);
    return finish(out, begun, max, s.hit, text.size > max);
}

unsigned
redact_form(struct om_str text, size_t max, struct om_buf *out)
{
    return redact_pairs(text, max, true, out);
}

unsigned
redact_path(struct om_str path, size_t max, struct om_buf *out)
{
    return redact_pairs(path, max, false, out);
}

// curl says of JSON that it is a form, so the bytes count and not what is said of them.
static bool
looks_like_form(struct om_str body)
{
    for (size_t i = 0; i < body.size && i < NAME_SEEN; i++) {
        char c = body.data[i];
        if (c == '=')
            return true;
        if (!scan_is_name(c) && c != '+' && c != '[' && c != ']')
            return false;
    }
    return false;
}

unsigned
redact_body(struct om_str body, size_t max, struct om_buf *out)
{
    bool form = body.size && body.data[0] != '[' && looks_like_form(body);
    return form ? redact_form(body, max, out) : redact_text(body, max, out);
}

unsigned
redact_field(struct om_str name, struct om_str value, size_t max, struct om_buf *out)
{
    size_t begun = out->size;
    if (redact_is_secret_field(name)) {
        om_buf_put(out, REDACT_MARK, value.size ? strlen(REDACT_MARK) : 0);
        return value.size ? REDACT_HIT : 0u;
    }
    struct om_str seen = window(value, max);
    OM_AUTO(om_buf_finish) struct om_buf left = { 0 };
    bool hit = scan_any(seen, seen.size < value.size, 1, &left);
    struct om_str text = hit ? om_buf_str(&left) : seen;
    om_buf_put(out, text.data, text.size);
    return finish(out, begun, max, hit, text.size > max);
}

#include <ctype.h>
#include <openssl/sha.h>

#include "fingerprint.h"
#include "utf8.h"

enum {
    QUOTED_MAX = 512, // a quote that is not closed by then is an apostrophe
    HEX_MIN = 8,      // shorter, it may be a word
    TOKEN_MIN = 20,
    MARK_MAX = 8,
    FRAMES_SHOWN = 3,
};

struct title {
    char *out;
    size_t size;
    const char *mark; // the one that was written last
    size_t mark_end;
};

static void
put(struct title *title, struct om_str bytes)
{
    if (title->size + bytes.size > OM_TITLE_MAX)
        bytes.size = 0;
    memcpy(title->out + title->size, bytes.data, bytes.size);
    title->size += bytes.size;
}

static bool
is_separator(char c)
{
    return c && strchr(" ,;/|", c);
}

// Of several marks of a kind in a row only the first stays: a list of three ids is the
// same as one of two.
static void
put_mark(struct title *title, const char *mark)
{
    bool repeats = title->mark == mark;
    for (size_t i = title->mark_end; repeats && i < title->size; i++)
        repeats = is_separator(title->out[i]);
    if (repeats)
        title->size = title->mark_end;
    else
        put(title, om_str(mark));
    title->mark = mark;
    title->mark_end = title->size;
}

static const char mark_str[] = "<str>", mark_url[] = "<url>", mark_path[] = "<path>",
                  mark_addr[] = "<addr>", mark_id[] = "<id>", mark_hex[] = "<hex>",
                  mark_time[] = "<time>", mark_number[] = "<n>";

// ---- words

static char
at(struct om_str text, size_t i)
{
    return i < text.size ? text.data[i] : '\0';
}

// The bytes from `i` on that are alphanumeric or among `others`.
static size_t
run(struct om_str text, size_t i, const char *others)
{
    size_t size = 0;
    for (char c; (c = at(text, i + size)); size++)
        if (!isalnum((unsigned char)c) && !strchr(others, c))
            break;
    return size;
}

static bool
only(struct om_str word, const char *bytes)
{
    for (size_t i = 0; i < word.size; i++)
        if (!strchr(bytes, word.data[i]))
            return false;
    return word.size > 0;
}

static size_t
count_of(struct om_str word, int (*is_kind)(int))
{
    size_t count = 0;
    for (size_t i = 0; i < word.size; i++)
        count += is_kind((unsigned char)word.data[i]) != 0;
    return count;
}

static size_t
count_char(struct om_str word, char c)
{
    size_t count = 0;
    for (size_t i = 0; i < word.size; i++)
        count += word.data[i] == c;
    return count;
}

#define HEX_DIGITS "0123456789abcdefABCDEF"

// An address has colons in it, and so has a time; after any other word a colon ends it.
static size_t
word_size(struct om_str text, size_t i)
{
    size_t size = 0;
    bool drive = isalpha((unsigned char)at(text, i)) && at(text, i + 1) == ':' &&
                 at(text, i + 2) == '\\';
    if (drive)
        size = 2;
    for (;;) {
        size += run(text, i + size, "_-./@+%~\\");
        struct om_str so_far = { text.data + i, size };
        char next = at(text, i + size + 1);
        if (at(text, i + size) != ':')
            return size;
        bool scheme = next == '/' && at(text, i + size + 2) == '/';
        bool address = next &&
                       (size == 0 ? next == ':' : only(so_far, HEX_DIGITS ":.")) &&
                       strchr(HEX_DIGITS ":", next);
        if (scheme)
            return size + run(text, i + size, "_-./@+%~\\:?&=#$!*");
        if (!address)
            return size;
        size++;
    }
}

static bool
is_date(struct om_str word)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; form[i]; i++) {
        char c = at(word, i);
        if (form[i] == 'd' ? !isdigit((unsigned char)c) : c != form[i])
            return false;
    }
    return true;
}

static bool
is_uuid(struct om_str word)
{
    return word.size == 36 && count_char(word, '-') == 4 && only(word, HEX_DIGITS "-");
}

static bool
is_path(struct om_str word)
{
    size_t slashes = count_char(word, '/'), last = word.size;
    if (word.size > 2 && word.data[1] == ':' && word.data[2] == '\\')
        return true;
    if (slashes == 0 || word.size < 2 || only(word, "0123456789/."))
        return false;
    while (word.data[last - 1] != '/')
        last--;
    bool has_ending = memchr(word.data + last, '.', word.size - last);
    return slashes > 1 || has_ending || strchr("/.~", word.data[0]);
}

// As random ids and keys are: long, and with more digits than a name has.
static bool
is_token(struct om_str word)
{
    size_t digits = count_of(word, isdigit);
    return word.size >= TOKEN_MIN && digits * 7 >= word.size && digits < word.size &&
           !memchr(word.data, '/', word.size) && !memchr(word.data, '.', word.size);
}

static bool
is_hex(struct om_str word)
{
    if (word.size > 2 && word.data[0] == '0' && (word.data[1] | 32) == 'x')
        return only((struct om_str){ word.data + 2, word.size - 2 }, HEX_DIGITS);
    size_t digits = count_of(word, isdigit);
    return word.size >= HEX_MIN && digits > 0 && digits < word.size &&
           only(word, HEX_DIGITS);
}

static bool
is_address(struct om_str word)
{
    size_t colons = count_char(word, ':'), dots = count_char(word, '.');
    if (only(word, "0123456789.:"))
        return dots == 3 || memmem(word.data, word.size, "::", 2);
    return colons > 1 && only(word, HEX_DIGITS ":.");
}

// What the whole word is, or NULL.
static const char *
mark_of(struct om_str word)
{
    const char *mail = memchr(word.data, '@', word.size);
    if (memmem(word.data, word.size, "://", 3))
        return mark_url;
    if (is_date(word))
        return mark_time;
    if (is_uuid(word) || is_token(word))
        return mark_id;
    if (is_hex(word))
        return mark_hex;
    if (is_address(word))
        return mark_addr;
    if (only(word, "0123456789:.") && memchr(word.data, ':', word.size))
        return mark_time;
    if (mail && mail > word.data && mail + 1 < word.data + word.size)
        return mark_addr;
    return is_path(word) ? mark_path : NULL;
}

// The bytes of a number that begins with the digit at `i`.
static size_t
number_size(struct om_str word, size_t i)
{
    size_t size = 0;
    for (;; size++) {
        char c = at(word, i + size);
        bool inside =
            (c == '.' || c == ',') && isdigit((unsigned char)at(word, i + size + 1));
        if (!isdigit((unsigned char)c) && !inside)
            break;
    }
    size_t e = i + size;
    if ((at(word, e) | 32) == 'e') {
        size_t sign = at(word, e + 1) == '-' || at(word, e + 1) == '+';
        if (isdigit((unsigned char)at(word, e + 1 + sign)))
            size += 1 + sign + number_size(word, e + 1 + sign);
    }
    return size;
}

// A word that has a meaning, with its numbers taken out.
static void
put_word(struct title *title, struct om_str word)
{
    for (size_t i = 0; i < word.size;) {
        char c = word.data[i];
        bool sign = (c == '-' || c == '+') &&
                    (i == 0 || !isalnum((unsigned char)word.data[i - 1]));
        if (isdigit((unsigned char)at(word, i + sign)) && (sign || c != '-')) {
            i += sign + number_size(word, i + sign);
            put_mark(title, mark_number);
        } else {
            put(title, (struct om_str){ word.data + i++, 1 });
        }
    }
}

// A date goes on with its time.
static size_t
time_size(struct om_str text, size_t i, size_t size)
{
    while (at(text, i + size) && strchr("0123456789:.TZ+-", at(text, i + size)))
        size++;
    return size;
}

static size_t
take_word(struct title *title, struct om_str text, size_t i)
{
    size_t size = word_size(text, i);
    while (size > 1 && strchr(".:", text.data[i + size - 1]))
        size--; // of the sentence
    struct om_str word = { text.data + i, size };
    const char *mark = mark_of(word);
    if (!mark) {
        put_word(title, word);
        return size;
    }
    put_mark(title, mark);
    if (mark == mark_time)
        return time_size(text, i, size);
    while (mark == mark_id && at(text, i + size) == '=')
        size++;
    return size;
}

// The bytes of a quoted string that begins at `i`; 0: none does.
static size_t
quoted_size(struct om_str text, size_t i)
{
    char quote = text.data[i];
    if (i > 0 && isalnum((unsigned char)text.data[i - 1]))
        return 0;
    for (size_t size = 1; size < QUOTED_MAX && at(text, i + size); size++) {
        char c = text.data[i + size];
        if (c == '\n')
            return 0;
        if (c == '\\')
            size++;
        else if (c == quote && !isalnum((unsigned char)at(text, i + size + 1)))
            return size + 1;
    }
    return 0;
}

static void
put_space(struct title *title)
{
    if (title->size > 0 && title->out[title->size - 1] != ' ')
        put(title, OM_LIT(" "));
}

static size_t
take_other(struct title *title, struct om_str text, size_t i)
{
    unsigned char c = (unsigned char)text.data[i];
    size_t size = om_utf8_size(text.data + i, text.size - i);
    if (c <= ' ' || c == 0x7f)
        put_space(title);
    else if (size > 0)
        put(title, (struct om_str){ text.data + i, size });
    else
        put(title, OM_LIT("?"));
    return size ? size : 1;
}

static void
put_text(struct title *title, struct om_str text)
{
    for (size_t i = 0; i < text.size && title->size + MARK_MAX <= OM_TITLE_MAX;) {
        char c = text.data[i];
        size_t quoted = c == '"' || c == '\'' || c == '`' ? quoted_size(text, i) : 0;
        if (quoted) {
            put_mark(title, mark_str);
            i += quoted;
        } else if (word_size(text, i) > 0) {
            i += take_word(title, text, i);
        } else {
            i += take_other(title, text, i);
        }
    }
    while (title->size > 0 && title->out[title->size - 1] == ' ')
        title->size--;
}

// ---- tracebacks

struct frame {
    struct om_str file, function;
};

struct traceback {
    struct om_str exception; // its line
    bool headed;             // it began with Python's first line, so its last is that
    struct frame own[FRAMES_SHOWN], last; // the innermost ones, the first of them first
    size_t own_count, count;
};

static struct om_str
take_line(struct om_str *rest)
{
    const char *end = memchr(rest->data, '\n', rest->size);
    size_t size = end ? (size_t)(end - rest->data) : rest->size;
    struct om_str line = { rest->data, size };
    size += end != NULL;
    rest->data += size;
    rest->size -= size;
    return line;
}

static bool
has(struct om_str text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

// `  File "PATH", line N, in FUNCTION`
static bool
read_frame(struct om_str line, struct frame *frame, bool *own)
{
    static const char begin[] = "File \"", middle[] = "\", line ", in[] = ", in ";
    size_t i = 0;
    while (at(line, i) == ' ')
        i++;
    if (i == 0 || line.size - i < sizeof(begin) ||
        memcmp(line.data + i, begin, sizeof(begin) - 1) != 0)
        return false;
    const char *path = line.data + i + sizeof(begin) - 1, *end = line.data + line.size;
    const char *path_end = memmem(path, (size_t)(end - path), middle, sizeof(middle) - 1);
    if (!path_end)
        return false;
    const char *name = memmem(path_end, (size_t)(end - path_end), in, sizeof(in) - 1);
    struct om_str whole = { path, (size_t)(path_end - path) };
    const char *slash = memrchr(path, '/', whole.size);
    const char *file = slash ? slash + 1 : path;
    name = name ? name + sizeof(in) - 1 : end;
    *frame = (struct frame){ { file, (size_t)(path_end - file) },
                             { name, (size_t)(end - name) } };
    *own = !has(whole, "site-packages") && !has(whole, "dist-packages") &&
           !has(whole, "/lib/python") && !has(whole, "<frozen") &&
           !has(whole, "omni_worker/");
    return true;
}

static void
add_frame(struct traceback *self, const struct frame *frame, bool own)
{
    self->last = *frame;
    self->count++;
    if (!own)
        return;
    if (self->own_count == FRAMES_SHOWN) {
        memmove(self->own, self->own + 1, sizeof(self->own) - sizeof(self->own[0]));
        self->own_count--;
    }
    self->own[self->own_count++] = *frame;
}

// Of several, one the cause of the next, the last is what was raised.
static bool
read_traceback(struct om_str text, struct traceback *self)
{
    *self = (struct traceback){ 0 };
    for (struct om_str rest = text; rest.size > 0;) {
        struct om_str line = take_line(&rest);
        struct frame frame;
        bool own;
        if (has(line, "Traceback (most recent call last)"))
            *self = (struct traceback){ .headed = true };
        else if (read_frame(line, &frame, &own))
            add_frame(self, &frame, own);
        else if (line.size > 0 && line.data[0] != ' ' && !self->exception.data &&
                 self->headed == (self->count > 0))
            self->exception = line;
    }
    return self->count > 0;
}

static void
put_traceback(struct title *title, const struct traceback *self)
{
    struct om_str type = self->exception;
    type.size = type.data ? run(type, 0, "._") : 0;
    put(title, type.size ? type : OM_LIT("exception"));
    const struct frame *frames = self->own_count ? self->own : &self->last;
    size_t count = self->own_count ? self->own_count : 1;
    for (size_t i = count; i > 0; i--) {
        put(title, i == count ? OM_LIT(" in ") : OM_LIT(" < "));
        put_text(title, frames[i - 1].file);
        put(title, OM_LIT(":"));
        put_text(title, frames[i - 1].function);
    }
}

size_t
om_error_title(struct om_str text, char out[OM_TITLE_MAX + 1])
{
    struct title title = { .out = out };
    struct traceback traceback;
    if (read_traceback(text, &traceback))
        put_traceback(&title, &traceback);
    else
        put_text(&title, text);
    out[title.size] = '\0';
    return title.size;
}

void
om_fingerprint(const struct om_str *parts, size_t count, uint8_t out[OM_FINGERPRINT])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char bytes[1024];
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t room = sizeof(bytes) - size - (count - i), part = parts[i].size;
        part = part < room ? part : room;
        memcpy(bytes + size, part ? parts[i].data : "", part);
        size += part;
        bytes[size++] = '\0';
    }
    SHA256((const uint8_t *)bytes, size, hash);
    memcpy(out, hash, OM_FINGERPRINT);
}

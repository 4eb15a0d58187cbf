#include <ctype.h>
#include <strings.h>

#include "log_mask.h"

enum {
    LOCAL_MAX = 64, // bytes before an e-mail address's @ (RFC 5321, 4.5.3.1.1)
    SECRET_MIN = 8, // shorter, it is a word of a sentence
};

bool
om_log_hides_field(const char *name)
{
    static const char *const names[] = {
        "authorization", "cookie",  "set-cookie", "password", "secret",
        "token",         "api_key", "api-key",    "email",    "x-api-key",
    };
    for (size_t i = 0; i < OM_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

// The bytes from `at` on that are alphanumeric or among `others`.
static size_t
run_size(struct om_str value, size_t at, const char *others)
{
    size_t size = 0;
    for (; at + size < value.size; size++) {
        char c = value.data[at + size];
        if (!c || (!isalnum((unsigned char)c) && !strchr(others, c)))
            break;
    }
    return size;
}

// What follows a word that announces a secret; the word itself may be seen.
static size_t
announced(struct om_str value, size_t at)
{
    static const struct {
        const char *before,
            *others; // `others`: the secret's bytes besides letters, digits
    } rows[] = {
        { "omni_live_", "_" },    { "omni_test_", "_" },    { "whsec_", "+/=" },
        { "Bearer ", "-._~+/=" }, { "bearer ", "-._~+/=" }, { "Basic ", "+/=" },
        { "eyJ", "-_." },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        size_t size = strlen(rows[i].before);
        if (at < size || memcmp(value.data + at - size, rows[i].before, size) != 0)
            continue;
        size_t secret = run_size(value, at, rows[i].others);
        return secret < SECRET_MIN ? 0 : secret;
    }
    return 0;
}

// The user and password of a URL: from behind "://" to the @.
static size_t
userinfo(struct om_str value, size_t at)
{
    if (at < 3 || memcmp(value.data + at - 3, "://", 3) != 0)
        return 0;
    size_t size = run_size(value, at, "-._~%!$&'()*+,;=:");
    return size && at + size < value.size && value.data[at + size] == '@' ? size : 0;
}

static size_t
email(struct om_str value, size_t at)
{
    static const char local_bytes[] = "._%+-";
    if (at > 0 && run_size((struct om_str){ value.data, at }, at - 1, local_bytes))
        return 0; // within a word
    size_t local = run_size(value, at, local_bytes);
    size_t domain_at = at + local + 1;
    if (local == 0 || local > LOCAL_MAX || domain_at >= value.size ||
        value.data[at + local] != '@')
        return 0;
    size_t domain = run_size(value, domain_at, ".-");
    return memchr(value.data + domain_at, '.', domain) ? local + 1 + domain : 0;
}

size_t
om_log_hidden(struct om_str value, size_t at)
{
    size_t size = announced(value, at);
    if (!size)
        size = userinfo(value, at);
    return size ? size : email(value, at);
}

// What stands behind "name=" or "name: ", if the field of this name is hidden: `at` is at
// the name, *from at the value. Returns the value's size.
static size_t
named(struct om_str text, size_t at, size_t *from)
{
    char name[32];
    size_t size = run_size(text, at, "_-"), i = at + size;
    if (size == 0 || size >= sizeof(name) ||
        (at > 0 && run_size((struct om_str){ text.data, at }, at - 1, "_-")))
        return 0;
    memcpy(name, text.data + at, size);
    name[size] = '\0';
    bool hides = om_log_hides_field(name);
    for (size_t k = 1; k < size && !hides; k++) // access_token
        hides = strchr("_-", name[k - 1]) && om_log_hides_field(name + k);
    if (!hides)
        return 0;
    while (i < text.size && strchr("\"' ", text.data[i]))
        i++;
    if (i >= text.size || (text.data[i] != '=' && text.data[i] != ':'))
        return 0;
    i++;
    while (i < text.size && strchr("\"' ", text.data[i]))
        i++;
    for (size = 0;
         i + size < text.size && !strchr("\"', \t\r\n;&}", text.data[i + size]);)
        size++;
    *from = i;
    return size;
}

size_t
om_log_mask(struct om_str text, char *out, size_t max)
{
    size_t size = 0, secret_at = 0, secret = 0;
    for (size_t i = 0; i < text.size;) {
        if (!secret)
            secret = named(text, i, &secret_at);
        size_t hidden = secret && i == secret_at ? secret : om_log_hidden(text, i);
        struct om_str part =
            hidden ? OM_LIT("[hidden]") : (struct om_str){ text.data + i, 1 };
        if (secret && i >= secret_at)
            secret = 0;
        if (size + part.size > max)
            break;
        memcpy(out + size, part.data, part.size);
        size += part.size;
        i += hidden ? hidden : 1;
    }
    return size;
}

// What is taken for a secret, by name and by shape.
#include <ctype.h>
#include <strings.h>

#include "redact.h"

enum { NAME_MIN = 3, NAME_MAX = 128, CARD_MIN = 14, CARD_MAX = 19, LINE_SEEN = 64 };

// ---- names

enum where { WHOLE, END, ANY };

// Letters and digits only, in lower case.
static const struct {
    const char *word;
    enum where where;
} names[] = {
    { "password", ANY },      { "passwd", ANY },
    { "passphrase", ANY },    { "passcode", ANY },
    { "pwd", END },           { "pass", WHOLE },
    { "secret", ANY },        { "credential", ANY },
    { "authorization", ANY }, { "auth", WHOLE },
    { "bearer", WHOLE },      { "cookie", ANY },
    { "session", WHOLE },     { "sessionid", END },
    { "sid", WHOLE },         { "token", END },
    { "jwt", END },           { "grant", WHOLE },
    { "apikey", ANY },        { "accesskey", ANY },
    { "privatekey", ANY },    { "signingkey", ANY },
    { "encryptionkey", ANY }, { "signature", END },
    { "sig", WHOLE },         { "connectionstring", ANY },
    { "dsn", WHOLE },         { "card", WHOLE },
    { "cardnumber", ANY },    { "creditcard", ANY },
    { "cvv", WHOLE },         { "cvc", WHOLE },
    { "cvv2", WHOLE },        { "pan", WHOLE },
    { "pin", WHOLE },         { "otp", WHOLE },
    { "totp", WHOLE },        { "mfacode", END },
    { "recoverycode", ANY },  { "iban", END },
    { "ssn", WHOLE },         { "email", END },
    { "emailaddress", END },
};

// Letters and digits of a name, in lower case. False: it is longer than any name is.
static bool
simplify(struct om_str name, char out[NAME_MAX + 1])
{
    size_t size = 0;
    for (size_t i = 0; i < name.size; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) || c >= 0x80)
            continue;
        if (size == NAME_MAX)
            return false;
        out[size++] = (char)tolower(c);
    }
    out[size] = '\0';
    return true;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

bool
redact_is_secret_name(struct om_str name)
{
    char text[NAME_MAX + 1];
    if (!simplify(name, text))
        return true;
    if (strlen(text) < NAME_MIN)
        return false;
    for (size_t i = 0; i < OM_COUNT(names); i++) {
        const char *word = names[i].word;
        if (names[i].where == WHOLE ? strcmp(text, word) == 0
            : names[i].where == END ? ends_with(text, word)
                                    : strstr(text, word) != NULL)
            return true;
    }
    return false;
}

bool
redact_is_secret_field(struct om_str name)
{
    static const struct om_str harmless = { "idempotency-key", 15 };
    char text[NAME_MAX + 1];
    if (name.size == harmless.size &&
        strncasecmp(name.data, harmless.data, harmless.size) == 0)
        return false;
    return redact_is_secret_name(name) || !simplify(name, text) || strstr(text, "auth") ||
           strstr(text, "token") || ends_with(text, "key") ||
           ends_with(text, "forwardedfor") || strcmp(text, "forwarded") == 0 ||
           ends_with(text, "realip");
}

// ---- shapes

// What a key begins with, and how many characters more it has at least. Those of our own
// are found in the middle of a word too.
static const struct {
    const char *prefix;
    size_t least;
    bool inside;
} prefixes[] = {
    { "omni_live_", 1, true }, { "omni_test_", 1, true },   { "sk_live_", 8, false },
    { "sk_test_", 8, false },  { "rk_live_", 8, false },    { "pk_live_", 8, false },
    { "sk-", 16, false },      { "whsec_", 8, false },      { "ghp_", 16, false },
    { "gho_", 16, false },     { "github_pat_", 8, false }, { "glpat-", 8, false },
    { "xoxb-", 8, false },     { "xoxp-", 8, false },       { "AKIA", 12, false },
    { "ASIA", 12, false },     { "AIza", 16, false },       { "hf_", 16, false },
    { "eyJ", 16, false }, // a JSON web token
};

static bool
is_key_byte(char c)
{
    return isalnum((unsigned char)c) || strchr("_-.+/=~", c) != NULL;
}

static bool
is_word_byte(char c)
{
    return isalnum((unsigned char)c) != 0;
}

// In any case. Most texts differ in the first byte, so there is no call for it.
static bool
begins(struct om_str text, const char *with)
{
    for (size_t i = 0; with[i]; i++)
        if (i == text.size || (text.data[i] | 0x20) != (with[i] | 0x20))
            return false;
    return true;
}

static size_t
key_run(struct om_str text, size_t at)
{
    while (at < text.size && text.data[at] && is_key_byte(text.data[at]))
        at++;
    return at;
}

static size_t
key_size(struct om_str text, bool inside, bool cut)
{
    for (size_t i = 0; i < OM_COUNT(prefixes); i++) {
        if ((inside && !prefixes[i].inside) || !begins(text, prefixes[i].prefix))
            continue;
        size_t size = strlen(prefixes[i].prefix), end = key_run(text, size);
        if (end - size >= prefixes[i].least || (cut && end == text.size))
            return end;
    }
    return 0;
}

// "Bearer …" and "Basic …"; the word stays.
static size_t
scheme_size(struct om_str text, bool cut)
{
    static const char *const schemes[] = { "bearer ", "basic " };
    for (size_t i = 0; i < OM_COUNT(schemes); i++) {
        size_t size = strlen(schemes[i]);
        if (!begins(text, schemes[i]))
            continue;
        size_t end = key_run(text, size);
        if (end - size >= 8 || (cut && end == text.size && end > size))
            return end;
    }
    return 0;
}

// A private key as PEM, to its end or that of the text.
static size_t
pem_size(struct om_str text)
{
    static const char last[] = "-----END";
    struct om_str line = { text.data, text.size < LINE_SEEN ? text.size : LINE_SEEN };
    if (!begins(text, "-----BEGIN ") ||
        !memmem(line.data, line.size, "PRIVATE KEY", strlen("PRIVATE KEY")))
        return 0;
    const char *end = memmem(text.data, text.size, last, strlen(last));
    if (!end)
        return text.size;
    size_t size = (size_t)(end - text.data);
    while (size < text.size && text.data[size] != '\n' && text.data[size] != '"')
        size++;
    return size;
}

static bool
passes_luhn(const char *digits, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        int digit = digits[count - 1 - i] - '0';
        digit = i % 2 ? 2 * digit : digit;
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10 == 0;
}

// The number of a card, in one piece or in groups as they stand on cards.
static size_t
card_size(struct om_str text)
{
    char digits[CARD_MAX];
    int count = 0, group = 0;
    size_t at = 0;
    if (text.data[0] < '2' || text.data[0] > '6')
        return 0;
    for (; at < text.size; at++) {
        char c = text.data[at];
        bool separates = (c == ' ' || c == '-') && (group == 4 || group == 6) &&
                         at + 1 < text.size && isdigit((unsigned char)text.data[at + 1]);
        if (separates) {
            group = 0;
            continue;
        }
        if (!isdigit((unsigned char)c))
            break;
        if (count == CARD_MAX)
            return 0;
        digits[count++] = c;
        group++;
    }
    bool goes_on = at < text.size && (is_word_byte(text.data[at]) ||
                                      (text.data[at] == '.' && at + 1 < text.size &&
                                       isdigit((unsigned char)text.data[at + 1])));
    return count >= CARD_MIN && !goes_on && passes_luhn(digits, count) ? at : 0;
}

size_t
redact_shape(struct om_str text, char before, bool cut)
{
    bool inside = before && is_word_byte(before);
    if (text.size == 0 || (inside && (text.data[0] | 0x20) != 'o'))
        return 0; // only keys of ours are found there
    if (text.data[0] == '-')
        return pem_size(text);
    if (isdigit((unsigned char)text.data[0]))
        return before == '.' ? 0 : card_size(text);
    if (!isalpha((unsigned char)text.data[0]))
        return 0; // all others begin with a letter
    size_t size = key_size(text, inside, cut);
    return size || inside ? size : scheme_size(text, cut);
}

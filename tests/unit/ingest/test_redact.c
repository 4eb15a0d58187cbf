// What is kept of a request has no secret in it, however it was sent.
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "redact.h"

enum { MAX = 16 * 1024 };

#define LIVE "omni_live_4mfTnQ0zv7Yk2Lx9"
#define CARD "4111 1111 1111 1111"

typedef unsigned redactor(struct om_str text, size_t max, struct om_buf *out);

static struct om_buf out;

static void
end(void)
{
    om_buf_finish(&out);
}

TestSuite(redact, .fini = end);

// What is left of it, as a string.
static const char *
left(redactor *redact, const char *text, unsigned *bits)
{
    om_buf_reset(&out);
    *bits = redact(om_str(text), MAX, &out);
    om_buf_put(&out, "", 1);
    return out.data;
}

static void
expect(redactor *redact, const char *text, const char *wanted)
{
    unsigned bits;
    const char *got = left(redact, text, &bits);
    cr_expect_str_eq(got, wanted, "%s became %s", text, got);
    cr_expect_eq(bits, strcmp(text, wanted) ? REDACT_HIT : 0u, "%s", text);
}

// ---- by name

Test(redact, secrets_are_known_by_their_names)
{
    static const char *const secret[] = {
        "password",     "PassWord",     "new_password", "user[password]",
        "clientSecret", "access_token", "accessToken",  "X-Api-Key",
        "card_number",  "cvv",          "pin",          "private-key",
        "email",        "Set-Cookie",   "session",      "authorization",
    };
    static const char *const harmless[] = {
        "tokens",      "max_tokens", "tokens_per_minute",
        "limit_key",   "key",        "passenger",
        "card_game",   "pinned",     "name",
        "time_series", "author",     "",
        "unique",
    };
    for (size_t i = 0; i < OM_COUNT(secret); i++)
        cr_expect(redact_is_secret_name(om_str(secret[i])), "%s", secret[i]);
    for (size_t i = 0; i < OM_COUNT(harmless); i++)
        cr_expect(!redact_is_secret_name(om_str(harmless[i])), "%s", harmless[i]);
    char longest[400];
    memset(longest, 'a', sizeof(longest));
    cr_expect(redact_is_secret_name((struct om_str){ longest, sizeof(longest) }));
}

Test(redact, what_a_secret_name_has_is_taken_out_of_json)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "{\"password\":\"hunter2\"}", "{\"password\":\"[redacted]\"}" },
        { "{ \"a\" : [ { \"Password\" : \"hunter2\" , \"b\" : 1 } ] }",
          "{ \"a\" : [ { \"Password\" : \"[redacted]\" , \"b\" : 1 } ] }" },
        { "{\"pin\":1234,\"a\":1}", "{\"pin\":\"[redacted]\",\"a\":1}" },
        { "{\"card\":{\"number\":\"1\",\"x\":\"}\"},\"a\":1}",
          "{\"card\":\"[redacted]\",\"a\":1}" },
        { "{\"credentials\":[[1,\"]\"],2],\"a\":1}",
          "{\"credentials\":\"[redacted]\",\"a\":1}" },
        { "{\"p\\u0061ssword\":\"hunter2\"}", "{\"p\\u0061ssword\":\"[redacted]\"}" },
        { "{\"password\":null,\"token\":false,\"secret\":\"\"}",
          "{\"password\":null,\"token\":false,\"secret\":\"\"}" },
        { "{\"password\":\"hun\\\"ter2\",\"a\":\"b\"}",
          "{\"password\":\"[redacted]\",\"a\":\"b\"}" },
        { "{\"a\":\"{\\\"password\\\":\\\"hunter2\\\"}\"}",
          "{\"a\":\"{\\\"password\\\":\\\"[redacted]\\\"}\"}" },
        // Malformed, as what is kept often is.
        { "{\"password\":\"hunter2", "{\"password\":\"[redacted]\"" },
        { "{'password':'hunter2','a':1}", "{'password':\"[redacted]\",'a':1}" },
        { "{password: hunter2, a: 1}", "{password: [redacted], a: 1}" },
        { "{\"password\": [\"hunter2\"", "{\"password\": \"[redacted]\"" },
        { "{\"password\"=>\"hunter2\"}", "{\"password\"=>\"[redacted]\"}" },
        { "<user><password>hunter2</password></user>",
          "<user><password>[redacted]</password></user>" },
        { "Authorization: Bearer abcdefgh\nX: y", "Authorization: [redacted]\nX: y" },
        { "[1,2,3.25,\"a\",true]", "[1,2,3.25,\"a\",true]" },
        { "", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        expect(redact_text, cases[i].text, cases[i].wanted);
}

// ---- by shape

Test(redact, secrets_are_known_by_their_shapes)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "{\"a\":\"" LIVE "\"}", "{\"a\":\"[redacted]\"}" },
        { "{\"a\":\"omni_t\\u0065st_abcdefgh\"}", "{\"a\":\"[redacted]\"}" },
        { "see x" LIVE ".", "see x[redacted]" },
        { "{\"a\":\"Bearer abcdefghij\"}", "{\"a\":\"Bearer [redacted]\"}" },
        { "{\"a\":\"sk_live_0123456789\"}", "{\"a\":\"[redacted]\"}" },
        { "ghp_0123456789abcdef0123", "[redacted]" },
        { "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln x", "[redacted] x" },
        { "{\"a\":\"mail ada@example.com, please\"}",
          "{\"a\":\"mail [redacted], please\"}" },
        { "{\"a\":\"ada%40example.com\"}", "{\"a\":\"[redacted]\"}" },
        { "https://ada:hunter2@example.com/x", "https://[redacted]@example.com/x" },
        { "paid with " CARD " today", "paid with [redacted] today" },
        { "{\"n\":4111111111111111}", "{\"n\":[redacted]}" },
        { "5500-0055-5555-5559", "[redacted]" },
        { "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx",
          "[redacted]\nx" },
        { "-----BEGIN PRIVATE KEY-----\nabc", "[redacted]" },
        { "{\"a\":\"password=hunter2&b=1\"}", "{\"a\":\"password=[redacted]&b=1\"}" },
        { "{\"a\":\"p%2561ssword%3Dhunter2\"}", "{\"a\":\"password=[redacted]\"}" },
        // What only looks like one.
        { "{\"time_series\":[1795268865820,0.4111111111111111,4111111111111112]}",
          "{\"time_series\":[1795268865820,0.4111111111111111,4111111111111112]}" },
        { "task-sk-1 @dev/name basic use", "task-sk-1 @dev/name basic use" },
        { "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----" },
        { "{\"id\":\"req_01h455vb4pex5vsknk084sn02q\"}",
          "{\"id\":\"req_01h455vb4pex5vsknk084sn02q\"}" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        expect(redact_text, cases[i].text, cases[i].wanted);
}

// ---- queries, forms and paths

Test(redact, queries_are_read_as_servers_read_them)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        { "limit=2&after=x", "limit=2&after=x" },
        { "a=1&api_key=hunter2&b=2", "a=1&api_key=[redacted]&b=2" },
        { "api%5Fkey=hunter2", "api%5Fkey=[redacted]" },
        { "%61%70%69%5f%6b%65%79=h", "%61%70%69%5f%6b%65%79=[redacted]" },
        { "pass%2577ord=hunter2;a=1", "pass%2577ord=[redacted];a=1" },
        { "user%5Bpassword%5D=hunter2", "user%5Bpassword%5D=[redacted]" },
        { "q=omni%5Flive%5Fabcdef", "q=[redacted]" },
        { "q=ada%40example.com", "q=[redacted]" },
        { "q=ada%2540example.com", "q=[redacted]" },
        { "card=4111+1111+1111+1111", "card=[redacted]" },
        { "q=4111+1111+1111+1111", "q=[redacted]" },
        { "q=%7B%22password%22%3A%22x%22%7D", "q=[redacted]" },
        { LIVE, "[redacted]" },
        { LIVE "=1", "[redacted]" },
        { "a=%zz&b=%", "a=%zz&b=%" },
        { "a&b=&=c&&", "a&b=&=c&&" },
        { "", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        expect(redact_form, cases[i].text, cases[i].wanted);
    expect(redact_path, "/v1/files/file_01h455vb4pex5vsknk084sn02q/content",
           "/v1/files/file_01h455vb4pex5vsknk084sn02q/content");
    expect(redact_path, "/users/ada%40example.com/x", "/users/[redacted]/x");
    expect(redact_path, "/keys/omni%5flive_abc", "/keys/[redacted]");
}

Test(redact, a_body_is_read_by_what_it_looks_like)
{
    expect(redact_body, "{\"password\":\"a\"}", "{\"password\":\"[redacted]\"}");
    expect(redact_body, "pass%77ord=a&b=c", "pass%77ord=[redacted]&b=c");
    expect(redact_body, "[\"a=b\"]", "[\"a=b\"]");
}

Test(redact, header_fields_that_say_who_asks_are_taken_out)
{
    static const struct {
        const char *name, *value, *wanted;
    } cases[] = {
        { "Authorization", "Bearer x", "[redacted]" },
        { "proxy-authorization", "Basic x", "[redacted]" },
        { "COOKIE", "a=b", "[redacted]" },
        { "x-api-key", "x", "[redacted]" },
        { "X-Goog-Key", "x", "[redacted]" },
        { "x-csrf-token", "x", "[redacted]" },
        { "X-Forwarded-For", "192.0.2.1", "[redacted]" },
        { "user-agent", "x (ada@example.com)", "x ([redacted])" },
        { "referer", "https://x/?t%6fken%3dabc", "https://x/?token=[redacted]" },
        { "idempotency-key", "order-17", "order-17" },
        { "accept", "*/*", "*/*" },
        { "authorization", "", "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        om_buf_reset(&out);
        redact_field(om_str(cases[i].name), om_str(cases[i].value), 100, &out);
        om_buf_put(&out, "", 1);
        cr_expect_str_eq(out.data, cases[i].wanted, "%s: %s", cases[i].name, out.data);
    }
}

// ---- hostile

static bool
holds(const char *needle)
{
    return memmem(out.data, out.size, needle, strlen(needle)) != NULL;
}

Test(redact, what_lies_across_the_cut_does_not_stay_in_half)
{
    static const char *const secrets[] = { LIVE, CARD, "ada.lovelace@example.com",
                                           "{\"password\":\"4mfTnQ0zv7Yk2Lx9\"}",
                                           "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln" };
    static const char *const halves[] = { "4mfTn", "4111 11", "lovela", "4mfTn",
                                          "hbGci" };
    enum { CAP = 300 };
    for (size_t i = 0; i < OM_COUNT(secrets); i++)
        for (size_t before = CAP - 60; before < CAP + 5; before++) {
            struct om_buf text = { 0 };
            for (size_t n = 0; n < before; n++)
                om_buf_put(&text, n % 8 ? "x" : " ", 1);
            om_buf_put(&text, " ", 1);
            om_buf_put(&text, secrets[i], strlen(secrets[i]));
            for (size_t n = 0; n < 4000; n++)
                om_buf_put(&text, " y", 2);
            om_buf_reset(&out);
            unsigned bits = redact_text(om_buf_str(&text), CAP, &out);
            cr_expect(bits & REDACT_CUT);
            cr_expect_leq(out.size, (size_t)CAP);
            cr_expect(!holds(halves[i]), "%s at %zu", secrets[i], before);
            om_buf_finish(&text);
        }
}

Test(redact, a_secret_longer_than_what_is_looked_at_is_taken_out_too)
{
    struct om_buf text = { 0 };
    om_buf_put(&text, "{\"a\":\"eyJ", 9);
    for (size_t n = 0; n < 100000; n++)
        om_buf_put(&text, "Q", 1);
    redact_text(om_buf_str(&text), MAX, &out);
    cr_expect(!holds("QQQQ"));
    om_buf_reset(&out);
    om_buf_reset(&text);
    om_buf_put(&text, "{\"password\":\"", 13);
    for (size_t n = 0; n < 100000; n++)
        om_buf_put(&text, "Q", 1);
    redact_text(om_buf_str(&text), MAX, &out);
    cr_expect(!holds("QQQQ"));
    om_buf_finish(&text);
}

Test(redact, nothing_that_is_cut_ends_within_a_character)
{
    struct om_buf text = { 0 };
    for (size_t n = 0; n < 1000; n++)
        om_buf_put(&text, "€", 3);
    for (size_t max = 90; max < 96; max++) {
        om_buf_reset(&out);
        cr_expect_eq(redact_text(om_buf_str(&text), max, &out), REDACT_CUT);
        cr_expect_eq(out.size % 3, 0);
        cr_expect_leq(out.size, max);
    }
    om_buf_finish(&text);
}

Test(redact, bytes_that_are_no_text_are_survived)
{
    static const char broken[] =
        "\xff\xfe{\"pass\xc0\x80word\":\"\xed\xa0\x80" LIVE "\x00password=hunter2\xf5";
    unsigned bits = redact_text((struct om_str){ broken, sizeof(broken) - 1 }, MAX, &out);
    cr_expect(bits & REDACT_HIT);
    cr_expect(!holds("4mfTn") && !holds("hunter2"));
}

Test(redact, nested_strings_have_an_end)
{
    // JSON in JSON in JSON …, deeper than is looked at.
    struct om_buf text = { 0 }, next = { 0 };
    om_buf_put(&text, "{\"password\":\"hunter2\"}", 22);
    for (int depth = 0; depth < 8; depth++) {
        om_buf_reset(&next);
        om_buf_put(&next, "{\"a\":\"", 6);
        for (size_t i = 0; i < text.size; i++) {
            if (text.data[i] == '"' || text.data[i] == '\\')
                om_buf_put(&next, "\\", 1);
            om_buf_put(&next, text.data + i, 1);
        }
        om_buf_put(&next, "\"}", 2);
        om_buf_reset(&text);
        om_buf_put(&text, next.data, next.size);
        om_buf_reset(&out);
        cr_expect(redact_text(om_buf_str(&text), MAX, &out) & REDACT_HIT);
        cr_expect(!holds("hunter2"), "%d deep", depth + 1);
    }
    om_buf_finish(&text);
    om_buf_finish(&next);
}

// Any bytes: bounded, and no key of ours in what is left.
Test(redact, random_bytes_around_a_key_leave_no_key)
{
    static const char pieces[][14] = {
        "\"",   "\\",      "'",  "{",        "}",        "[",          "]",
        ":",    "=",       "&",  "password", "%",        "%25",        "@",
        "://",  "\\u0022", "\n", " ",        "%22",      "omni_live_", "-----BEGIN ",
        "4111", "eyJ",     "<",  ">",        "\xe2\x82", ",",          "token\":"
    };
    redactor *const all[] = { redact_text, redact_form, redact_path, redact_body };
    srand(7);
    for (int round = 0; round < 20000; round++) {
        struct om_buf text = { 0 };
        int count = rand() % 40, place = count ? rand() % count : 0;
        for (int i = 0; i < count; i++) {
            const char *piece = pieces[(size_t)rand() % OM_COUNT(pieces)];
            om_buf_put(&text, piece, strlen(piece));
            if (i == place)
                om_buf_put(&text, LIVE, strlen(LIVE));
        }
        om_buf_reset(&out);
        size_t max = (size_t)(rand() % 200);
        all[round % 4](om_buf_str(&text), max, &out);
        cr_expect_leq(out.size, max);
        cr_expect(!holds(LIVE), "round %d: %.*s", round, (int)text.size, text.data);
        om_buf_finish(&text);
    }
}

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

static char lines[64 * 1024];

// Standard error goes to a file until end_capture() reads it into `lines`.
static FILE *captured;

static void
capture(const char *format, const char *level)
{
    cr_assert(setenv("OMNI_LOG_FORMAT", format, 1) == 0);
    cr_assert(setenv("OMNI_LOG_LEVEL", level, 1) == 0);
    om_log_init("test");
    captured = tmpfile();
    cr_assert(captured && dup2(fileno(captured), STDERR_FILENO) == STDERR_FILENO);
}

static void
end_capture(void)
{
    rewind(captured);
    lines[fread(lines, 1, sizeof(lines) - 1, captured)] = '\0';
    fclose(captured);
}

// The one line that was written, as JSON.
static json_t *
end_as_json(void)
{
    json_error_t error;
    end_capture();
    cr_assert(strlen(lines) > 0 && strchr(lines, '\n') == lines + strlen(lines) - 1);
    json_t *line = json_loads(lines, JSON_REJECT_DUPLICATES, &error);
    cr_assert(line, "%s in %s", error.text, lines);
    return line;
}

static const char *
text_of(const json_t *line, const char *key)
{
    return json_string_value(json_object_get(line, key));
}

Test(log, line_is_one_json_object)
{
    capture("json", "info");
    om_log_context("0af7651916cd43dd8448eb211c80319c", "req_1");
    om_log(OM_WARN, "cannot connect", LOG_S("endpoint", "ipc://x"), LOG_I("attempt", -3),
           LOG_F("share", 0.25), LOG_STR("part", ((struct om_str){ "abcdef", 3 })));
    json_t *line = end_as_json();
    cr_expect_str_eq(text_of(line, "level"), "warn");
    cr_expect_str_eq(text_of(line, "service"), "test");
    cr_expect_str_eq(text_of(line, "msg"), "cannot connect");
    cr_expect_str_eq(text_of(line, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    cr_expect_str_eq(text_of(line, "request_id"), "req_1");
    cr_expect_str_eq(text_of(line, "endpoint"), "ipc://x");
    cr_expect_str_eq(text_of(line, "part"), "abc");
    cr_expect_eq(json_integer_value(json_object_get(line, "attempt")), -3);
    cr_expect_eq(json_real_value(json_object_get(line, "share")), 0.25);
    cr_expect_eq(strlen(text_of(line, "ts")), strlen("2026-11-21T04:05:06.789Z"));
    cr_expect_null(json_object_get(line, "cut"));
    json_decref(line);
}

Test(log, line_without_context_or_service_names_none)
{
    cr_assert(setenv("OMNI_LOG_FORMAT", "json", 1) == 0);
    captured = tmpfile();
    cr_assert(captured && dup2(fileno(captured), STDERR_FILENO) == STDERR_FILENO);
    om_log_context(NULL, NULL);
    om_log(OM_INFO, "hello");
    json_t *line = end_as_json();
    cr_expect_null(json_object_get(line, "service"));
    cr_expect_null(json_object_get(line, "trace_id"));
    cr_expect_eq(json_object_size(line), 3);
    json_decref(line);
}

Test(log, line_escapes_whatever_a_value_holds)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        { "", "" },
        { "a\"b\\c", "a\"b\\c" },
        { "line\nfeed\ttab\x7f", "line\nfeed\ttab\x7f" },
        { "żółw 🐢", "żółw 🐢" },
        { "\xff\xc3(", "\xc3\xbf\xc3\x83(" },                       // each byte as itself
        { "\xed\xa0\x80", "\xc3\xad\xc2\xa0\xc2\x80" },             // a surrogate
        { "\xe0\x80\xaf", "\xc3\xa0\xc2\x80\xc2\xaf" },             // overlong
        { "\xf5\x80\x80\x80", "\xc3\xb5\xc2\x80\xc2\x80\xc2\x80" }, // beyond the last
        { "cut\xe2\x82", "cut\xc3\xa2\xc2\x82" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        capture("json", "info");
        om_log(OM_INFO, "value", LOG_S("value", rows[i].value));
        json_t *line = end_as_json();
        cr_expect_str_eq(text_of(line, "value"), rows[i].shown, "row %zu", i);
        json_decref(line);
    }
}

Test(log, line_stays_whole_json_however_long_its_values_are)
{
    static const char *const units[] = { "x", "\n", "\"", "ż", "\xff", "🐢" };
    for (size_t u = 0; u < OM_COUNT(units); u++)
        for (size_t size = 520; size < 1300; size += 61) {
            char value[8000] = "";
            while (strlen(value) < size)
                strcat(value, units[u]);
            capture("json", "debug"); // which is not limited
            om_log(OM_DEBUG, "long", LOG_S("a", value), LOG_S("b", value), LOG_I("c", 1),
                   LOG_S("d", value), LOG_S("e", value), LOG_S("f", value),
                   LOG_S("g", value), LOG_S("h", value), LOG_S("i", value));
            json_t *line = end_as_json();
            cr_expect_leq(strlen(lines), 4096);
            cr_expect(json_is_true(json_object_get(line, "cut")));
            json_decref(line);
        }
}

Test(log, line_stays_whole_json_when_its_message_fills_it)
{
    char message[1001];
    memset(message, '\x01', sizeof(message) - 1); // each is written as six bytes
    message[sizeof(message) - 1] = '\0';
    capture("json", "info");
    om_log_context("0af7651916cd43dd8448eb211c80319c", "req_1");
    om_log(OM_INFO, message, LOG_I("n", 1));
    json_t *line = end_as_json();
    cr_expect_leq(strlen(lines), 4096);
    cr_expect(json_is_true(json_object_get(line, "cut")));
    json_decref(line);
}

Test(log, number_that_json_has_not_is_zero)
{
    capture("json", "info");
    om_log(OM_INFO, "numbers", LOG_F("nan", 0.0 / 0.0), LOG_F("inf", 1.0 / 0.0),
           LOG_F("large", 1e300));
    json_t *line = end_as_json();
    cr_expect_eq(json_number_value(json_object_get(line, "nan")), 0);
    cr_expect_eq(json_number_value(json_object_get(line, "inf")), 0);
    cr_expect_eq(json_number_value(json_object_get(line, "large")), 1e300);
    json_decref(line);
}

Test(log, level_hides_what_is_less_grave)
{
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    for (unsigned level = 0; level < OM_COUNT(levels); level++) {
        capture("json", levels[level]);
        for (unsigned written = OM_DEBUG; written <= OM_ERROR; written++)
            om_log((enum om_log_level)written, "message");
        end_capture();
        unsigned count = 0;
        for (const char *at = lines; (at = strchr(at, '\n')); at++)
            count++;
        cr_expect_eq(count, OM_COUNT(levels) - level, "at level %s", levels[level]);
    }
}

Test(log, line_for_people_is_logfmt)
{
    capture("logfmt", "info");
    om_log(OM_INFO, "is ready", LOG_S("url", "http://x"), LOG_I("n", 3));
    end_capture();
    cr_expect(strstr(lines, " level=\"info\" service=\"test\" msg=\"is ready\" "
                            "url=\"http://x\" n=3\n"),
              "%s", lines);
}

Test(log, line_shows_no_secret_and_nobodys_address)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        { "the key omni_live_0123456789abcdef is over",
          "the key omni_live_[hidden] is over" },
        { "omni_test_0123456789_abc", "omni_test_[hidden]" },
        { "Authorization: Bearer abc.def-123~x, then",
          "Authorization: Bearer [hidden], then" },
        { "a bearer token is missing", "a bearer token is missing" },
        { "Basic dXNlcjpwYXNzd29yZA==", "Basic [hidden]" },
        { "eyJhbGciOiJIUzI1NiJ9.e30.x", "eyJ[hidden]" },
        { "postgres://omni:s3cr%t@db:5432/omni", "postgres://[hidden]@db:5432/omni" },
        { "redis://:pw@127.0.0.1:6379", "redis://[hidden]@127.0.0.1:6379" },
        { "http://127.0.0.1:8080/a@b", "http://127.0.0.1:8080/a@b" },
        { "ada.lovelace+x@example.co.uk exists", "[hidden] exists" },
        { "<ada@example.com>,bob@example.org", "<[hidden]>,[hidden]" },
        { "ipc://@abstract a@b @ada", "ipc://@abstract a@b @ada" },
        { "omni_live_", "omni_live_" },
        { "@", "@" },
        { "ada@", "ada@" },
        { "key@x.", "[hidden]" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        capture("json", "info");
        om_log(OM_INFO, "value", LOG_S("value", rows[i].value),
               LOG_S("Password", "hello"));
        json_t *line = end_as_json();
        cr_expect_str_eq(text_of(line, "value"), rows[i].shown, "row %zu: %s", i,
                         text_of(line, "value"));
        cr_expect_str_eq(text_of(line, "Password"), "[hidden]");
        json_decref(line);
    }
}

Test(log, place_that_repeats_itself_says_how_often_instead)
{
    struct om_log_site site = { 0 };
    int suppressed;
    for (int i = 0; i < 1000; i++) {
        cr_expect_eq(om_log_may(&site, 5000 + i % 1000, &suppressed),
                     i < OM_LOG_SITE_MAX);
        cr_expect_eq(suppressed, 0);
    }
    cr_expect(om_log_may(&site, 6000, &suppressed), "a new second");
    cr_expect_eq(suppressed, 1000 - OM_LOG_SITE_MAX);
    cr_expect(om_log_may(&site, 6001, &suppressed));
    cr_expect_eq(suppressed, 0, "it was told");
}

Test(log, each_place_has_lines_of_its_own_and_debugging_has_no_limit)
{
    int written = 0;
    capture("json", "debug");
    for (int i = 0; i < 10 * OM_LOG_SITE_MAX; i++)
        om_log(OM_ERROR, "again");
    for (int i = 0; i < 2 * OM_LOG_SITE_MAX; i++)
        om_log(OM_DEBUG, "detail");
    om_log(OM_ERROR, "another");
    end_capture();
    for (const char *at = lines; (at = strstr(at, "\"again\"")); at++)
        written++;
    cr_expect(written >= OM_LOG_SITE_MAX && written <= 4 * OM_LOG_SITE_MAX, "%d",
              written);
    written = 0;
    for (const char *at = lines; (at = strstr(at, "\"detail\"")); at++)
        written++;
    cr_expect_eq(written, 2 * OM_LOG_SITE_MAX);
    cr_expect(strstr(lines, "\"another\""));
}

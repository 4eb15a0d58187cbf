#include <criterion/criterion.h>
#include <stdio.h>

#include "json.h"
#include "setting.h"

#define VALUE_FIELDS(F, M) F(M, MAP, settings, REQUIRED, 0, 8, NULL, "settings")
REC_DECLARE(value, VALUE_FIELDS);
REC_DEFINE(value, VALUE_FIELDS);

// Check the setting `name` with a value in JSON.
static enum om_rc
check(const char *name, const char *json, char why[SETTING_WHY_MAX])
{
    char text[600];
    struct om_arena arena = { 0 };
    struct om_json_error error;
    struct value value;
    struct rec_value head;
    struct om_str key, raw;
    snprintf(text, sizeof(text), "{\"settings\":{\"%s\":%s}}", name, json);
    enum om_rc rc = om_json_to_record(&value_rec, om_str(text), &arena, &value, &error);
    cr_assert_eq(rc, OM_OK, "%s", error.text);
    cr_assert(rec_next_value(&value.settings, &head));
    struct rec_iter iter = { value.settings, 2 };
    cr_assert(rec_next_str(&iter, &key) && rec_next_raw(&iter, &raw));
    const struct setting *setting = setting_find(key);
    cr_assert(setting, "%s", name);
    *why = '\0';
    rc = setting_check(setting, raw, why);
    om_arena_finish(&arena);
    return rc;
}

Test(setting, each_is_whole)
{
    for (size_t i = 0; i < settings_known_count; i++) {
        const struct setting *setting = &settings_known[i];
        cr_expect(setting->name && *setting->name && setting->doc && *setting->doc);
        cr_expect_leq(setting->low, setting->high, "%s", setting->name);
        cr_expect_eq(setting->check != NULL, setting->wanted != NULL, "%s",
                     setting->name);
        cr_expect_eq(setting_find(om_str(setting->name)), setting, "%s twice",
                     setting->name);
    }
    cr_expect_null(setting_find(OM_LIT("")));
    cr_expect_null(setting_find(OM_LIT("cors_origin")));
}

Test(setting, takes_what_is_of_its_type)
{
    static const char *const good[][2] = {
        { "cors_origins", "[]" },
        { "cors_origins",
          "[\"https://app.example.com\",\"http://localhost:3000\",\"*\"]" },
        { "default_model", "\"revenue-lstm\"" },
        { "requests_per_minute", "0" },
        { "tokens_per_minute", "1000000" },
        { "cache", "false" },
    };
    char why[SETTING_WHY_MAX];
    for (size_t i = 0; i < OM_COUNT(good); i++)
        cr_expect_eq(check(good[i][0], good[i][1], why), OM_OK, "%s %s: %s", good[i][0],
                     good[i][1], why);
}

Test(setting, refuses_anything_else_and_says_what_would_be_right)
{
    static const struct {
        const char *name, *json, *words;
    } bad[] = {
        { "cors_origins", "\"https://a.b\"", "array of strings" },
        { "cors_origins", "[1]", "array of strings" },
        { "cors_origins", "[\"https://a.b\",null]", "array of strings" },
        { "cors_origins", "[\"https://a.b/path\"]", "an origin" },
        { "cors_origins", "[\"HTTPS://A.B\"]", "an origin" },
        { "cors_origins", "[\"https://\"]", "an origin" },
        { "cors_origins", "[\"ftp://a.b\"]", "an origin" },
        { "cors_origins", "[\"\"]", "an origin" },
        { "cors_origins", "[\"https://a.b\\r\\nset-cookie: x\"]", "an origin" },
        { "default_model", "\"\"", "1 to 64 bytes" },
        { "default_model", "\"a b\"", "letters, digits" },
        { "default_model", "7", "a string" },
        { "requests_per_minute", "-1", "0 to 1000000000" },
        { "requests_per_minute", "1.5", "an integer" },
        { "requests_per_minute", "\"10\"", "an integer" },
        { "requests_per_minute", "true", "an integer" },
        { "concurrent_requests", "1000001", "0 to 1000000" },
        { "cache", "1", "a boolean" },
        { "cache", "{}", "a boolean" },
    };
    char why[SETTING_WHY_MAX];
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        cr_expect_eq(check(bad[i].name, bad[i].json, why), OM_EINVAL, "%s %s",
                     bad[i].name, bad[i].json);
        cr_expect(strstr(why, bad[i].words), "%s %s: %s", bad[i].name, bad[i].json, why);
    }
}

#include <criterion/criterion.h>

#include "etag.h"

Test(etag, is_read_as_it_was_written)
{
    static const int64_t versions[] = { 0, 1, 7, 10, 1234567890123456 };
    for (size_t i = 0; i < OM_COUNT(versions); i++) {
        char tag[ETAG_MAX];
        int64_t version = -1;
        struct om_str text = { tag, etag_write(versions[i], tag) };
        cr_expect_eq(etag_read(text, &version), ETAG_VERSION, "%s", tag);
        cr_expect_eq(version, versions[i], "%s", tag);
        cr_expect(etag_listed(text, versions[i]));
        cr_expect_not(etag_listed(text, versions[i] + 1));
    }
}

Test(etag, of_if_match_is_one_strong_tag_of_ours_or_any)
{
    static const struct {
        const char *field;
        enum etag_wish wish;
    } cases[] = {
        { NULL, ETAG_ANY },         { "", ETAG_ANY },
        { "*", ETAG_ANY },          { " \"v3\" ", ETAG_VERSION },
        { "W/\"v3\"", ETAG_NEVER }, { "\"\"", ETAG_NEVER },
        { "\"v\"", ETAG_NEVER },    { "\"v03\"", ETAG_NEVER },
        { "\"v-3\"", ETAG_NEVER },  { "\"v99999999999999999999\"", ETAG_NEVER },
        { "\"abc\"", ETAG_NEVER },  { "v3", ETAG_BAD },
        { "\"v3", ETAG_BAD },       { "\"", ETAG_BAD },
        { "W/", ETAG_BAD },         { "\"v3\", \"v4\"", ETAG_BAD },
        { "\"v3\"x", ETAG_BAD },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        int64_t version;
        cr_expect_eq(etag_read(om_str(cases[i].field), &version), cases[i].wish, "%s",
                     cases[i].field ? cases[i].field : "absent");
    }
}

Test(etag, of_if_none_match_is_looked_for_in_a_list)
{
    static const struct {
        const char *field;
        bool listed;
    } cases[] = {
        { NULL, false },           { "*", true },
        { "\"v3\"", true },        { "W/\"v3\"", true },
        { "\"v1\",\"v3\"", true }, { "\"a\" , W/\"v3\"", true },
        { "\"v33\"", false },      { "\"v1\" \"v3\"", false },
        { "v3", false },           { "\"v1\", v3", false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(etag_listed(om_str(cases[i].field), 3), cases[i].listed, "%s",
                     cases[i].field ? cases[i].field : "absent");
}

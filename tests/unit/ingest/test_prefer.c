#include <criterion/criterion.h>

#include "prefer.h"

Test(prefer, reads_what_it_knows_and_ignores_the_rest)
{
    static const struct {
        const char *text;
        bool async, has_wait;
        int64_t wait_s;
    } cases[] = {
        { "respond-async", true, false, 0 },
        { "Respond-Async", true, false, 0 },
        { "respond-async, wait=10", true, true, 10 },
        { "wait=10,respond-async", true, true, 10 },
        { "wait = 5", false, true, 5 },
        { "wait=\"5\"", false, true, 5 },
        { "wait=5; of=patience", false, true, 5 },
        { "respond-async; foo=\"a, wait=7\"", true, false, 0 },
        { "foo=\"a, wait=7\", wait=8", false, true, 8 },
        { "foo=\"a\\\", wait=7\", wait=8", false, true, 8 },
        { "wait=0", false, true, 0 },
        { "wait=61", false, true, 60 },
        { "wait=99999999999999999999999", false, true, 60 },
        { "wait=5, wait=6", false, true, 5 },
        { "wait=x, wait=6", false, true, 6 },
        { "respond-async=\"\"", true, false, 0 },
        { "", false, false, 0 },
        { ",,;,=", false, false, 0 },
        { "wait", false, false, 0 },
        { "wait=", false, false, 0 },
        { "wait=-1", false, false, 0 },
        { "wait=1.5", false, false, 0 },
        { "wait=1 2", false, false, 0 },
        { "wait=\"5", false, false, 0 },
        { "wait:5", false, false, 0 },
        { "respond-async=no", false, false, 0 },
        { "respond-asynchronously", false, false, 0 },
        { "respond async", false, false, 0 },
        { "return=minimal; wait=5", false, false, 0 },
        { "\"respond-async", false, false, 0 },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct prefer prefer = { 0 };
        prefer_add(&prefer, om_str(cases[i].text));
        cr_expect_eq(prefer.respond_async, cases[i].async, "%s", cases[i].text);
        cr_expect_eq(prefer.has_wait, cases[i].has_wait, "%s", cases[i].text);
        cr_expect_eq(prefer.wait_s, cases[i].wait_s, "%s", cases[i].text);
    }
}

Test(prefer, adds_up_several_fields)
{
    struct prefer prefer = { 0 };
    prefer_add(&prefer, OM_LIT("wait=5"));
    prefer_add(&prefer, OM_LIT("respond-async, wait=6"));
    cr_expect(prefer.respond_async && prefer.wait_s == 5);
}

Test(prefer, says_what_was_applied)
{
    static const struct {
        struct prefer prefer;
        bool late;
        const char *text;
    } cases[] = {
        { { true, false, 0 }, true, "respond-async" },
        { { true, true, 60 }, true, "respond-async, wait=60" },
        { { true, true, 5 }, false, "wait=5" },
        { { false, true, 5 }, true, "wait=5" },
        { { true, false, 0 }, false, "" },
        { { false, false, 0 }, true, "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        char text[PREFER_TEXT_MAX];
        prefer_applied(&cases[i].prefer, cases[i].late, text);
        cr_expect_str_eq(text, cases[i].text);
    }
}

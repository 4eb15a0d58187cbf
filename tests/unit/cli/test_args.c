#include <criterion/criterion.h>
#include <stdlib.h>

#include "args.h"

static struct args seen;
static int64_t number;

static int
remember(const struct args *args)
{
    seen = *args;
    return args_get_int(args, "number", 1, 9, 5, &number) ? 42 : EXIT_USAGE;
}

static const struct args_command table[] = {
    { "plain",
      NULL,
      "[A]",
      0,
      1,
      false,
      "help",
      remember,
      { { "number", "N", "a number" }, { "flag", NULL, "a flag" } } },
    { "group", "one", "A", 1, 1, true, "help", remember, { { 0 } } },
    { "group", "two", "A B", 2, 2, false, "help", remember, { { 0 } } },
    { 0 },
};

#define RUN(...)                                                                         \
    args_run(table, (int)OM_COUNT(((const char *[]){ "omni", __VA_ARGS__ })),            \
             (char **)(const char *[]){ "omni", __VA_ARGS__, NULL })

Test(args, values_come_behind_a_space_or_an_equals_sign)
{
    cr_assert_eq(RUN("plain", "--number", "7", "x", "--flag"), 42);
    cr_assert_eq(number, 7);
    cr_assert_str_eq(seen.positional[0], "x");
    cr_assert_str_eq(args_get(&seen, "flag"), "");
    cr_assert_eq(RUN("plain", "--number=3"), 42);
    cr_assert_eq(number, 3);
    cr_assert_null(args_get(&seen, "flag"));
}

Test(args, an_option_not_given_has_its_default)
{
    cr_assert_eq(RUN("plain"), 42);
    cr_assert_eq(number, 5);
}

Test(args, the_second_word_chooses_within_a_group)
{
    cr_assert_eq(RUN("group", "two", "a", "b"), 42);
    cr_assert_eq(seen.command, &table[2]);
    cr_assert_eq(seen.count, 2);
}

Test(args, only_client_commands_have_the_options_of_clients)
{
    cr_assert_eq(RUN("group", "one", "a", "--url", "http://x"), 42);
    cr_assert_str_eq(args_get(&seen, "url"), "http://x");
    cr_assert_eq(RUN("group", "two", "a", "b", "--url", "http://x"), EXIT_USAGE);
}

Test(args, two_dashes_end_the_options)
{
    cr_assert_eq(RUN("plain", "--", "--flag"), 42);
    cr_assert_str_eq(seen.positional[0], "--flag");
}

Test(args, wrong_usage_is_refused)
{
    cr_expect_eq(RUN("unknown"), EXIT_USAGE);
    cr_expect_eq(RUN("group"), EXIT_USAGE);
    cr_expect_eq(RUN("group", "three"), EXIT_USAGE);
    cr_expect_eq(RUN("group", "one"), EXIT_USAGE, "an argument is missing");
    cr_expect_eq(RUN("plain", "a", "b"), EXIT_USAGE, "one argument too many");
    cr_expect_eq(RUN("plain", "--unknown"), EXIT_USAGE);
    cr_expect_eq(RUN("plain", "--number"), EXIT_USAGE, "no value");
    cr_expect_eq(RUN("plain", "--flag=yes"), EXIT_USAGE, "a value for a flag");
    static const char *const bad[] = { "0", "10", "", "x", "5x", "99999999999999999999" };
    for (size_t i = 0; i < OM_COUNT(bad); i++)
        cr_expect_eq(RUN("plain", "--number", bad[i]), EXIT_USAGE, "%s", bad[i]);
}

Test(args, help_runs_nothing)
{
    cr_expect_eq(RUN("--help"), EXIT_DONE);
    cr_expect_eq(RUN("plain", "--help"), EXIT_DONE);
    cr_expect_eq(RUN("group", "two", "--help"), EXIT_DONE);
    cr_expect_eq(RUN("group", "--help"), EXIT_DONE);
    cr_expect_null(seen.command);
}

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf.h"

struct settings {
    const char *name;
    int64_t count;
    bool quick;
};

#define AT(member) offsetof(struct settings, member)

static const struct om_setting table[] = {
    { "OMNI_T_NAME", CONF_STR, AT(name), "nobody", 0, 0, "a name" },
    { "OMNI_T_COUNT", CONF_INT, AT(count), "5", -10, 100, "how many" },
    { "OMNI_T_QUICK", CONF_BOOL, AT(quick), "false", 0, 0, "hurry" },
    { 0 },
};

static struct settings out;
static char why[256], path[64];

// Strings live as long as the process; here, as long as one load.
static enum om_rc
load(void)
{
    out = (struct settings){ 0 };
    why[0] = '\0';
    return om_conf_load(table, &out, why, sizeof(why));
}

static void
release(void)
{
    free((char *)out.name);
    out.name = NULL;
    if (*path)
        unlink(path);
}

static void
write_file(const char *text)
{
    strcpy(path, "/tmp/test_conf.XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    cr_assert(setenv("OMNI_CONFIG", path, 1) == 0);
}

TestSuite(conf, .fini = release);

Test(conf, falls_back_to_the_defaults)
{
    cr_assert(load() == OM_OK, "%s", why);
    cr_expect_str_eq(out.name, "nobody");
    cr_expect_eq(out.count, 5);
    cr_expect_not(out.quick);
}

Test(conf, takes_the_environment_before_the_file_before_the_default)
{
    write_file("# a comment\nOMNI_T_NAME=from the file\nOMNI_T_COUNT=7\n"
               "OMNI_T_COUNTER=9\n");
    setenv("OMNI_T_COUNT", "8", 1);
    cr_assert(load() == OM_OK, "%s", why);
    cr_expect_str_eq(out.name, "from the file");
    cr_expect_eq(out.count, 8);
    cr_expect_not(out.quick);
}

Test(conf, reads_a_file_whose_last_line_has_no_end)
{
    write_file("OMNI_T_QUICK=1\n\n#OMNI_T_COUNT=1\nOMNI_T_NAME=last");
    cr_assert(load() == OM_OK, "%s", why);
    cr_expect_str_eq(out.name, "last");
    cr_expect(out.quick);
    cr_expect_eq(out.count, 5);
}

Test(conf, takes_an_empty_value_for_an_absent_one)
{
    write_file("OMNI_T_COUNT=\n");
    setenv("OMNI_T_NAME", "", 1);
    cr_assert(load() == OM_OK, "%s", why);
    cr_expect_str_eq(out.name, "nobody");
    cr_expect_eq(out.count, 5);
}

Test(conf, knows_yes_and_no)
{
    static const struct {
        const char *text;
        bool yes;
    } rows[] = { { "1", true }, { "true", true }, { "0", false }, { "false", false } };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        setenv("OMNI_T_QUICK", rows[i].text, 1);
        cr_assert(load() == OM_OK, "%s", why);
        cr_expect_eq(out.quick, rows[i].yes, "%s", rows[i].text);
        release();
    }
}

Test(conf, names_the_setting_its_value_and_what_is_allowed)
{
    static const struct {
        const char *name, *value, *why;
    } rows[] = {
        { "OMNI_T_COUNT", "x",
          "OMNI_T_COUNT is \"x\": set it to a whole number from -10 to 100" },
        { "OMNI_T_COUNT", "5x",
          "OMNI_T_COUNT is \"5x\": set it to a whole number from -10 to 100" },
        { "OMNI_T_COUNT", "1.5",
          "OMNI_T_COUNT is \"1.5\": set it to a whole number from -10 to 100" },
        { "OMNI_T_COUNT", "101",
          "OMNI_T_COUNT is \"101\": set it to a whole number from -10 to 100" },
        { "OMNI_T_COUNT", "-11",
          "OMNI_T_COUNT is \"-11\": set it to a whole number from -10 to 100" },
        { "OMNI_T_COUNT", "99999999999999999999",
          "OMNI_T_COUNT is \"99999999999999999999\": set it to a whole number from -10 "
          "to 100" },
        { "OMNI_T_QUICK", "yes", "OMNI_T_QUICK is \"yes\": set it to true or false" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        setenv(rows[i].name, rows[i].value, 1);
        cr_expect(load() == OM_EINVAL, "%s", rows[i].value);
        cr_expect_str_eq(why, rows[i].why);
        unsetenv(rows[i].name);
        release();
    }
}

Test(conf, says_when_the_file_cannot_be_read)
{
    setenv("OMNI_CONFIG", "/nowhere/omni.conf", 1);
    cr_expect(load() == OM_EINVAL);
    cr_expect(strstr(why, "cannot open /nowhere/omni.conf: No such file"), "%s", why);

    char *large = malloc(70000);
    memset(large, '#', 69999);
    large[69999] = '\0';
    write_file(large);
    free(large);
    cr_expect(load() == OM_EINVAL);
    cr_expect(strstr(why, "is larger than 65536 bytes"), "%s", why);
}

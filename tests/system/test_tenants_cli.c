// Tenants, users, roles and keys by the command line: the examples of docs/identity.md,
// and what is said when something is refused.
#include <stdarg.h>
#include <stdio.h>

#include "tools.h"

static struct omni omni;

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(tenants_cli, .init = begin, .fini = end, .timeout = 180);

static const char *out;

// Run `omni ARGUMENTS`; both its outputs are in `out`. Returns the exit status.
static int __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
    char arguments[800];
    va_list list;
    va_start(list, format);
    vsnprintf(arguments, sizeof(arguments) - sizeof(" 2>&1"), format, list);
    va_end(list);
    strcat(arguments, " 2>&1");
    return omni_run(&omni, arguments, &out);
}

// The value of a line of what was printed: "id  ten_…".
static const char *
printed(const char *name)
{
    static char value[128];
    size_t size = strlen(name);
    for (const char *line = out; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, size) == 0 && line[size] == ' ') {
            const char *start = line + size + strspn(line + size, " ");
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(start, "\n"), start);
            return value;
        }
    }
    cr_assert_fail("no %s in %s", name, out);
    return "";
}

#define RUN(...) cr_assert_eq(run(__VA_ARGS__), EXIT_DONE, "%s: %s", #__VA_ARGS__, out)

Test(tenants_cli, does_what_its_page_says)
{
    char tenant[128], key[128], user[128], team[128], old[128], binding[128];
    RUN("tenants create acme --name 'Acme Corp' --plan pro --region eu-central "
        "--owner ada@acme.example");
    snprintf(tenant, sizeof(tenant), "%s", printed("id"));
    snprintf(key, sizeof(key), "%s", printed("key"));
    RUN("tenants set %s --plan enterprise --prepaid no", tenant);
    cr_expect_str_eq(printed("plan"), "enterprise");
    RUN("tenants config requests_per_minute=600 "
        "'cors_origins=[\"https://app.acme.example\"]' --key %s",
        key);
    RUN("tenants config --key %s", key);
    cr_expect(strstr(out, "https://app.acme.example"), "%s", out);
    RUN("tenants get --key %s", key);
    cr_expect_str_eq(printed("slug"), "acme");
    RUN("keys create backend --scopes files:read,predict --cidrs 192.0.2.0/24 "
        "--requests 60 --days 30 --key %s",
        key);
    snprintf(old, sizeof(old), "%s", printed("id"));
    RUN("keys rotate %s --overlap 48 --key %s", old, key);
    RUN("keys get %s --key %s", old, key);
    cr_expect_eq(strncmp(printed("successor"), "key_", 4), 0);
    RUN("users create dev@acme.example --name Dev --roles developer --key %s", key);
    snprintf(user, sizeof(user), "%s", printed("id"));
    RUN("roles create analyst --allow '*:read,predict' --deny 'audit:*,keys:*' --key %s",
        key);
    cr_expect_str_eq(printed("permissions"),
                     "allow *:read allow predict deny audit:* deny keys:*");
    RUN("roles give %s analyst --days 30 --key %s", user, key);
    snprintf(binding, sizeof(binding), "%s", printed("id"));
    RUN("roles who --user %s --key %s", user, key);
    cr_expect(strstr(out, binding) && strstr(out, "developer"), "%s", out);
    RUN("roles take %s --key %s", binding, key);
    RUN("roles delete analyst --key %s", key);
    RUN("teams create ml --requests 600 --concurrent 20 --key %s", key);
    snprintf(team, sizeof(team), "%s", printed("id"));
    RUN("users set %s --team %s --state suspended --key %s", user, team, key);
    RUN("users list --key %s", key);
    cr_expect(strstr(out, "suspended") && strstr(out, team), "%s", out);
    RUN("users delete %s --key %s", user, key);
    RUN("teams delete %s --key %s", team, key);
    RUN("keys create ci --test --key %s", key);
    RUN("tenants clock 86400 --key %s", printed("key"));
    cr_expect_str_eq(printed("clock_ms"), "86400000");
    RUN("tenants close %s", tenant);
    cr_expect_str_eq(printed("state"), "closed");
}

Test(tenants_cli, says_what_to_do_when_it_is_refused)
{
    static const struct {
        const char *arguments;
        int status;
        const char *words;
    } cases[] = {
        { "tenants create", EXIT_USAGE, "missing SLUG" },
        { "tenants create Acme", EXIT_REFUSED, "lower case" },
        { "tenants create acme --prepaid maybe", EXIT_USAGE, "yes or no" },
        { "tenants create acme --plan gold", EXIT_REFUSED, "no plan \"gold\"" },
        { "tenants set ten_x", EXIT_USAGE, "nothing to change" },
        { "tenants set ten_x --plan pro", EXIT_REFUSED, "no such tenant" },
        { "tenants config cache", EXIT_USAGE, "NAME=VALUE" },
        { "tenants config colour=red", EXIT_REFUSED, "no setting \"colour\"" },
        { "tenants config cache=maybe", EXIT_REFUSED, "must be a boolean" },
        { "tenants clock soon", EXIT_USAGE, "number of seconds" },
        { "tenants clock 60", EXIT_REFUSED, "use a test key" },
        { "users create ada", EXIT_REFUSED, "such as ada@example.com" },
        { "users set user_x", EXIT_USAGE, "nothing to change" },
        { "roles create r", EXIT_USAGE, "--allow" },
        { "roles create r --allow fly", EXIT_REFUSED, "fits no scope" },
        { "roles delete owner", EXIT_REFUSED, "same in every tenant" },
        { "keys create k --cidrs 10.0.0.1/8", EXIT_REFUSED, "no network" },
        { "keys rotate key_x --overlap 200", EXIT_USAGE, "0 to 168" },
        { "keys rotate key_x", EXIT_REFUSED, "no such API key" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(run("%s", cases[i].arguments), cases[i].status, "%s: %s",
                     cases[i].arguments, out);
        cr_expect(strstr(out, cases[i].words), "%s: %s", cases[i].arguments, out);
    }
}

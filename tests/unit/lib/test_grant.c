#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "grant.h"
#include "id.h"

static const struct om_secret secret = { "0123456789abcdef0123456789abcde" };

static struct om_grant
sample(void)
{
    struct om_grant grant = { .task = "task_01h455vb4pex5vsknk084sn02q",
                              .expires_ms = 1700000000000,
                              .rights = OM_GRANT_READ | OM_GRANT_WRITE };
    memset(grant.tenant.bytes, 0xa7, 16);
    return grant;
}

Test(grant, gives_back_what_was_minted_until_it_expires)
{
    struct om_grant in = sample(), out;
    char text[OM_GRANT_MAX];
    size_t size = om_grant_mint(&secret, &in, text);
    cr_expect_eq(size, strlen(text));
    cr_assert_eq(om_grant_verify(&secret, in.expires_ms - 1, om_str(text), &out), OM_OK);
    cr_expect(om_uuid_eq(&in.tenant, &out.tenant));
    cr_expect_str_eq(in.task, out.task);
    cr_expect_eq(in.expires_ms, out.expires_ms);
    cr_expect_eq(in.rights, out.rights);
    cr_expect_eq(om_grant_verify(&secret, in.expires_ms, om_str(text), &out), OM_EAUTH);
    cr_expect(om_uuid_is_zero(&out.tenant) && out.rights == 0);
}

// Made with Python: hmac, hashlib and base64.urlsafe_b64encode.
Test(grant, has_the_text_other_languages_make)
{
    struct om_grant in = sample();
    char text[OM_GRANT_MAX];
    om_grant_mint(&secret, &in, text);
    cr_expect_str_eq(
        text, "omg1.p6enp6enp6enp6enp6enpwAAAYvP5WgAA3Rhc2tfMDFoNDU1dmI0cGV4NXZza25rM"
              "Dg0c24wMnE.JDMq9WxN-s7rmuTp6Lj12Jn4PF1SkyMB-yt9wDfnTwQ");
}

Test(grant, holds_the_longest_task_name)
{
    struct om_grant in = sample(), out;
    memset(in.task, 'x', OM_GRANT_TASK_MAX);
    char text[OM_GRANT_MAX];
    cr_expect_lt(om_grant_mint(&secret, &in, text), OM_GRANT_MAX);
    cr_assert_eq(om_grant_verify(&secret, 0, om_str(text), &out), OM_OK);
    cr_expect_str_eq(in.task, out.task);
}

Test(grant, refuses_any_changed_character)
{
    static const char tries[] = "AZaz09-_.=+/ \n";
    struct om_grant in = sample(), out;
    char text[OM_GRANT_MAX];
    size_t size = om_grant_mint(&secret, &in, text);
    for (size_t i = 0; i < size; i++)
        for (size_t t = 0; t < sizeof(tries); t++) { // the final zero is one of them
            char changed[OM_GRANT_MAX];
            memcpy(changed, text, size);
            if (changed[i] == tries[t])
                continue;
            changed[i] = tries[t];
            cr_expect_eq(
                om_grant_verify(&secret, 0, (struct om_str){ changed, size }, &out),
                OM_EAUTH, "byte %zu changed to %d", i, tries[t]);
        }
}

Test(grant, has_only_one_text)
{
    // The last of 43 characters has two bits that no byte needs.
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct om_grant in = sample(), out;
    char text[OM_GRANT_MAX];
    size_t size = om_grant_mint(&secret, &in, text), accepted = 0;
    for (const char *c = alphabet; *c; c++) {
        text[size - 1] = *c;
        accepted += om_grant_verify(&secret, 0, om_str(text), &out) == OM_OK;
    }
    cr_expect_eq(accepted, 1);
}

Test(grant, refuses_what_is_cut_or_longer)
{
    struct om_grant in = sample(), out;
    char text[OM_GRANT_MAX + 1] = { 0 };
    size_t size = om_grant_mint(&secret, &in, text);
    for (size_t cut = 0; cut < size; cut++)
        cr_expect_eq(om_grant_verify(&secret, 0, (struct om_str){ text, cut }, &out),
                     OM_EAUTH, "%zu bytes of it", cut);
    memset(text + size, 'A', sizeof(text) - size);
    for (size_t longer = size + 1; longer <= sizeof(text); longer++)
        cr_expect_eq(om_grant_verify(&secret, 0, (struct om_str){ text, longer }, &out),
                     OM_EAUTH, "%zu bytes", longer);
    cr_expect_eq(om_grant_verify(&secret, 0, (struct om_str){ 0 }, &out), OM_EAUTH);
}

Test(grant, refuses_another_secret)
{
    struct om_secret other = secret;
    other.bytes[31] ^= 1;
    struct om_grant in = sample(), out;
    char text[OM_GRANT_MAX];
    om_grant_mint(&secret, &in, text);
    cr_expect_eq(om_grant_verify(&other, 0, om_str(text), &out), OM_EAUTH);
}

static char folder[64];

static void
make_folder(void)
{
    strcpy(folder, "/tmp/test_grant.XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void
remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(secret, .init = make_folder, .fini = remove_folder);

Test(secret, is_made_once_and_read_back)
{
    char path[128], why[256] = "";
    struct om_secret first, second;
    struct stat status;
    snprintf(path, sizeof(path), "%s/secret", folder);
    cr_assert_eq(om_secret_create(path, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(om_secret_load(path, &first, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 07777, 0600);
    cr_expect_eq(status.st_nlink, 1);
    cr_expect_eq(om_secret_create(path, why, sizeof(why)), OM_EDUP);
    cr_assert_eq(om_secret_load(path, &second, why, sizeof(why)), OM_OK);
    cr_expect_arr_eq(first.bytes, second.bytes, OM_SECRET_BYTES);
    cr_expect_arr_neq(first.bytes, secret.bytes, OM_SECRET_BYTES);
}

Test(secret, says_why_it_cannot_be_read_or_made)
{
    char path[128], why[256] = "";
    struct om_secret out;
    snprintf(path, sizeof(path), "%s/none/secret", folder);
    cr_expect_eq(om_secret_load(path, &out, why, sizeof(why)), OM_EINVAL);
    cr_expect(strstr(why, path) && strstr(why, "No such file"), "%s", why);
    cr_expect_eq(om_secret_create(path, why, sizeof(why)), OM_EDB);
    cr_expect(strstr(why, path) && strstr(why, "No such file"), "%s", why);

    static const char *const contents[] = { "", "too short",
                                            "0123456789abcdef0123456789abcdef\n" };
    snprintf(path, sizeof(path), "%s/wrong", folder);
    for (size_t i = 0; i < OM_COUNT(contents); i++) {
        FILE *file = fopen(path, "w");
        cr_assert(file && fputs(contents[i], file) >= 0 && fclose(file) == 0);
        cr_expect_eq(om_secret_load(path, &out, why, sizeof(why)), OM_EINVAL);
        cr_expect(strstr(why, "32 random bytes"), "%s", why);
    }
}

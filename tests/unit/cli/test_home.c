#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "home.h"

static char dir[64], why[PATH_MAX + 128];

static void
make_dir(void)
{
    snprintf(dir, sizeof(dir), "/tmp/omni-home-XXXXXX");
    cr_assert(mkdtemp(dir));
}

static void
remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(home, .init = make_dir, .fini = remove_dir);

Test(home, makes_what_is_missing_for_this_user_only)
{
    struct home home;
    struct stat info;
    char path[128];
    snprintf(path, sizeof(path), "%s/a/b", dir);
    cr_assert_eq(home_open(&home, path, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(stat(home.sockets, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0700);
    snprintf(path, sizeof(path), "%s/a/b/secret", dir);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0600);
    home_close(&home);
}

Test(home, a_second_one_is_told_who_has_the_folder)
{
    struct home first, second;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %d", (int)getpid());
    cr_assert_eq(home_open(&first, dir, why, sizeof(why)), OM_OK);
    cr_assert_eq(home_open(&second, dir, why, sizeof(why)), OM_ECONFLICT);
    cr_assert(strstr(why, pid), "%s", why);
    home_close(&first);
    cr_assert_eq(home_open(&second, dir, why, sizeof(why)), OM_OK);
    home_close(&second);
}

Test(home, is_found_only_while_it_is_in_use_and_ready)
{
    struct home home;
    char url[64];
    cr_assert_not(home_find_url(dir, url, sizeof(url)));
    cr_assert_eq(home_open(&home, dir, why, sizeof(why)), OM_OK);
    cr_assert_not(home_find_url(dir, url, sizeof(url)));
    cr_assert_eq(home_publish(&home, "http://127.0.0.1:1", why, sizeof(why)), OM_OK);
    cr_assert(home_find_url(dir, url, sizeof(url)));
    cr_assert_str_eq(url, "http://127.0.0.1:1");
    home_close(&home);
    cr_assert_not(home_find_url(dir, url, sizeof(url)));
}

Test(home, a_long_path_keeps_its_sockets_where_their_paths_are_short)
{
    struct home home;
    char path[256], again[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%0120d", dir, 0);
    cr_assert_eq(home_open(&home, path, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_lt(strlen(home.sockets) + sizeof("/broker"), 108);
    snprintf(again, sizeof(again), "%s", home.sockets);
    home_close(&home);
    cr_assert_eq(home_open(&home, path, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_str_eq(home.sockets, again, "the same folder after a restart");
    home_close(&home);
    rmdir(again);
}

Test(home, a_folder_that_cannot_be_made_is_named)
{
    struct home home;
    char path[128];
    snprintf(path, sizeof(path), "%s/file", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/file/data", dir);
    cr_assert_eq(home_open(&home, path, why, sizeof(why)), OM_EDB);
    cr_assert(strstr(why, path), "%s", why);
}

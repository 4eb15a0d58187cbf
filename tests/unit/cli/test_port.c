#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port.h"

static char why[256];

Test(port, zero_is_any_free_one_and_named_in_the_url)
{
    struct port port;
    int number;
    cr_assert_eq(port_take("127.0.0.1:0", &port, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(sscanf(port.listen, "127.0.0.1:%d", &number), 1);
    cr_assert_gt(number, 0);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", number);
    cr_assert_str_eq(port.url, url);
    close(port.fd);
}

Test(port, a_wildcard_address_is_reached_over_the_loopback)
{
    struct port port;
    cr_assert_eq(port_take(":0", &port, why, sizeof(why)), OM_OK, "%s", why);
    cr_assert_eq(strncmp(port.listen, "0.0.0.0:", 8), 0);
    cr_assert_eq(strncmp(port.url, "http://127.0.0.1:", 17), 0);
    close(port.fd);
}

Test(port, one_on_which_somebody_listens_is_refused)
{
    struct port first, second;
    cr_assert_eq(port_take("127.0.0.1:0", &first, why, sizeof(why)), OM_OK);
    cr_assert_eq(listen(first.fd, 1), 0);
    cr_assert_eq(port_take(first.listen, &second, why, sizeof(why)), OM_ECONFLICT);
    cr_assert(strstr(why, first.listen), "%s", why);
    close(first.fd);
}

Test(port, what_is_no_address_is_refused)
{
    static const char *const bad[] = { "",          "8080",        "127.0.0.1",
                                       "a.b:80",    "127.0.0.1:",  "127.0.0.1:65536",
                                       "1.2.3.4:x", "::1:80",      "[::1:80",
                                       ":-1",       "127.0.0.1:+1" };
    struct port port;
    for (size_t i = 0; i < OM_COUNT(bad); i++)
        cr_expect_eq(port_take(bad[i], &port, why, sizeof(why)), OM_EINVAL, "%s", bad[i]);
}

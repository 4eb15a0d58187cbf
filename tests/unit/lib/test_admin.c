#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "http.h"
#include "metrics.h"

static char answer[1 << 20];

static int
free_port(void)
{
    int fd;
    cr_assert_eq(om_http_listen("127.0.0.1:0", false, &fd), OM_OK);
    int port = om_http_port(fd);
    close(fd);
    return port;
}

// Returns the status.
static int
ask(int port, const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 0;
    struct timeval limit = { .tv_sec = 5 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    size_t size = 0;
    ssize_t got;
    while ((got = read(fd, answer + size, sizeof(answer) - 1 - size)) > 0)
        size += (size_t)got;
    answer[size] = '\0';
    close(fd);
    cr_assert_eq(sscanf(answer, "HTTP/1.1 %d", &status), 1, "%s", answer);
    return status;
}

#define HEAD "Host: x\r\nConnection: close\r\n"

Test(admin, answers_its_three_pages_and_nothing_else)
{
    static const struct {
        const char *request;
        int status;
        const char *text;
    } rows[] = {
        { "GET /metrics HTTP/1.1\r\n" HEAD "\r\n", 200,
          "omni_build_info{service=\"test\"" },
        { "GET /metrics HTTP/1.1\r\n" HEAD "\r\n", 200, "version=0.0.4" },
        { "GET /metrics?x=1 HTTP/1.1\r\n" HEAD
          "Accept: application/openmetrics-text\r\n\r\n",
          200, "# EOF" },
        { "GET /healthz HTTP/1.1\r\n" HEAD "\r\n", 200, "ok" },
        { "GET /readyz HTTP/1.1\r\n" HEAD "\r\n", 503, "not ready" },
        { "GET / HTTP/1.1\r\n" HEAD "\r\n", 404, "/metrics" },
        { "GET /metrics/../x HTTP/1.1\r\n" HEAD "\r\n", 404, "" },
        { "POST /metrics HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n", 405, "" },
        { "POST /metrics HTTP/1.1\r\n" HEAD "Content-Length: 9\r\n\r\n123456789", 413,
          "" },
        { "rubbish\r\n\r\n", 400, "" },
    };
    char listen[32], why[256];
    int port = free_port();
    struct om_admin *admin;
    snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
    om_metrics_init("test", 0);
    cr_assert_eq(om_admin_start(listen, &admin, why, sizeof(why)), OM_OK, "%s", why);
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        cr_expect_eq(ask(port, rows[i].request), rows[i].status, "%s%s", rows[i].request,
                     answer);
        cr_expect(strstr(answer, rows[i].text), "%s%s", rows[i].request, answer);
    }
    cr_expect_eq(ask(port, "GET /metrics HTTP/1.1\r\n" HEAD "\r\n"), 200);
    cr_expect(strstr(answer, "\nomni_ready 0\n"));
    om_admin_set_ready(true);
    cr_expect_eq(ask(port, "GET /readyz HTTP/1.1\r\n" HEAD "\r\n"), 200);
    cr_expect_eq(ask(port, "GET /metrics HTTP/1.1\r\n" HEAD "\r\n"), 200);
    cr_expect(strstr(answer, "\nomni_ready 1\n"));
    om_admin_stop(&admin);
    cr_expect_null(admin);
}

Test(admin, says_why_it_cannot_listen)
{
    static const struct {
        const char *listen;
        enum om_rc rc;
    } rows[] = {
        { "9100", OM_EINVAL },
        { "localhost", OM_EINVAL },
        { "example.com:80", OM_EINVAL },
        { "127.0.0.1:99999", OM_EINVAL },
        { "192.0.2.1:0", OM_EUNAVAILABLE },
    };
    char why[256];
    struct om_admin *admin;
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        *why = '\0';
        cr_expect_eq(om_admin_start(rows[i].listen, &admin, why, sizeof(why)), rows[i].rc,
                     "%s", rows[i].listen);
        cr_expect(strstr(why, "OMNI_ADMIN"), "%s", why);
        cr_expect_null(admin);
    }
}

Test(admin, can_be_off)
{
    char why[256];
    struct om_admin *admin;
    cr_expect_eq(om_admin_start("off", &admin, why, sizeof(why)), OM_OK);
    cr_expect_null(admin);
    om_admin_stop(&admin);
}

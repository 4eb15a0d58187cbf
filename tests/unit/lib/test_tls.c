#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "tls.h"

enum { WAIT_S = 20, BIG = 3 << 20 };

// A server that answers with what it was sent, "/source" from a source of 3 MiB, and one
// that serves the certificate "a" and its key; "b" is another pair.
static struct {
    char folder[64];
    struct om_tls *tls;
    struct om_http_loop *loop;
    pthread_t thread;
    int port;
    char *big;
} here;

static const char *
path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", here.folder, name);
    return path;
}

static void
run_command(const char *format, ...)
{
    char command[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    cr_assert_eq(system(command), 0, "%s", command);
}

static void
make_pair(const char *name)
{
    run_command("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                "-nodes -days 2 -subj /CN=%s -addext subjectAltName=IP:127.0.0.1 "
                "-keyout %s.key -out %s.pem 2>%s.log && chmod 600 %s.key",
                here.folder, name, name, name, name, name);
}

static bool
read_source(void *context, void *out, size_t size, size_t *got)
{
    size_t *left = context;
    *got = size < *left ? size : *left;
    memcpy(out, here.big + BIG - *left, *got);
    *left -= *got;
    return true;
}

static void
on_head(void *context, struct om_http_request *request)
{
    (void)context;
    request->body_limit = BIG;
}

static void
on_request(void *context, struct om_http_request *request)
{
    static size_t left;
    (void)context;
    struct om_http_response response = { .status = 200, .body = request->body };
    if (om_str_eq(request->path, OM_LIT("/source"))) {
        left = BIG;
        response.source = (struct om_http_source){ &left, read_source, NULL };
        response.source_bytes = BIG;
    }
    om_http_respond(here.loop, request->handle, &response);
}

static void *
run(void *context)
{
    om_http_loop_run(context);
    return NULL;
}

static void
begin(void)
{
    static const struct om_http_hooks hooks = { on_head, NULL, on_request,
                                                NULL,    NULL, NULL };
    char why[256];
    signal(SIGPIPE, SIG_IGN);
    strcpy(here.folder, "/tmp/omni-tls-XXXXXX");
    cr_assert(mkdtemp(here.folder));
    make_pair("a");
    make_pair("b");
    cr_assert_eq(
        om_tls_create(path_of("a.pem"), path_of("a.key"), &here.tls, why, sizeof(why)),
        OM_OK, "%s", why);
    here.big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        here.big[i] = (char)(i * i >> 7);
    struct om_http_conf conf = { .tls = here.tls, .head_ms = 500, .hooks = &hooks };
    cr_assert_eq(om_http_listen("127.0.0.1:0", false, &conf.listen_fd), OM_OK);
    here.port = om_http_port(conf.listen_fd);
    here.loop = om_http_loop_create(&conf);
    cr_assert(here.loop);
    cr_assert_eq(pthread_create(&here.thread, NULL, run, here.loop), 0);
}

static void
end(void)
{
    om_http_loop_stop(here.loop);
    pthread_join(here.thread, NULL);
    om_http_loop_destroy(&here.loop);
    om_tls_destroy(&here.tls);
    free(here.big);
    run_command("rm -r %s", here.folder);
}

TestSuite(tls, .init = begin, .fini = end, .timeout = 60);

// ---- curl

static size_t
on_text(char *data, size_t size, size_t count, void *context)
{
    struct om_str *left = context; // what is still to come of what is expected
    cr_assert(size * count <= left->size && memcmp(data, left->data, size * count) == 0);
    left->data += size * count;
    left->size -= size * count;
    return size * count;
}

// Ask, and expect `wanted` as the answer; the certificate must be `name`'s.
static CURLcode
fetch(CURL *curl, const char *path, struct om_str body, struct om_str wanted,
      const char *name)
{
    char url[128], file[16];
    snprintf(url, sizeof(url), "https://127.0.0.1:%d%s", here.port, path);
    snprintf(file, sizeof(file), "%s.pem", name);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CAINFO, path_of(file));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)WAIT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &wanted);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (body.data) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body.size);
    }
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        cr_expect_eq(wanted.size, 0, "%zu bytes of %s are missing", wanted.size, path);
    return code;
}

Test(tls, moves_large_bodies_both_ways_over_a_connection_that_is_kept)
{
    struct om_str all = { here.big, BIG };
    long connections;
    for (long version = CURL_SSLVERSION_TLSv1_2; version <= CURL_SSLVERSION_TLSv1_3;
         version++) {
        CURL *curl = curl_easy_init();
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, version | version << 16);
        for (int round = 0; round < 3; round++) {
            cr_assert_eq(fetch(curl, "/", all, all, "a"), CURLE_OK);
            cr_assert_eq(fetch(curl, "/source", (struct om_str){ 0 }, all, "a"),
                         CURLE_OK);
            cr_assert_eq(fetch(curl, "/", OM_LIT("x"), OM_LIT("x"), "a"), CURLE_OK);
            curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connections);
            cr_expect_eq(connections, 0, "it is kept");
        }
        curl_easy_cleanup(curl);
    }
}

Test(tls, speaks_no_version_before_1_2_and_shows_its_certificate)
{
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, "DEFAULT@SECLEVEL=0");
    curl_easy_setopt(curl, CURLOPT_SSLVERSION,
                     (long)(CURL_SSLVERSION_TLSv1_1 | CURL_SSLVERSION_MAX_TLSv1_1));
    cr_expect_eq(fetch(curl, "/", OM_LIT("x"), OM_LIT("x"), "a"),
                 CURLE_SSL_CONNECT_ERROR);
    curl_easy_cleanup(curl);
    curl = curl_easy_init();
    cr_expect_eq(fetch(curl, "/", OM_LIT("x"), OM_LIT("x"), "b"),
                 CURLE_PEER_FAILED_VERIFICATION);
    curl_easy_cleanup(curl);
}

Test(tls, serves_a_new_certificate_to_new_connections_and_keeps_the_old_if_it_is_bad)
{
    char why[256];
    CURL *old = curl_easy_init(), *fresh = curl_easy_init();
    cr_assert_eq(fetch(old, "/", OM_LIT("x"), OM_LIT("x"), "a"), CURLE_OK);
    run_command("cp %s %s", path_of("b.pem"), path_of("a.pem")); // not its key
    cr_expect_eq(om_tls_reload(here.tls, why, sizeof(why)), OM_EINVAL);
    run_command("cp %s %s", path_of("b.key"), path_of("a.key"));
    cr_expect_eq(om_tls_reload(here.tls, why, sizeof(why)), OM_OK, "%s", why);
    cr_expect_eq(fetch(old, "/", OM_LIT("x"), OM_LIT("x"), "a"), CURLE_OK,
                 "its connection goes on");
    cr_expect_eq(fetch(fresh, "/", OM_LIT("x"), OM_LIT("x"), "b"), CURLE_OK);
    run_command("echo nonsense >%s", path_of("a.pem"));
    cr_expect_eq(om_tls_reload(here.tls, why, sizeof(why)), OM_EINVAL);
    curl_easy_cleanup(fresh);
    fresh = curl_easy_init();
    cr_expect_eq(fetch(fresh, "/", OM_LIT("x"), OM_LIT("x"), "b"), CURLE_OK);
    curl_easy_cleanup(fresh);
    curl_easy_cleanup(old);
}

Test(tls, says_what_is_wrong_with_its_files)
{
    static const struct {
        const char *prepare, *certificate, *key, *why;
    } cases[] = {
        { "true", "none.pem", "a.key", "No such file" },
        { "true", "a.pem", "none.key", "No such file" },
        { "true", "a.pem", "b.key", "not that of the certificate" },
        { "true", "a.key", "a.key", "certificate" },
        { "true", "a.pem", "a.pem", "others can read it" },
        { "cp a.pem c.key && chmod 600 c.key", "a.pem", "c.key", "no private key" },
        { "chmod 644 a.key", "a.pem", "a.key", "others can read it" },
        { "chmod 604 a.key", "a.pem", "a.key", "others can read it" },
        { "chmod 600 a.key && mkdir d.key && chmod 700 d.key", "a.pem", "d.key",
          "no file" },
        { "openssl ec -aes128 -passout pass:secret -in a.key -out e.key 2>e.log && "
          "chmod 600 e.key",
          "a.pem", "e.key", "without a password" },
        { "echo nonsense >f.pem", "f.pem", "a.key", "certificate" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct om_tls *tls;
        char why[256] = "";
        run_command("cd %s && %s", here.folder, cases[i].prepare);
        cr_expect_eq(om_tls_create(path_of(cases[i].certificate), path_of(cases[i].key),
                                   &tls, why, sizeof(why)),
                     OM_EINVAL);
        cr_expect_null(tls);
        cr_expect(strstr(why, cases[i].why), "%s", why);
    }
}

// ---- clients that misbehave

static int
connect_raw(void)
{
    struct timeval limit = { .tv_sec = WAIT_S };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)here.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void
expect_closed(int fd)
{
    char bytes[256];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        ;
    cr_expect(got == 0 || errno == ECONNRESET, "it was not closed: %s", strerror(errno));
    close(fd);
}

Test(tls, closes_on_whoever_does_not_begin_with_a_hello)
{
    static const struct om_str begins[] = {
        OM_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        OM_LIT("\x16\x03\x01\xff\xff and more and more"),
        OM_LIT("\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff and more"),
        OM_LIT("\x80\x2e\x01\x03\x01 of SSL 2"),
    };
    for (size_t i = 0; i < OM_COUNT(begins); i++) {
        int fd = connect_raw();
        cr_assert_gt(send(fd, begins[i].data, begins[i].size, MSG_NOSIGNAL), 0);
        expect_closed(fd);
    }
}

// The deadline of a head holds for the handshake, however its bytes drip.
Test(tls, closes_on_a_handshake_that_is_not_over_in_time)
{
    int silent = connect_raw(), slow = connect_raw();
    cr_assert_eq(send(slow, "\x16\x03\x01\x00\xff", 5, MSG_NOSIGNAL), 5);
    expect_closed(silent);
    expect_closed(slow);
}

static SSL *
connect_ssl(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, connect_raw());
    cr_assert_eq(SSL_connect(ssl), 1);
    return ssl;
}

static size_t
read_to_end(SSL *ssl, char *out, size_t size)
{
    size_t used = 0;
    for (int got; used < size - 1 &&
                  (got = SSL_read(ssl, out + used, (int)(size - 1 - used))) > 0;)
        used += (size_t)got;
    out[used] = '\0';
    return used;
}

Test(tls, answers_a_client_that_shut_its_sending_side_and_says_goodbye)
{
    static const char get[] = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                              "Content-Length: 4\r\n\r\nabcd";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    char text[1024];
    for (int polite = 0; polite <= 1; polite++) {
        SSL *ssl = connect_ssl(context);
        cr_assert_gt(SSL_write(ssl, get, sizeof(get) - 1), 0);
        if (polite)
            SSL_shutdown(ssl);
        else
            shutdown(SSL_get_fd(ssl), SHUT_WR);
        read_to_end(ssl, text, sizeof(text));
        cr_expect(strstr(text, "\r\n\r\nabcd"), "%s", text);
        cr_expect(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, "close_notify came");
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
    SSL_CTX_free(context);
}

Test(tls, agrees_to_http_1_1_and_to_no_other_protocol)
{
    static const struct {
        const char *offer;
        bool agreed;
    } cases[] = { { "\x08http/1.1", true },
                  { "\x02h2\x08http/1.1", true },
                  { "\x02h2", false } };
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        SSL *ssl = SSL_new(context);
        const unsigned char *chosen;
        unsigned size;
        SSL_set_fd(ssl, connect_raw());
        SSL_set_alpn_protos(ssl, (const unsigned char *)cases[i].offer,
                            (unsigned)strlen(cases[i].offer));
        cr_expect_eq(SSL_connect(ssl) == 1, cases[i].agreed, "%s", cases[i].offer);
        SSL_get0_alpn_selected(ssl, &chosen, &size);
        cr_expect_eq(size, cases[i].agreed ? 8 : 0);
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
    SSL_CTX_free(context);
}

Test(tls, does_not_renegotiate)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    SSL *ssl = connect_ssl(context);
    char byte;
    cr_expect_eq(SSL_renegotiate(ssl), 1);
    cr_expect(SSL_do_handshake(ssl) != 1 || SSL_read(ssl, &byte, 1) <= 0);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    SSL_CTX_free(context);
}

Test(tls, resumes_a_session_by_its_ticket)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    static const char get[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    SSL_SESSION *session = NULL;
    char text[1024];
    for (int round = 0; round < 2; round++) {
        SSL *ssl = SSL_new(context);
        SSL_set_fd(ssl, connect_raw());
        if (session)
            SSL_set_session(ssl, session);
        cr_assert_eq(SSL_connect(ssl), 1);
        cr_expect_eq(SSL_session_reused(ssl), round);
        cr_assert_gt(SSL_write(ssl, get, sizeof(get) - 1), 0);
        read_to_end(ssl, text, sizeof(text));
        SSL_SESSION_free(session);
        session = SSL_get1_session(ssl);
        SSL_shutdown(ssl); // else OpenSSL takes it for one that must not be resumed
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
}

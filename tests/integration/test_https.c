// The edge with a certificate, as a real program, asked by curl and by Python.
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "program.h"
#include "stage.h"

enum { WAIT_MS = 10000 };

static struct {
    struct stage stage;
    struct program ingest;
    int port;
} here;

static int
command(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return system(text);
}

static void
make_pair(const char *name)
{
    cr_assert_eq(
        command("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                "-nodes -days 2 -subj /CN=%s -addext subjectAltName=IP:127.0.0.1 "
                "-keyout %s.key -out %s.pem 2>%s.log && chmod 600 %s.key",
                here.stage.folder, name, name, name, name, name),
        0);
}

static void
begin(void)
{
    stage_open(&here.stage);
    make_pair("a");
    make_pair("b");
    stage_set(&here.stage, "OMNI_BROKER", "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s/blobs", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_LOG_FORMAT", "json");
}

static void
end(void)
{
    program_finish(&here.ingest);
    stage_close(&here.stage);
}

TestSuite(https, .init = begin, .fini = end, .timeout = 60);

static void
start(void)
{
    stage_set(&here.stage, "OMNI_TLS_CERT", "%s/a.pem", here.stage.folder);
    stage_set(&here.stage, "OMNI_TLS_KEY", "%s/a.key", here.stage.folder);
    program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&here.ingest, "listening");
    here.port = atoi(strstr(here.ingest.log, "127.0.0.1:") + 10);
}

static void
stop(void)
{
    program_signal(&here.ingest, SIGTERM);
    cr_expect_eq(program_wait(&here.ingest, WAIT_MS), 0, "%s", here.ingest.log);
    cr_expect_null(strstr(here.ingest.log, "Sanitizer"), "%s", here.ingest.log);
}

static int
curl(const char *certificate, const char *scheme)
{
    return command(
        "curl -sf --noproxy '*' -m 10 --cacert %s/%s %s://127.0.0.1:%d/healthz "
        ">%s/out",
        here.stage.folder, certificate, scheme, here.port, here.stage.folder);
}

Test(https, is_served_to_curl_and_python_and_nothing_else_is)
{
    start();
    cr_expect_eq(curl("a.pem", "https"), 0);
    cr_expect_neq(curl("b.pem", "https"), 0, "it is not that certificate");
    cr_expect_neq(curl("a.pem", "http"), 0);
    cr_expect_eq(
        command("python3 - <<'END'\n"
                "import ssl, http.client\n"
                "context = ssl.create_default_context(cafile='%s/a.pem')\n"
                "server = http.client.HTTPSConnection('127.0.0.1', %d, context=context,\n"
                "                                     timeout=10)\n"
                "for path in ('/healthz', '/openapi.json', '/healthz'):\n"
                "    server.request('GET', path)\n"
                "    answer = server.getresponse()\n"
                "    assert answer.status == 200 and len(answer.read()) > 2\n"
                "assert server.sock.version() == 'TLSv1.3', server.sock.version()\n"
                "END\n",
                here.stage.folder, here.port),
        0);
    stop();
}

Test(https, reads_its_certificate_again_on_sighup)
{
    start();
    cr_assert_eq(command("cp %s/b.pem %s/a.pem", here.stage.folder, here.stage.folder),
                 0);
    program_signal(&here.ingest, SIGHUP); // the key is still that of the old one
    program_expect_log(&here.ingest, "certificate not reloaded");
    cr_expect_neq(curl("b.pem", "https"), 0, "the old one is served");
    cr_assert_eq(command("cp %s/b.key %s/a.key", here.stage.folder, here.stage.folder),
                 0);
    program_signal(&here.ingest, SIGHUP);
    program_expect_log(&here.ingest, "certificate reloaded");
    cr_expect_eq(curl("b.pem", "https"), 0);
    stop();
}

Test(https, does_not_start_with_files_it_cannot_use)
{
    static const struct {
        const char *prepare, *certificate, *key, *why;
    } cases[] = {
        { "true", "a.pem", "", "OMNI_TLS_KEY is not set" },
        { "true", "", "a.key", "OMNI_TLS_CERT is not set" },
        { "true", "none.pem", "a.key", "No such file" },
        { "true", "a.pem", "b.key", "not that of the certificate" },
        { "chmod 644 a.key", "a.pem", "a.key", "chmod 600" },
    };
    size_t count = here.stage.count;
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        here.stage.count = count;
        cr_assert_eq(command("cd %s && %s", here.stage.folder, cases[i].prepare), 0);
        if (*cases[i].certificate)
            stage_set(&here.stage, "OMNI_TLS_CERT", "%s/%s", here.stage.folder,
                      cases[i].certificate);
        if (*cases[i].key)
            stage_set(&here.stage, "OMNI_TLS_KEY", "%s/%s", here.stage.folder,
                      cases[i].key);
        here.stage.list[here.stage.count] = NULL;
        program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
        cr_expect_eq(program_wait(&here.ingest, WAIT_MS), EX_CONFIG);
        cr_expect(strstr(here.ingest.log, cases[i].why), "%s", here.ingest.log);
        program_finish(&here.ingest);
    }
}

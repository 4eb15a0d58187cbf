// The main job over encrypted tcp, with workers that share no directory.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "home.h"
#include "omni.h"
#include "port.h"
#include "program.h"

enum { PROGRAMS = 9, SETTINGS = 10, SETTING_BYTES = 160, TRAIN_MS = 60 * 1000 };

static struct omni omni;
static struct program programs[PROGRAMS];
static int started;
static char client[64], work[64], listen_on[80], keys[128];

static void
free_port(char *out, size_t size, const char *scheme)
{
    struct port port;
    char why[256];
    cr_assert_eq(port_take("127.0.0.1:0", &port, why, sizeof(why)), OM_OK, "%s", why);
    snprintf(out, size, "%s%s", scheme, port.listen);
    close(port.fd);
}

// Start a program with the settings all have, and the place of its blobs.
static void
start(const char *name, const char *blobs, const char *const *arguments)
{
    static char texts[PROGRAMS][SETTINGS][SETTING_BYTES];
    const char *list[SETTINGS + 1] = { NULL };
    const struct {
        const char *name, *base, *rest;
    } settings[] = {
        { "OMNI_BROKER=", client, "" },
        { "OMNI_BROKER_WORK=", work, "" },
        { "OMNI_KEYS=", keys, "" },
        { "OMNI_DATABASE=sqlite:", omni.dir, "" },
        { "OMNI_BLOBS=", blobs, "" },
        { "OMNI_SECRET_FILE=", omni.dir, "/secret" },
        { "OMNI_ADMIN_KEY_FILE=", omni.dir, "/admin.key" },
        { "OMNI_LISTEN=", listen_on, "" },
        { "OMNI_LOG_LEVEL=", "warn", "" },
    };
    cr_assert_lt(started, PROGRAMS);
    for (size_t i = 0; i < OM_COUNT(settings); i++) {
        snprintf(texts[started][i], SETTING_BYTES, "%s%s%s", settings[i].name,
                 settings[i].base, settings[i].rest);
        list[i] = texts[started][i];
    }
    program_start(&programs[started++], name, list, arguments);
}

static void
start_pool(const char *pool, const char *blobs)
{
    start("omni-inference", blobs,
          (const char *const[]){ "--pool", pool, "--slots", "1", NULL });
}

static void
make_folders(void)
{
    struct program init;
    omni = (struct omni){ .folder = "/tmp/omni-system-XXXXXX" };
    cr_assert(mkdtemp(omni.folder));
    snprintf(omni.dir, sizeof(omni.dir), "%s/data", omni.folder);
    snprintf(omni.log, sizeof(omni.log), "%s/log", omni.folder);
    snprintf(keys, sizeof(keys), "%s/keys", omni.folder);
    const char *const none[] = { NULL };
    const char *const arguments[] = { "init", "--data", omni.dir, "--keys", keys, NULL };
    program_start(&init, "omni", none, arguments);
    cr_assert_eq(program_wait(&init, 20000), 0, "%s", init.log);
}

static void
begin(void)
{
    char near[128], far[128];
    make_folders();
    free_port(client, sizeof(client), "tcp://");
    free_port(work, sizeof(work), "tcp://");
    free_port(listen_on, sizeof(listen_on), "");
    snprintf(near, sizeof(near), "dir:%s/blobs", omni.dir);
    snprintf(far, sizeof(far), "http://%s", listen_on);
    start("omni-broker", near, NULL);
    start("omni-identity", near, NULL);
    start("omni-ingest", near, NULL);
    start("omni-registry", near, NULL);
    start("omni-billing", near, NULL);
    start("omni-compliance", near, NULL);
    start_pool("training", near);
    start_pool("training", far);
    start_pool("inference", far);

    int64_t deadline_ms = om_clock_mono_ms() + 30000;
    while (!home_read_key(omni.dir, omni.key, sizeof(omni.key))) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no admin key");
        omni_pause();
    }
    omni.api = api_open_at(far, omni.key);
    omni_await_back(&omni);
}

static void
end(void)
{
    while (started > 0)
        program_finish(&programs[--started]);
    omni_close(&omni);
}

TestSuite(tcp, .init = begin, .fini = end, .timeout = 180);

Test(tcp, both_workers_train_and_the_one_without_the_folder_predicts)
{
    char file[64], tasks[2][64];
    omni_upload(&omni, 132, file);
    for (int i = 0; i < 2; i++)
        omni_train(&omni, file, 300, tasks[i]);
    for (int i = 0; i < 2; i++)
        omni_await(&omni, tasks[i], "running complete", TRAIN_MS);
    for (int i = 0; i < 2; i++) {
        omni_await(&omni, tasks[i], "complete failed", TRAIN_MS);
        cr_assert_str_eq(omni_text("status"), "complete", "%s",
                         omni_text("error.message"));
    }
    json_t *series = json_array();
    for (int i = 0; i < 60; i++)
        json_array_append_new(series, json_integer(100 + i % 12));
    json_t *body = json_pack("{s:o,s:i,s:i,s:s}", "time_series", series, "forecast_steps",
                             12, "period", 12, "model_id", omni_text("result.model_id"));
    cr_assert_eq(omni_ask(&omni, "POST", body, "/api/v1/predict/revenue-lstm"), 200, "%s",
                 omni_text("error.message"));
    omni_await_metered(&omni, "custom_model", 2);
    omni_await_audited(&omni);
}

Test(tcp, a_program_without_the_right_keys_is_not_let_in)
{
    char other[128];
    struct program init;
    const char *const none[] = { NULL };
    snprintf(other, sizeof(other), "%.60s/other", omni.folder);
    const char *const arguments[] = { "--make-keys", other, NULL };
    program_start(&init, "omni-broker", none, arguments);
    cr_assert_eq(program_wait(&init, 20000), 0, "%s", init.log);

    // The right broker's public key, but a role's key the broker does not know.
    char command[512];
    snprintf(command, sizeof(command), "cp %s/broker.pub %s/broker.pub", keys, other);
    cr_assert_eq(system(command), 0);
    memcpy(keys, other, sizeof(keys));
    program_finish(&programs[--started]); // the pool of the predictions
    start_pool("inference", "http://127.0.0.1:1");
    json_t *body = json_pack("{s:[i,i,i,i],s:i,s:i}", "time_series", 1, 2, 1, 2,
                             "forecast_steps", 1, "period", 2);
    cr_assert_geq(omni_ask(&omni, "POST", body, "/api/v1/predict/seasonal-naive"), 503);
}

// The programs of examples/ do what they say, and the documents show them as they are.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "omni.h"
#include "program.h"

static struct omni omni;
static struct program worker;

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    program_finish(&worker);
    omni_close(&omni);
}

TestSuite(examples, .timeout = 120);

static void
start_worker(void)
{
    char endpoint[128], key[256];
    omni_endpoint(&omni, "OMNI_BROKER_WORK", endpoint, sizeof(endpoint));
    json_t *body = json_pack("{s:s,s:[s]}", "name", "worker", "scopes", "worker");
    cr_assert_eq(omni_ask(&omni, "POST", body, "/developer/keys"), 201);
    snprintf(key, sizeof(key), "OMNI_API_KEY=%s", omni_text("key"));
    program_start(&worker, "../examples/echo_worker", (const char *const[]){ key, NULL },
                  (const char *const[]){ endpoint, NULL });
}

// As the list of workers says.
static void
await_tenant(char tenant[64])
{
    for (int left = 400; left > 0; left--) {
        cr_assert_eq(omni_ask(&omni, "GET", NULL, "/api/v1/workers"), 200);
        json_t *row = json_array_get(json_object_get(omni_answer(), "data"), 0);
        if (row) {
            snprintf(tenant, 64, "%s", json_string_value(json_object_get(row, "tenant")));
            return;
        }
        omni_pause();
    }
    cr_assert_fail("the worker is not listed");
}

Test(examples, a_job_of_the_client_is_done_by_the_worker, .init = begin, .fini = end)
{
    char client[128], tenant[64], command[512], said[128] = "", task[64] = "";
    start_worker();
    await_tenant(tenant);
    omni_endpoint(&omni, "OMNI_BROKER", client, sizeof(client));
    snprintf(command, sizeof(command),
             OMNI_BIN_DIR "/../examples/submit %s %s echo any '{\"month\":11}'", client,
             tenant);
    FILE *submit = popen(command, "r");
    cr_assert(submit && fgets(said, sizeof(said), submit), "%s", command);
    cr_assert_eq(pclose(submit), 0, "%s", said);
    cr_assert_eq(sscanf(said, "%63[a-z0-9_]: ok", task), 1, "%s", said);
    omni_await(&omni, task, "complete", 10000);
    cr_expect_eq(omni_number("result.month"), 11);

    program_signal(&worker, SIGTERM);
    cr_assert_eq(program_wait(&worker, 5000), 0, "%s", worker.log);
    omni_stop(&omni);
}

static char *
read_file(const char *path)
{
    enum { TEXT_MAX = 64 * 1024 };
    char *text = calloc(1, TEXT_MAX);
    FILE *file = fopen(path, "r");
    cr_assert(text && file, "%s", path);
    cr_assert_lt(fread(text, 1, TEXT_MAX - 1, file), TEXT_MAX - 1);
    fclose(file);
    return text;
}

Test(examples, the_documents_show_them_as_they_are)
{
    char *document = read_file(OMNI_SOURCE_DIR "/docs/workers.md");
    static const char *const paths[] = { OMNI_SOURCE_DIR "/examples/echo_worker.c",
                                         OMNI_SOURCE_DIR "/examples/submit.c" };
    for (size_t i = 0; i < OM_COUNT(paths); i++) {
        char *text = read_file(paths[i]);
        cr_expect(strstr(document, text), "docs/workers.md has not %s", paths[i]);
        free(text);
    }
    free(document);
}

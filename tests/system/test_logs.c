// What a whole Omni logs while it is used, correctly and not: lines that machines read,
// with the ids of their request, and nothing that users keep secret.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools.h"

#define PASSPHRASE "correct-horse-battery-staple"

static struct omni omni;
static struct program worker;
static char log_text[4 << 20];

static void
begin(void)
{
    setenv("OMNI_LOG_FORMAT", "json", 1);
    setenv("OMNI_LOG_LEVEL", "debug", 1);
    omni_open(&omni);
}

static void
end(void)
{
    program_finish(&worker);
    omni_close(&omni);
}

TestSuite(logs, .init = begin, .fini = end, .timeout = 120);

static void
read_log(void)
{
    FILE *file = fopen(omni.log, "r");
    cr_assert(file);
    size_t size = fread(log_text, 1, sizeof(log_text) - 1, file);
    fclose(file);
    cr_assert(size > 0 && size < sizeof(log_text) - 1);
    log_text[size] = '\0';
}

// Ask for what is refused.
static void
ask_as(const char *key, const char *method, json_t *body, const char *path)
{
    struct api *api = api_open_at(omni.url, key);
    struct api_reply reply = { 0 };
    cr_expect_eq(api_call(api, &reply, method, body, "%s", path), EXIT_REFUSED, "%s",
                 path);
    api_reply_finish(&reply);
    api_close(&api);
}

// Ada's work, and what she does wrong.
static void
work(char key[192])
{
    char task[64];
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s,s:[s]}", "email", "ada@lovelace.example",
                                    "name", "Ada Lovelace", "roles", "developer"),
                          "/api/v1/admin/users"),
                 201);
    cr_expect_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s,s:[s]}", "email", "ada@lovelace.example",
                                    "name", "Ada Lovelace", "roles", "developer"),
                          "/api/v1/admin/users"),
                 409, "she is there already");
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:[s,s]}", "name", "ada", "scopes",
                                    "tasks:write", "tasks:read"),
                          "/developer/keys"),
                 201);
    snprintf(key, 192, "%s", omni_text("key"));
    omni_start_worker(&omni, &worker, "worker", "echo");
    cr_assert_eq(omni_ask(&omni, "POST",
                          json_pack("{s:s,s:s,s:{s:s,s:s}}", "queue", "echo", "kind",
                                    "echo", "payload", "passphrase", PASSPHRASE, "for",
                                    "ada@lovelace.example"),
                          "/api/v1/tasks"),
                 202);
    snprintf(task, sizeof(task), "%s", omni_text("task_id"));
    omni_await(&omni, task, "complete", 10000);

    ask_as(key, "GET", NULL, "/api/v1/tasks?after=" PASSPHRASE);
    ask_as(key, "GET", NULL, "/api/v1/tasks/" PASSPHRASE);
    ask_as(key, "POST", json_pack("{s:s}", "queue", PASSPHRASE), "/api/v1/tasks");
    ask_as(key, "DELETE", NULL, "/api/v1/files/file_ada@lovelace.example");
    ask_as("omni_live_" PASSPHRASE, "GET", NULL, "/api/v1/tasks");
    ask_as(PASSPHRASE, "GET", NULL, "/api/v1/tasks");
}

static const char *
text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

// Every line is an object, and those of requests name
// them. Returns how many there are.
static int
check_lines(void)
{
    int requests = 0;
    for (char *at = log_text, *next; *at; at = next) {
        next = strchr(at, '\n');
        cr_assert(next, "%s", at);
        *next++ = '\0';
        if (strncmp(at, "Omni is ready", 13) == 0)
            continue; // what `omni up` prints
        json_t *line = json_loads(at, JSON_REJECT_DUPLICATES, NULL);
        cr_assert(line, "%s", at);
        cr_expect(*text_of(line, "ts") && *text_of(line, "level") &&
                      *text_of(line, "service") && *text_of(line, "msg"),
                  "%s", at);
        if (strcmp(text_of(line, "msg"), "answered") == 0) {
            cr_expect_eq(strlen(text_of(line, "trace_id")), 32, "%s", at);
            cr_expect_eq(strncmp(text_of(line, "request_id"), "req_", 4), 0, "%s", at);
            requests++;
        }
        json_decref(line);
    }
    return requests;
}

Test(logs, hold_the_ids_of_each_request_and_no_secret)
{
    char key[192], shown[160];
    work(key);
    omni_stop_worker(&worker);
    omni_stop(&omni);
    read_log();
    const char *const secrets[] = {
        PASSPHRASE,
        "lovelace",
        "Lovelace",
        key + strlen("omni_live_"),
        omni.key + strlen("omni_live_"),
    };
    for (size_t i = 0; i < OM_COUNT(secrets); i++) {
        const char *found = strstr(log_text, secrets[i]);
        snprintf(shown, sizeof(shown), "%s", found ? found : "");
        cr_expect_null(found, "%s", shown);
    }
    cr_expect_geq(check_lines(), 10);
}

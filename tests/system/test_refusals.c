// What a user gets wrong is answered with a 4xx that names the field and says what to do.
#include <stdio.h>

#include "omni.h"

static struct omni omni;

static void
begin(void)
{
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(refusals, .init = begin, .fini = end, .timeout = 120);

static void
expect_refusal(const char *what, long seen, long status, const char *param)
{
    cr_expect_eq(seen, status, "%s: %ld, not %ld: %s", what, seen, status,
                 omni_text("error.message"));
    cr_expect(*omni_text("error.message"), "%s: no message", what);
    cr_expect(*omni_text("error.type"), "%s: no type", what);
    cr_expect(*omni_text("error.code"), "%s: no code", what);
    cr_expect_eq(strncmp(omni_text("error.request_id"), "req_", 4), 0, "%s", what);
    if (param)
        cr_expect_str_eq(omni_text("error.param"), param, "%s: %s", what,
                         omni_text("error.message"));
}

Test(refusals, of_requests_name_the_field)
{
    static const struct {
        const char *method, *path, *body;
        long status;
        const char *param;
    } cases[] = {
        { "GET", "/api/v1/nothing", NULL, 404, NULL },
        { "DELETE", "/api/v1/usage", NULL, 405, NULL },
        { "GET", "/api/v1/tasks/task_00000000000000000000000000", NULL, 404, NULL },
        { "GET", "/api/v1/tasks/nonsense", NULL, 404, NULL },
        { "GET", "/api/v1/tasks?limit=0", NULL, 400, "limit" },
        { "GET",
          "/api/v1/tasks?after="
          "0000000000000000000000000000000000000000000000000000000000000000",
          NULL, 404, "id" },
        { "GET", "/api/v1/tasks?limit=many", NULL, 400, "limit" },
        { "GET", "/api/v1/tasks?limit=", NULL, 400, "limit" },
        { "GET", "/api/v1/tasks?status=sleeping", NULL, 400, "status" },
        { "GET", "/api/v1/usage?from=x", NULL, 400, "from" },
        { "GET", "/api/v1/usage?group_by=moon", NULL, 400, "group_by" },
        { "POST", "/api/v1/tasks", "[]", 400, NULL },
        { "POST", "/api/v1/tasks", "{}", 400, "queue" },
        { "POST", "/api/v1/tasks", "{\"queue\":\"a\"}", 400, "kind" },
        { "POST", "/api/v1/tasks", "{\"queue\":7,\"kind\":\"k\"}", 400, "queue" },
        { "POST", "/api/v1/tasks", "{\"queue\":\"Up\",\"kind\":\"k\"}", 400, "queue" },
        { "POST", "/api/v1/tasks", "{\"queue\":\"omni.training\",\"kind\":\"train\"}",
          403, "queue" },
        { "POST", "/api/v1/train/custom-model", "{}", 400, "model" },
        { "POST", "/api/v1/predict/revenue-lstm", "{}", 400, "time_series" },
        { "POST", "/api/v1/predict/revenue-lstm",
          "{\"time_series\":[1,\"x\",3],\"forecast_steps\":1}", 400, "time_series" },
        { "POST", "/api/v1/predict/revenue-lstm",
          "{\"time_series\":[1,2,3],\"forecast_steps\":0}", 400, "forecast_steps" },
        { "POST", "/api/v1/predict/no-such-model",
          "{\"time_series\":[1,2,3,4],\"forecast_steps\":1}", 404, "model" },
        { "POST", "/developer/keys", "{}", 400, "name" },
        { "POST", "/developer/keys", "{\"name\":\"a\",\"scopes\":[\"sing\"]}", 400,
          "scopes" },
        { "POST", "/api/v1/schedules",
          "{\"cron\":\"61 * * * *\",\"queue\":\"a\",\"kind\":\"k\"}", 400, "cron" },
        { "POST", "/api/v1/schedules",
          "{\"cron\":\"0 * * * *\",\"queue\":\"omni.training\",\"kind\":\"k\"}", 403,
          "queue" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        json_t *body = cases[i].body ? json_loads(cases[i].body, 0, NULL) : NULL;
        long status = omni_ask(&omni, cases[i].method, body, "%s", cases[i].path);
        char what[160];
        snprintf(what, sizeof(what), "%s %s %s", cases[i].method, cases[i].path,
                 cases[i].body ? cases[i].body : "");
        expect_refusal(what, status, cases[i].status, cases[i].param);
    }
    omni_stop(&omni);
}

static void
upload(const char *text, char id[64])
{
    struct api_reply reply;
    cr_assert_eq(
        api_upload_bytes(omni.api, &reply, "dataset", "bad.csv", text, strlen(text)),
        EXIT_DONE);
    snprintf(id, 64, "%s", json_string_value(json_object_get(reply.body, "id")));
    api_reply_finish(&reply);
}

static json_t *
training(const char *model, const char *file)
{
    return json_pack("{s:s,s:s,s:s,s:i}", "model", model, "training_file", file, "target",
                     "passengers", "horizon", 12);
}

static void
expect_no_training(json_t *body, long status, const char *param,
                   const char *const words[2])
{
    long seen = omni_ask(&omni, "POST", body, "/api/v1/train/custom-model");
    expect_refusal(param, seen, status, param);
    for (size_t i = 0; i < 2; i++)
        cr_expect(strstr(omni_text("error.message"), words[i]), "%s: no \"%s\" in: %s",
                  param, words[i], omni_text("error.message"));
}

Test(refusals, of_training_data_name_the_column_and_the_line)
{
    static const struct {
        const char *text, *param, *words[2];
    } cases[] = {
        { "month,travellers\n1949-01,112\n", "target", { "passengers", "travellers" } },
        { "month,passengers\n1949-01,112\n1949-02,many\n",
          "training_file",
          { "many", "3" } },
        { "month,passengers\n1949-01,112\n1949-02,NaN\n",
          "training_file",
          { "NaN", "3" } },
        { "month,passengers\n1949-01,112\n1949-02,118\n", "training_file", { "2", "" } },
        { "month,passengers\n", "training_file", { "", "" } },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        char file[64];
        upload(cases[i].text, file);
        expect_no_training(training("revenue-lstm", file), 400, cases[i].param,
                           cases[i].words);
    }
    omni_stop(&omni);
}

Test(refusals, of_a_training_on_what_does_not_exist_come_at_once)
{
    char file[64];
    omni_upload(&omni, 132, file);
    expect_no_training(training("no-such-model", file), 400, "model",
                       (const char *const[]){ "no-such-model", "revenue-lstm" });
    expect_no_training(training("revenue-lstm", "file_00000000000000000000000000"), 404,
                       "training_file", (const char *const[]){ "no such file", "" });
    omni_stop(&omni);
}

Test(refusals, of_a_key_come_before_everything_else)
{
    static const char *const keys[] = { "", "nonsense",
                                        "omni_live_0000000000000000000000000000000000" };
    char right[192];
    snprintf(right, sizeof(right), "%s", omni.key);
    for (size_t i = 0; i < OM_COUNT(keys); i++) {
        api_close(&omni.api);
        omni.api = api_open_at(omni.url, keys[i]);
        expect_refusal(keys[i], omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 401, NULL);
    }
    omni_stop(&omni);
}

Test(refusals, of_a_key_that_was_revoked_come_within_a_second)
{
    char id[64], key[192];
    cr_assert_eq(
        omni_ask(&omni, "POST", json_pack("{s:s}", "name", "short"), "/developer/keys"),
        201);
    snprintf(id, sizeof(id), "%s", omni_text("id"));
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    struct omni other = omni;
    other.api = api_open_at(omni.url, key);
    cr_assert_eq(omni_ask(&other, "GET", NULL, "/api/v1/tasks"), 200);
    cr_assert_eq(omni_ask(&omni, "POST", NULL, "/developer/keys/%s/revoke", id), 200);
    omni_await_status(&other, 401, 1500);
    api_close(&other.api);
    omni_stop(&omni);
}

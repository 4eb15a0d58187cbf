#include <criterion/criterion.h>
#include <strings.h>

#include "contract.h"
#include "openapi.h"
#include "platform.h"

struct platform platform;

static void
expect_documented(const struct http_ask *ask)
{
    static json_t *document;
    const struct http_answer *got = &platform.answer;
    if (!document) {
        OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
        openapi_write(&text);
        document = json_loadb(text.data, text.size, 0, NULL);
    }
    struct contract_answer answer = { ask->method,
                                      ask->path,
                                      got->status,
                                      got->fields,
                                      got->type[0] ? got->type : NULL,
                                      got->text.size,
                                      got->body };
    const char *why = contract_check(document, &answer);
    cr_expect_null(why, "%s\n%s", why, got->text.data);
}

// In the head, and in an error's body the same.
static void
expect_request_id(const struct http_ask *ask)
{
    const char *id = http_field(&platform.answer, "x-request-id");
    cr_assert_eq(strncmp(id, "req_", 4), 0, "%s %s has no request id", ask->method,
                 ask->path);
    if (platform.answer.status >= 400 && strcmp(ask->method, "HEAD") != 0)
        cr_expect_str_eq(said("error.request_id"), id, "%s %s: %s", ask->method,
                         ask->path, platform.answer.text.data);
}

long
ask(struct http_ask ask)
{
    ask.url = platform.url;
    http_ask(&ask, &platform.answer);
    expect_documented(&ask);
    expect_request_id(&ask);
    return platform.answer.status;
}

long
get(const char *path)
{
    return ask((struct http_ask){ .method = "GET", .path = path, .key = platform.admin });
}

long
post(const char *path, const char *body)
{
    return ask((struct http_ask){
        .method = "POST", .path = path, .key = platform.admin, .body = body });
}

const char *
said(const char *path)
{
    return http_text(&platform.answer, path);
}

int64_t
number(const char *path)
{
    return http_number(&platform.answer, path);
}

static void
begin(void)
{
    platform = (struct platform){ 0 };
    struct stage *stage = &platform.stage;
    stage_open(stage);
    stage_settle(stage);
    stage_set(stage, "OMNI_TRUSTED_PROXIES", "127.0.0.0/8");
    stage_set(stage, "OMNI_CORS_ORIGINS", "https://app.example");
    stage_set(stage, "OMNI_FAILED_KEYS", "0"); // all routes see wrong keys
    program_start(&platform.broker, "omni-broker", stage->list, NULL);
    program_expect_log(&platform.broker, "serving");
    program_start(&platform.identity, "omni-identity", stage->list, NULL);
    program_start(&platform.registry, "omni-registry", stage->list, NULL);
    program_start(&platform.billing, "omni-billing", stage->list, NULL);
    edge_program_start(&platform.ingest, stage, platform.url);
    program_expect_log(&platform.identity, "serving");
    program_expect_log(&platform.billing, "serving");
    stage_read(stage, "admin.key", platform.admin, sizeof(platform.admin));
    edge_program_await(platform.url);
}

static void
end(void)
{
    edge_program_stop(&platform.ingest);
    program_finish(&platform.billing);
    program_finish(&platform.registry);
    program_finish(&platform.identity);
    program_finish(&platform.broker);
    http_answer_finish(&platform.answer);
    stage_close(&platform.stage);
}

TestSuite(ingest, .init = begin, .fini = end, .timeout = 120);

// Many jobs in one request: each is answered as it would be alone.
#include <stdio.h>
#include <stdlib.h>

#include "omni.h"

enum { OPEN_MAX = 5, JOBS_MAX = 1000 };

static const char path[] = "/api/v1/tasks/batch";
static struct omni omni;

static void
begin(void)
{
    char most[16];
    snprintf(most, sizeof(most), "%d", OPEN_MAX);
    setenv("OMNI_TENANT_JOBS_MAX", most, 1);
    omni_open(&omni);
}

static void
end(void)
{
    omni_close(&omni);
}

TestSuite(batches, .init = begin, .fini = end, .timeout = 120);

static json_t *
job(int number)
{
    return json_pack("{s:s,s:s,s:{s:i}}", "queue", "mine", "kind", "k", "payload", "n",
                     number);
}

static json_t *
jobs(int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, job(i));
    return list;
}

static long
submit(json_t *list)
{
    return omni_ask(&omni, "POST", json_pack("{s:o}", "jobs", list), path);
}

static json_t *
item(size_t place)
{
    return json_array_get(json_object_get(omni_answer(), "data"), place);
}

static const char *
item_text(size_t place, const char *field)
{
    const char *text = json_string_value(json_object_get(item(place), field));
    return text ? text : "";
}

static void
expect_item(size_t place, int status, const char *code)
{
    const char *said = "";
    json_unpack(item(place), "{s:{s:s}}", "error", "code", &said);
    cr_expect_eq(json_integer_value(json_object_get(item(place), "status")), status,
                 "job %zu", place);
    cr_expect_str_eq(said, code, "job %zu", place);
    cr_expect_eq(*item_text(place, "task_id") != '\0', *code == '\0', "job %zu", place);
}

static void
expect_refused(json_t *body, long status, const char *param)
{
    cr_expect_eq(omni_ask(&omni, "POST", body, path), status);
    cr_expect_str_eq(omni_text("error.param"), param, "%s", omni_text("error.message"));
}

Test(batches, that_are_none_are_refused_whole_with_the_place)
{
    static char large[64 * 1024 + 1];
    memset(large, 'q', sizeof(large) - 1);
    expect_refused(json_pack("{s:[]}", "jobs"), 400, "jobs");
    expect_refused(json_pack("{}"), 400, "jobs");
    expect_refused(json_pack("{s:o}", "jobs", jobs(JOBS_MAX + 1)), 400, "jobs");
    expect_refused(json_pack("{s:[o,{s:s}]}", "jobs", job(1), "queue", "mine"), 400,
                   "jobs[1].kind");
    expect_refused(json_pack("{s:[o,i]}", "jobs", job(1), 7), 400, "jobs[1]");
    expect_refused(json_pack("{s:[{s:s,s:s}]}", "jobs", "queue", large, "kind", "k"), 400,
                   "jobs[0].queue");
    cr_expect_eq(omni_ask(&omni, "GET", NULL, "/api/v1/tasks"), 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0);
    omni_stop(&omni);
}

Test(batches, of_good_and_bad_jobs_take_the_good_ones)
{
    json_t *list = jobs(4);
    json_object_set_new(json_array_get(list, 1), "queue", json_string("omni.billing"));
    json_object_set_new(json_array_get(list, 2), "queue", json_string("No Queue"));
    cr_assert_eq(submit(list), 200);
    expect_item(0, 202, "");
    expect_item(1, 403, "permission_denied");
    expect_item(2, 400, "invalid_request");
    expect_item(3, 202, "");
    cr_expect_eq(omni_number("accepted"), 2);
    cr_expect_eq(omni_number("refused"), 2);
    omni_stop(&omni);
}

Test(batches, with_one_unique_key_twice_have_one_job_of_it)
{
    json_t *list = jobs(3);
    for (size_t i = 0; i < 2; i++)
        json_object_set_new(json_array_get(list, i), "unique",
                            json_pack("{s:s}", "key", "nightly"));
    cr_assert_eq(submit(list), 202);
    expect_item(0, 202, "");
    expect_item(1, 200, "");
    expect_item(2, 202, "");
    cr_expect(json_is_true(json_object_get(item(1), "duplicate")));
    cr_expect_str_eq(item_text(0, "task_id"), item_text(1, "task_id"));
    cr_expect_str_neq(item_text(0, "task_id"), item_text(2, "task_id"));
    omni_stop(&omni);
}

Test(batches, with_a_job_larger_than_a_message_take_the_others)
{
    enum { BYTES = 1024 * 1024 + 1 };
    char *text = malloc(BYTES + 1);
    cr_assert(text);
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    json_t *list = jobs(3);
    json_object_set_new(json_array_get(list, 1), "payload",
                        json_pack("{s:s}", "text", text));
    free(text);
    cr_assert_eq(submit(list), 200, "%s", omni_text("error.message"));
    expect_item(0, 202, "");
    expect_item(1, 413, "too_large");
    expect_item(2, 202, "");
    omni_stop(&omni);
}

Test(batches, that_reach_a_limit_are_taken_up_to_it)
{
    char first[64];
    cr_assert_eq(submit(jobs(OPEN_MAX + 2)), 200);
    for (size_t i = 0; i < OPEN_MAX + 2; i++)
        expect_item(i, i < OPEN_MAX ? 202 : 429, i < OPEN_MAX ? "" : "queue_full");
    snprintf(first, sizeof(first), "%s", item_text(0, "task_id"));
    expect_refused(json_pack("{s:b,s:o}", "atomic", 1, "jobs", jobs(2)), 429, "jobs[0]");
    cr_expect_eq(omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", first), 202);
    omni_await(&omni, first, "cancelled", 10000);
    // There is room for one: all of an atomic batch of two is refused.
    expect_refused(json_pack("{s:b,s:o}", "atomic", 1, "jobs", jobs(2)), 429, "jobs[1]");
    cr_expect_eq(submit(jobs(1)), 202);
    omni_stop(&omni);
}

Test(batches, said_again_under_their_key_take_what_was_refused_for_a_while)
{
    enum { OTHERS = 3, OWN = OPEN_MAX - OTHERS };
    char ids[OWN][64], others[OTHERS][64];
    cr_assert_eq(submit(jobs(OTHERS)), 202);
    for (size_t i = 0; i < OTHERS; i++)
        snprintf(others[i], sizeof(others[i]), "%s", item_text(i, "task_id"));
    api_set_field(omni.api, "Idempotency-Key", "order 17");
    cr_assert_eq(submit(jobs(OWN + 1)), 200);
    for (size_t i = 0; i < OWN; i++)
        snprintf(ids[i], sizeof(ids[i]), "%s", item_text(i, "task_id"));
    expect_item(OWN, 429, "queue_full");
    for (size_t i = 0; i < OTHERS; i++) {
        omni_ask(&omni, "POST", NULL, "/api/v1/tasks/%s/cancel", others[i]);
        omni_await(&omni, others[i], "cancelled", 10000);
    }

    cr_assert_eq(submit(jobs(OWN + 1)), 202, "%s", omni_text("error.message"));
    for (size_t i = 0; i < OWN; i++)
        cr_expect_str_eq(item_text(i, "task_id"), ids[i], "job %zu is another", i);
    expect_item(OWN, 202, "");
    cr_expect_eq(submit(jobs(OWN)), 422, "another batch under the key");
    cr_expect_str_eq(omni_text("error.code"), "id_reused");
    omni_stop(&omni);
}

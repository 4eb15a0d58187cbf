// An attempt that failed is told of by an event in the commit that says so.
#include <criterion/criterion.h>
#include <stdio.h>

#include "bench.h"
#include "ops.h"

// What the next batch says of errors: how many events, and the last of them.
struct told {
    int count;
    char id[96];
    struct error_event error;
    char body[2048];
};

static struct told
commit(struct bench *bench)
{
    struct told told = { 0 };
    struct batch *batch = core_take_batch(bench->core);
    cr_assert(batch, "there is nothing to commit");
    for (size_t i = 0; i < batch->count; i++) {
        const struct change_event *event = &batch->changes[i].event;
        if (batch->changes[i].kind != CHANGE_EVENT ||
            !om_str_eq(event->topic, OM_LIT(ERROR_TOPIC)))
            continue;
        told.count++;
        cr_assert(event->id.size < sizeof(told.id) &&
                  event->body.size < sizeof(told.body));
        memcpy(told.id, event->id.data, event->id.size);
        memcpy(told.body, event->body.data, event->body.size);
        struct om_str body = { told.body, event->body.size };
        cr_assert_eq(rec_decode(&error_event_rec, body, &told.error, NULL), OM_OK);
        cr_expect(om_uuid_shard(&event->tenant) == event->shard);
    }
    core_committed(bench->core, bench->now, &batch, OM_OK);
    return told;
}

static void
fail(struct bench *bench, const char token[WIRE_TOKEN_BYTES], bool retryable)
{
    struct wire_msg fail = { 0 };
    WIRE_SET(&fail, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    WIRE_SET(&fail, code, OM_LIT("column_missing"));
    WIRE_SET(&fail, text, OM_LIT("no column 'x'"));
    WIRE_SET(&fail, retryable, retryable);
    bench_send(bench, BENCH_WORKER, &bench_local, WIRE_FAIL, &fail, NULL);
}

// Does the text that was copied with the event say this?
static bool
has_text(const struct told *told, const char *text)
{
    return memmem(told->body, sizeof(told->body), text, strlen(text)) != NULL;
}

Test(failure, of_an_attempt_is_told_with_the_mark_of_its_retry_and_with_the_result)
{
    for (int retryable = 0; retryable < 2; retryable++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES], id[96];
        struct om_uuid task = bench_running(&bench, "omni.inference", token);
        bench_settle(&bench);
        fail(&bench, token, retryable);
        struct told told = commit(&bench);
        snprintf(id, sizeof(id), "%s/1/error", bench_task_text(&task).data);
        cr_expect_eq(told.count, 1);
        cr_expect_str_eq(told.id, id);
        cr_expect_eq(told.error.retried, retryable);
        cr_expect_eq(told.error.attempt, 1);
        cr_expect(has_text(&told, "column_missing") && has_text(&told, "no column 'x'"));
        cr_expect(has_text(&told, "omni.inference") && has_text(&told, "w1"));
        bench_finish(&bench);
    }
}

Test(failure, of_a_worker_that_was_lost_is_told)
{
    struct bench bench;
    char token[WIRE_TOKEN_BYTES];
    bench_running(&bench, "omni.inference", token);
    bench_settle(&bench);
    bench_pass(&bench, 10000);
    struct told told = commit(&bench);
    cr_expect_eq(told.count, 1);
    cr_expect(has_text(&told, "worker_lost"));
    bench_finish(&bench);
}

Test(failure, is_not_what_succeeds_is_cancelled_or_is_given_back)
{
    static const enum wire_type types[] = { WIRE_DONE, WIRE_RELEASE, WIRE_CANCELLED };
    for (size_t i = 0; i < OM_COUNT(types); i++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES];
        bench_running(&bench, "omni.inference", token);
        bench_settle(&bench);
        bench_say(&bench, BENCH_WORKER, types[i], token);
        bench_pass(&bench, 100);
        cr_expect_eq(commit(&bench).count, 0, "row %zu", i);
        bench_finish(&bench);
    }
}

// The trace context of an event, from the job that caused it to whoever applies it.
#include <criterion/criterion.h>

#include "bench.h"
#include "context.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define STATE  "a=1,b@c=x;y"

Test(context, is_one_text_that_comes_apart_again)
{
    static char long_state[512];
    memset(long_state, 'x', sizeof(long_state));
    const struct {
        struct om_str parent, state;
    } cases[] = {
        { OM_LIT(PARENT), { 0 } },
        { OM_LIT(PARENT), OM_LIT(STATE) },
        { OM_LIT(PARENT), { long_state, sizeof(long_state) } },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        char text[CONTEXT_MAX];
        struct wire_logged logged = { 0 };
        context_split(context_join(cases[i].parent, cases[i].state, text), &logged);
        cr_expect(om_str_eq(logged.traceparent, cases[i].parent), "case %zu", i);
        cr_expect(om_str_eq(logged.tracestate, cases[i].state), "case %zu", i);
        cr_expect_eq(REC_HAS(&logged, wire_logged, tracestate), cases[i].state.size > 0);
    }
}

Test(context, is_none_without_a_traceparent_and_when_it_does_not_fit)
{
    static char large[CONTEXT_MAX];
    char text[CONTEXT_MAX];
    struct wire_logged logged = { 0 };
    cr_expect_eq(context_join((struct om_str){ 0 }, OM_LIT(STATE), text).size, 0);
    cr_expect_eq(
        context_join(OM_LIT(PARENT), (struct om_str){ large, sizeof(large) }, text).size,
        0);
    context_split((struct om_str){ 0 }, &logged);
    cr_expect_not(REC_HAS(&logged, wire_logged, traceparent));
    cr_expect_not(REC_HAS(&logged, wire_logged, tracestate));
}

static struct om_str
usage_of(struct om_buf *list)
{
    struct wire_usage usage = { 0 };
    REC_SET(&usage, wire_usage, meter, OM_LIT("compute_ms"));
    REC_SET(&usage, wire_usage, quantity, 7);
    om_pack_array(list, 1);
    rec_encode(&wire_usage_rec, &usage, list);
    return om_buf_str(list);
}

// The only event of the next batch, which is then durable.
static void
expect_event(struct bench *bench, const char *context)
{
    struct batch *batch = core_take_batch(bench->core);
    cr_assert(batch);
    size_t events = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->changes[i].kind != CHANGE_EVENT)
            continue;
        events++;
        struct om_str text = batch->changes[i].event.context;
        cr_expect(om_str_eq(text, om_str(context)), "%.*s", (int)text.size, text.data);
    }
    cr_expect_eq(events, 1);
    core_committed(bench->core, bench->now, &batch, OM_OK);
}

static void
open_bench(struct bench *bench)
{
    bench_init(bench);
    bench_hello(bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(bench, BENCH_WORKER, "inference", "w1");
    bench_credit(bench, BENCH_WORKER, "omni.inference", 1);
}

Test(context, of_a_job_is_in_the_events_of_its_end)
{
    static const struct {
        const char *parent, *state, *context;
    } cases[] = {
        { PARENT, STATE, PARENT ";" STATE },
        { PARENT, NULL, PARENT },
        { NULL, STATE, "" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct bench bench;
        char token[WIRE_TOKEN_BYTES];
        OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
        open_bench(&bench);
        struct om_uuid id = bench_task(&bench, 1);
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, id, OM_LIT("s1"));
        WIRE_SET(&msg, task, bench_task_text(&id));
        WIRE_SET(&msg, tenant, BENCH_TENANT);
        WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
        WIRE_SET(&msg, kind, OM_LIT("k"));
        if (cases[i].parent)
            WIRE_SET(&msg, traceparent, om_str(cases[i].parent));
        if (cases[i].state)
            WIRE_SET(&msg, tracestate, om_str(cases[i].state));
        bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
        cr_assert(bench_commit(&bench, OM_OK));
        bench_find(&bench, BENCH_CLIENT, WIRE_SUBMITTED);
        bench_take_job(&bench, BENCH_WORKER, token);
        cr_expect(om_str_eq(bench.msg.tracestate, cases[i].state ? om_str(cases[i].state)
                                                                 : (struct om_str){ 0 }));
        bench_settle(&bench);
        struct wire_msg done = { 0 };
        WIRE_SET(&done, token, ((struct om_str){ token, sizeof(token) }));
        WIRE_SET(&done, usage, usage_of(&list));
        bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_DONE, &done, "r");
        expect_event(&bench, cases[i].context);
        bench_finish(&bench);
    }
}

Test(context, of_a_call_is_in_the_events_of_its_answer)
{
    struct bench bench;
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    open_bench(&bench);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("c1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("k"));
    WIRE_SET(&msg, traceparent, OM_LIT(PARENT));
    WIRE_SET(&msg, tracestate, OM_LIT(STATE));
    bench_send(&bench, BENCH_CLIENT, &bench_local, WIRE_CALL, &msg, "q");
    struct wire_msg reply = { 0 };
    WIRE_SET(&reply, call, bench_expect(&bench, BENCH_WORKER, WIRE_CALL)->call);
    WIRE_SET(&reply, usage, usage_of(&list));
    bench_send(&bench, BENCH_WORKER, &bench_local, WIRE_REPLY, &reply, "a");
    bench_pass(&bench, 1000);
    expect_event(&bench, PARENT ";" STATE);
    bench_finish(&bench);
}

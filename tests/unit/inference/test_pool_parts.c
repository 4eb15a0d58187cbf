// Predictions in parts, as a pool makes them.
#include "../services/call.h"
#include "id.h"
#include "pool.h"

enum { MANY = 1 << 20, PART = 50, PERIOD = 4 };

static struct pool pool;
static struct call call;
static struct om_uuid tenant;
static const char *model;

static void
begin(void)
{
    pool.cache = model_cache_create(1 << 20);
    tenant = om_id_new(7);
    model = "seasonal-naive";
}

static void
end(void)
{
    call_finish(&call);
    model_cache_destroy(&pool.cache);
}

TestSuite(pool_parts, .init = begin, .fini = end, .timeout = 60);

static enum om_rc
ask(int64_t steps, struct predict_reply *reply)
{
    struct predict_request request = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf values = { 0 };
    om_pack_array(&values, 2 * PERIOD);
    for (int i = 0; i < 2 * PERIOD; i++)
        om_pack_f64(&values, 1 + i % PERIOD);
    REC_SET(&request, predict_request, model, om_str(model));
    REC_SET(&request, predict_request, time_series, om_buf_str(&values));
    REC_SET(&request, predict_request, forecast_steps, steps);
    REC_SET(&request, predict_request, period, PERIOD);
    return call_op(&call, pool_inference_routes, &pool, OP_predict, tenant, "req_1",
                   &request, reply);
}

static int64_t
metered(void)
{
    int64_t sum = 0;
    for (size_t i = 0; i < call.work.usage_count; i++)
        if (strcmp(call.work.usage[i].meter, "ml_inference") == 0)
            sum += call.work.usage[i].quantity;
    return sum;
}

// How many values the parts that were made have; each begins where the one before ended.
static int64_t
count_steps(void)
{
    int64_t steps = 0, parts = 0;
    for (const struct work_chunk *one = call.work.chunks; one; one = one->next) {
        struct predict_part part;
        double value;
        struct om_str bytes = { one->bytes, one->size };
        cr_assert_eq(rec_decode(&predict_part_rec, bytes, &part, NULL), OM_OK);
        cr_expect_eq(one->seq, ++parts);
        cr_expect_eq(part.step, steps + 1);
        struct rec_iter all = rec_iter(part.predictions);
        cr_expect(all.left > 0 && all.left <= PART);
        cr_expect_eq(rec_iter(part.lower).left, all.left);
        cr_expect_eq(rec_iter(part.upper).left, all.left);
        for (; rec_next_f64(&all, &value); steps++)
            cr_expect_eq(value, (double)(1 + steps % PERIOD), "step %d", (int)steps + 1);
    }
    return steps;
}

Test(pool_parts, have_every_step_once_and_the_end_has_none)
{
    static const int64_t counts[] = { 1, PART - 1, PART, PART + 1, 2 * PART, 1000 };
    call.parts = MANY;
    for (size_t i = 0; i < OM_COUNT(counts); i++) {
        struct predict_reply reply;
        cr_assert_eq(ask(counts[i], &reply), OM_OK);
        cr_expect_eq(count_steps(), counts[i]);
        cr_expect_eq(rec_iter(reply.predictions).left, 0);
        cr_expect_eq(rec_iter(reply.upper).left, 0);
        cr_expect(om_str_eq(reply.model_type, OM_LIT("seasonal-naive")));
        cr_expect_eq(metered(), 1, "however many parts there are");
    }
}

Test(pool_parts, are_none_of_an_answer_that_is_asked_for_whole)
{
    struct predict_reply reply;
    cr_assert_eq(ask(2 * PART, &reply), OM_OK);
    cr_expect_null(call.work.chunks);
    cr_expect_eq(rec_iter(reply.predictions).left, 2 * PART);
}

Test(pool_parts, are_made_at_once_by_the_thread_that_takes_the_calls)
{
    struct predict_reply reply;
    call.parts = MANY;
    call.now = true;
    cr_assert_eq(ask(PART + 1, &reply), OM_OK);
    cr_expect(call.call.now, "it was not given to a slot");
    cr_expect_eq(count_steps(), PART + 1);
}

Test(pool_parts, end_when_nobody_takes_more_and_what_was_made_is_metered)
{
    struct predict_reply reply;
    call.parts = 3 * (WIRE_CHUNK_COST + 9 * PART); // of numbers alone: too few for three
    cr_expect_eq(ask(10 * PART, &reply), OM_ETIMEOUT);
    int64_t steps = count_steps();
    cr_expect(steps > 0 && steps < 3 * PART && steps % PART == 0, "%d steps", (int)steps);
    cr_expect_leq(call.work.chunk_used, call.parts);
    cr_expect_eq(metered(), 1);
}

Test(pool_parts, begin_with_none_when_the_question_is_wrong)
{
    struct predict_reply reply;
    call.parts = MANY;
    model = "no-such-model";
    cr_expect_eq(ask(2 * PART, &reply), OM_ENOTFOUND);
    cr_expect_null(call.work.chunks);
    cr_expect_eq(metered(), 0);
}

Test(pool_parts, are_made_for_nobody_who_left_before)
{
    struct predict_reply reply;
    call.parts = MANY;
    call.deadline_ms = 1;
    cr_expect_eq(ask(2 * PART, &reply), OM_ECANCELLED);
    cr_expect_null(call.work.chunks);
}

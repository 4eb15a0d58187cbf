// The handlers of both pools, with a blob store on disk and a registry played by the
// test.
#include <math.h>

#include "../services/call.h"
#include "airline.h"
#include "clock.h"
#include "fake_registry.h"
#include "id.h"
#include "pool.h"

static struct call_folder folder;
static struct pool pool;
static struct fake_registry registry;
static struct call call;
static struct om_uuid tenant;
static struct om_buf list, params;
static double airline[AIRLINE_COUNT];

static void
open_all(void)
{
    char url[128], why[512];
    folder = call_folder_make();
    snprintf(url, sizeof(url), "dir:%s/blobs", folder.path);
    cr_assert(om_blob_store_create(url, &pool.blobs, why, sizeof(why)) == OM_OK, "%s",
              why);
    pool.cache = model_cache_create(1 << 20);
    registry_start(&registry);
    call.client = registry_client(&registry);
    tenant = om_id_new(7);
    airline_read(airline);
}

static void
close_all(void)
{
    call_finish(&call);
    om_client_destroy(&call.client);
    registry_stop(&registry);
    om_buf_finish(&list);
    om_buf_finish(&params);
    model_cache_destroy(&pool.cache);
    om_blob_store_destroy(&pool.blobs);
    call_folder_remove(&folder);
}

TestSuite(pool, .init = open_all, .fini = close_all, .timeout = 60);

static struct om_str
numbers(const double *values, size_t count)
{
    om_buf_reset(&list);
    om_pack_array(&list, count);
    for (size_t i = 0; i < count; i++)
        om_pack_f64(&list, values[i]);
    return om_buf_str(&list);
}

static struct predict_request
question(const char *model, const double *values, size_t count, int64_t steps)
{
    struct predict_request request = { 0 };
    REC_SET(&request, predict_request, time_series, numbers(values, count));
    REC_SET(&request, predict_request, forecast_steps, steps);
    if (model)
        REC_SET(&request, predict_request, model, om_str(model));
    return request;
}

static enum om_rc
ask(const struct predict_request *request, struct predict_reply *reply)
{
    return call_op(&call, pool_inference_routes, &pool, OP_predict, tenant, "req_1",
                   request, reply);
}

static int64_t
used(const char *meter)
{
    int64_t sum = 0;
    for (size_t i = 0; i < call.work.usage_count; i++)
        if (strcmp(call.work.usage[i].meter, meter) == 0)
            sum += call.work.usage[i].quantity;
    return sum;
}

static double
error_of(struct om_str predictions)
{
    struct rec_iter iter = rec_iter(predictions);
    double sum = 0, value;
    for (int i = AIRLINE_KNOWN; rec_next_f64(&iter, &value); i++)
        sum += fabs(airline[i] - value);
    return sum;
}

// Put the text of a CSV file into the store and the registry.
static void
upload(const char *csv)
{
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &tenant);
    struct om_blob_info info;
    cr_assert_eq(om_blob_put(pool.blobs, NULL, &ref, om_str(csv), &info), OM_OK);
    om_blob_ref_text(&ref, registry.file_blob);
    strcpy(registry.file_sha256, info.sha256);
    om_id_text(OM_ID_FILE, om_uuid_shard(&tenant), registry.file_id);
}

static void
upload_airline(void)
{
    static char csv[8192];
    size_t used_bytes = (size_t)sprintf(csv, "month,passengers,same\n");
    for (int i = 0; i < AIRLINE_KNOWN; i++)
        used_bytes += (size_t)sprintf(csv + used_bytes, "%d,%g,7\n", i, airline[i]);
    upload(csv);
}

static struct train_request
training(const char *model, const char *target, double epochs)
{
    struct train_request request = { 0 };
    REC_SET(&request, train_request, model, om_str(model));
    REC_SET(&request, train_request, training_file, om_str(registry.file_id));
    REC_SET(&request, train_request, target, om_str(target));
    if (epochs > 0) {
        om_buf_reset(&params);
        om_pack_map(&params, 1);
        om_pack_str(&params, OM_LIT("epochs"));
        om_pack_f64(&params, epochs);
        REC_SET(&request, train_request, params, om_buf_str(&params));
    }
    return request;
}

static enum om_rc
train(const struct train_request *request, struct train_reply *reply)
{
    char task[OM_TYPEID_MAX];
    om_id_text(OM_ID_TASK, om_uuid_shard(&tenant), task);
    return call_op(&call, pool_training_routes, &pool, OP_train, tenant, task, request,
                   reply);
}

static enum om_rc
check(const struct train_request *request, struct train_check_reply *reply)
{
    return call_op(&call, pool_inference_routes, &pool, OP_train_check, tenant, "",
                   request, reply);
}

Test(pool, checks_a_training_before_it_is_submitted)
{
    struct train_check_reply reply;
    upload_airline();
    struct train_request order = training("revenue-lstm", "passengers", 0);
    cr_assert(check(&order, &reply) == OM_OK, "%s", call.job.text);
    cr_expect_eq(reply.rows, AIRLINE_KNOWN);
    cr_expect_eq(reply.period, 12);
    cr_expect_eq(used("compute_ms"), 0);
    cr_expect_eq(registry.model_creates, 0);
}

Test(pool, fits_a_model_in_the_call_and_meters_one_inference)
{
    struct predict_reply reply;
    struct predict_request request = question("revenue-lstm", airline, AIRLINE_KNOWN, 12);
    cr_assert(ask(&request, &reply) == OM_OK, "%s", call.job.text);
    cr_expect(om_str_eq(reply.model_type, OM_LIT("revenue-lstm")));
    cr_expect_eq(reply.confidence, 0.9);
    cr_expect_eq(rec_iter(reply.predictions).left, 12);
    cr_expect_eq(rec_iter(reply.lower).left, 12);
    cr_expect_eq(rec_iter(reply.upper).left, 12);
    cr_expect_eq(used("ml_inference"), 1);
    double lstm = error_of(reply.predictions);
    request = question("seasonal-naive", airline, AIRLINE_KNOWN, 12);
    cr_assert_eq(ask(&request, &reply), OM_OK);
    cr_expect_lt(lstm, 0.8 * error_of(reply.predictions));
    cr_expect_eq(registry.model_gets, 0);
}

Test(pool, says_that_seasonal_naive_answered_for_a_series_too_short_for_the_model)
{
    struct predict_reply reply;
    struct predict_request request = question("revenue-lstm", airline, 5, 2);
    cr_assert(ask(&request, &reply) == OM_OK, "%s", call.job.text);
    cr_expect(om_str_eq(reply.model_type, OM_LIT("seasonal-naive")));
}

Test(pool, refuses_predictions_with_the_field_and_the_fix)
{
    const double hole[] = { 1, 2, NAN, 4 };
    struct predict_request requests[] = {
        question("revenue-lstm", hole, 4, 1),    question("oracle", airline, 20, 1),
        question(NULL, airline, 20, 1),          question("revenue-lstm", airline, 2, 1),
        question("revenue-lstm", airline, 9, 1), question("revenue-lstm", airline, 9, 1),
    };
    REC_SET(&requests[4], predict_request, model_id, OM_LIT("file_123"));
    REC_SET(&requests[5], predict_request, model_id,
            OM_LIT("model_01h455vb4pex5vsknk084sn02q"));
    const struct {
        const char *param, *text;
        enum om_rc rc;
    } expected[] = {
        { "time_series", "has NaN as value 3; remove it or fill it in", OM_EINVAL },
        { "model", "no model named oracle; there are: seasonal-naive, rev",
          OM_ENOTFOUND },
        { "model", "there are: seasonal-naive", OM_ENOTFOUND },
        { "time_series", "has 2 values but at least 3", OM_EINVAL },
        { "model_id", "not the id of a model", OM_EINVAL },
        { "model_id", "model_id: there is no such object", OM_ENOTFOUND },
    };
    for (size_t i = 0; i < OM_COUNT(requests); i++) {
        struct predict_reply reply;
        if (i == 0) // the lists share one buffer
            numbers(hole, 4);
        else
            numbers(airline, i == 3 ? 2 : 20);
        requests[i].time_series = om_buf_str(&list);
        cr_expect_eq(ask(&requests[i], &reply), expected[i].rc, "case %zu", i);
        cr_expect_str_eq(call.job.param, expected[i].param, "case %zu", i);
        cr_expect(strstr(call.job.text, expected[i].text), "case %zu: %s", i,
                  call.job.text);
        cr_expect_eq(used("ml_inference"), 0, "case %zu", i);
    }
}

Test(pool, refuses_a_series_with_something_else_than_numbers)
{
    struct predict_reply reply;
    struct predict_request request = question("revenue-lstm", airline, 20, 1);
    om_buf_reset(&list);
    om_pack_array(&list, 2);
    om_pack_f64(&list, 1);
    om_pack_str(&list, OM_LIT("two"));
    request.time_series = om_buf_str(&list);
    cr_expect_eq(ask(&request, &reply), OM_EINVAL);
    cr_expect_str_eq(call.job.text, "time_series: value 2 is no number");
}

// Asked to answer at once: does it?
static bool
answers_now(const struct predict_request *request)
{
    struct predict_reply reply;
    call.now = true;
    enum om_rc rc = ask(request, &reply);
    call.now = false;
    cr_expect_eq(call.call.now, rc == OM_OK);
    cr_expect_eq(used("ml_inference"), rc == OM_OK);
    return rc == OM_OK;
}

Test(pool, answers_at_once_what_is_quick_and_leaves_the_rest_to_a_slot)
{
    static double many[5000];
    for (size_t i = 0; i < OM_COUNT(many); i++)
        many[i] = (double)(i % 12);
    struct predict_request request = question("seasonal-naive", airline, 24, 6);
    cr_expect(answers_now(&request));
    request = question("seasonal-naive", many, OM_COUNT(many), 6);
    cr_expect_not(answers_now(&request));
    request = question("seasonal-naive", many, 1000, 6);
    cr_expect_not(answers_now(&request), "to find its period takes its time");
    REC_SET(&request, predict_request, period, 12);
    cr_expect(answers_now(&request));
    request = question("revenue-lstm", airline, AIRLINE_KNOWN, 6);
    cr_expect_not(answers_now(&request));
    request = question(NULL, airline, 24, 6);
    char model_id[OM_TYPEID_MAX];
    om_id_text(OM_ID_MODEL, om_uuid_shard(&tenant), model_id);
    REC_SET(&request, predict_request, model_id, om_str(model_id));
    cr_expect_not(answers_now(&request));
    cr_expect_eq(registry.model_gets, 0, "to fetch a model takes its time");
}

Test(pool, drops_a_prediction_nobody_waits_for)
{
    struct predict_reply reply;
    struct predict_request request = question("revenue-lstm", airline, AIRLINE_KNOWN, 12);
    call.deadline_ms = 1;
    cr_expect_eq(ask(&request, &reply), OM_ECANCELLED);
    cr_expect_eq(used("ml_inference"), 0);
}

Test(pool, meters_the_time_that_predictions_take)
{
    struct predict_reply reply;
    struct predict_request request =
        question("seasonal-naive", airline, AIRLINE_KNOWN, 12);
    int64_t metered_ms = 0, start_ms = pool_cpu_ms();
    while (pool_cpu_ms() - start_ms < 50) {
        cr_assert_eq(ask(&request, &reply), OM_OK);
        metered_ms += used("compute_ms");
    }
    cr_expect_gt(metered_ms, 0, "each takes a part of a millisecond");
    cr_expect_leq(metered_ms, 51);
}

Test(pool, trains_registers_and_predicts_with_the_trained_model)
{
    struct train_reply trained;
    upload_airline();
    struct train_request order = training("revenue-lstm", "passengers", 30);
    cr_assert(train(&order, &trained) == OM_OK, "%s", call.job.text);
    cr_expect_eq(registry.model_creates, 1);
    cr_expect_str_eq(registry.task_id, call.id);
    cr_expect_eq(trained.version, 3);
    cr_expect(om_str_eq(trained.model_type, OM_LIT("revenue-lstm")));
    cr_expect_gt(rec_iter(trained.metrics).left, 6);
    cr_expect_eq(used("custom_model"), 1);
    cr_expect_gt(used("compute_ms"), 0);
    cr_expect_float_eq(call.work.progress, 1, 1e-9);
    cr_expect_eq(strncmp(call.work.detail, "{\"phase\":\"backtest\",\"fold\":3,", 29), 0,
                 "%s", call.work.detail);

    char model_id[OM_TYPEID_MAX];
    strcpy(model_id, registry.model_id);
    for (int i = 0; i < 3; i++) {
        struct predict_reply reply;
        struct predict_request request =
            question("revenue-lstm", airline, AIRLINE_KNOWN, 12);
        REC_SET(&request, predict_request, model_id, om_str(model_id));
        cr_assert(ask(&request, &reply) == OM_OK, "%s", call.job.text);
        cr_expect(om_str_eq(reply.model_id, om_str(model_id)));
        cr_expect_eq(used("ml_inference"), 1);
    }
    cr_expect_eq(registry.model_gets, 1, "the model is in the cache");

    struct predict_reply reply;
    struct predict_request request =
        question("seasonal-naive", airline, AIRLINE_KNOWN, 12);
    REC_SET(&request, predict_request, model_id, om_str(model_id));
    cr_expect_eq(ask(&request, &reply), OM_EINVAL);
    cr_expect(strstr(call.job.text, "made by revenue-lstm, not by seasonal-naive"));
    request = question("revenue-lstm", airline, 20, 12);
    REC_SET(&request, predict_request, model_id, om_str(model_id));
    cr_expect_eq(ask(&request, &reply), OM_EINVAL);
    cr_expect(strstr(call.job.text, "needs the last 36"), "%s", call.job.text);
}

Test(pool, a_training_outlasts_an_outage_at_its_end)
{
    struct train_reply trained;
    upload_airline();
    registry.outages = 2;
    struct train_request order = training("seasonal-naive", "passengers", 0);
    cr_assert(train(&order, &trained) == OM_OK, "%s", call.job.text);
    cr_expect_eq(registry.model_creates, 3);
    cr_expect_eq(used("custom_model"), 1);
}

Test(pool, does_not_serve_a_models_changed_bytes)
{
    struct train_reply trained;
    struct predict_reply reply;
    upload_airline();
    struct train_request order = training("seasonal-naive", "passengers", 0);
    cr_assert(train(&order, &trained) == OM_OK, "%s", call.job.text);
    registry.model_sha256[0] = registry.model_sha256[0] == '0' ? '1' : '0';
    struct predict_request request = question(NULL, airline, AIRLINE_KNOWN, 12);
    REC_SET(&request, predict_request, model_id, om_str(registry.model_id));
    cr_expect_eq(ask(&request, &reply), OM_EINTERNAL);
    cr_expect_eq(used("ml_inference"), 0);
}

Test(pool, does_not_read_another_tenants_file)
{
    struct train_reply trained;
    upload_airline();
    struct train_request order = training("seasonal-naive", "passengers", 0);
    tenant = om_id_new(8);
    cr_expect_eq(train(&order, &trained), OM_ENOTFOUND);
    cr_expect_eq(registry.model_creates, 0);
}

Test(pool, training_fails_once_and_names_the_field_the_row_and_the_fix)
{
    static char few[64] = "month,passengers\n1,5\n2,6\n3,7\n";
    static char text[2048], constant[4096];
    size_t at = (size_t)sprintf(text, "passengers\n"),
           same = (size_t)sprintf(constant, "a\n");
    for (int i = 0; i < 100; i++) {
        at += (size_t)sprintf(text + at, i == 41 ? "many\n" : "%d\n", i);
        same += (size_t)sprintf(constant + same, "5\n");
    }
    const struct {
        const char *csv, *model, *target, *param, *text;
        double epochs;
    } cases[] = {
        { few, "revenue-lstm", "sales", "target", "sales", 0 },
        { few, "revenue-lstm", "passengers", "training_file", "3", 0 },
        { text, "revenue-lstm", "passengers", "training_file", "many", 0 },
        { "a\nnan\n", "revenue-lstm", "a", "training_file", "nan", 0 },
        { constant, "revenue-lstm", "a", "target", "every value of the column a is 5",
          0 },
        { few, "oracle", "passengers", "model", "no model named oracle", 0 },
        { few, "revenue-lstm", "passengers", "params", "epochs must be a whole number",
          1e9 },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct train_reply reply;
        upload(cases[i].csv);
        struct train_request order =
            training(cases[i].model, cases[i].target, cases[i].epochs);
        struct train_check_reply checked;
        cr_expect_eq(check(&order, &checked), OM_EINVAL, "case %zu", i);
        cr_expect(strstr(call.job.text, cases[i].text), "case %zu: %s", i, call.job.text);
        cr_expect_eq(train(&order, &reply), OM_EINVAL, "case %zu", i);
        cr_expect_str_eq(call.job.param, cases[i].param, "case %zu", i);
        cr_expect(strstr(call.job.text, cases[i].text), "case %zu: %s", i, call.job.text);
        cr_expect_not(call.job.retryable, "case %zu", i);
        // It made no model: that frees its place, and costs nothing.
        cr_expect_eq(call.work.usage_count, 1, "case %zu", i);
        cr_expect_str_eq(call.work.usage[0].meter, "custom_model", "case %zu", i);
        cr_expect_eq(call.work.usage[0].quantity, 0, "case %zu", i);
    }
    struct train_reply reply;
    struct train_request order = training("revenue-lstm", "passengers", 0);
    order.training_file = OM_LIT("file_01h455vb4pex5vsknk084sn02q");
    cr_expect_eq(train(&order, &reply), OM_ENOTFOUND);
    cr_expect_str_eq(call.job.param, "training_file");
    cr_expect_eq(registry.model_creates, 0);
}

Test(pool, a_cancelled_training_stops_registers_nothing_and_meters_its_time)
{
    struct train_reply reply;
    upload_airline();
    struct train_request order = training("revenue-lstm", "passengers", 5000);
    int64_t start_ms = om_clock_mono_ms();
    call.deadline_ms = start_ms + 300;
    cr_expect_eq(train(&order, &reply), OM_ECANCELLED);
    cr_expect_lt(om_clock_mono_ms() - call.deadline_ms, 1000,
                 "a second after its cancel");
    cr_expect(call.work.progress > 0 && call.work.progress < 1);
    cr_expect_eq(registry.model_creates, 0);
    cr_expect_gt(used("compute_ms"), 0);
    cr_expect_eq(used("custom_model"), 0);
}

Test(pool, every_operation_of_both_queues_has_a_route)
{
    call_expect_routes(pool_inference_routes, QUEUE_INFERENCE);
    call_expect_routes(pool_training_routes, QUEUE_TRAINING);
}

static struct artifact *
small_artifact(void)
{
    struct artifact *made = NULL;
    struct model_job job = { .series = { airline, AIRLINE_KNOWN, 12 }, .horizon = 12 };
    cr_assert_eq(artifact_train(&seasonal_naive_plugin, &job, NULL, &made), OM_OK);
    return made;
}

Test(pool, cache_drops_the_least_recently_used_and_keeps_what_is_in_use)
{
    struct model_cache *cache = model_cache_create(30);
    struct om_uuid ids[4], other = om_id_new(1);
    for (int i = 0; i < 3; i++) {
        ids[i] = om_id_new(0);
        struct artifact *artifact = small_artifact();
        struct cached_model *made =
            model_cache_add(cache, &tenant, &ids[i], &artifact, 10);
        cr_assert_null(artifact);
        model_cache_release(cache, &made);
    }
    struct cached_model *first =
        model_cache_find(cache, &tenant, &ids[0]); // now the newest
    cr_assert(first);
    cr_expect_null(model_cache_find(cache, &other, &ids[0]), "another tenant's");

    ids[3] = om_id_new(0);
    struct artifact *artifact = small_artifact();
    struct cached_model *big = model_cache_add(cache, &tenant, &ids[3], &artifact, 25);
    cr_expect_eq(artifact_period(cached_model_artifact(first)), 12, "still there");
    for (int i = 0; i < 3; i++)
        cr_expect_null(model_cache_find(cache, &tenant, &ids[i]), "model %d", i);

    artifact = small_artifact(); // as a thread that was slower
    struct cached_model *same = model_cache_add(cache, &tenant, &ids[3], &artifact, 25);
    cr_expect_eq(same, big);
    model_cache_release(cache, &same);
    model_cache_release(cache, &big);
    model_cache_release(cache, &first);
    model_cache_destroy(&cache);
}

Test(pool, cache_serves_a_model_larger_than_itself_once)
{
    struct model_cache *cache = model_cache_create(0);
    struct om_uuid id = om_id_new(0);
    struct artifact *artifact = small_artifact();
    struct cached_model *model = model_cache_add(cache, &tenant, &id, &artifact, 10);
    cr_expect_eq(artifact_period(cached_model_artifact(model)), 12);
    cr_expect_null(model_cache_find(cache, &tenant, &id));
    model_cache_release(cache, &model);
    model_cache_destroy(&cache);
}

Test(pool, cache_knows_from_the_last_forecast_whether_the_next_is_quick)
{
    static const struct {
        size_t count, steps;
        bool quick;
    } cases[] = {
        { 100, 10, true },  { 10, 1, true },    { 199, 10, true },  { 100, 19, true },
        { 200, 10, false }, { 100, 20, false }, { 150, 15, false },
    };
    struct model_cache *cache = model_cache_create(100);
    struct artifact *artifact = small_artifact();
    struct om_uuid id = om_id_new(0);
    struct cached_model *model = model_cache_add(cache, &tenant, &id, &artifact, 10);
    cr_expect_not(model_cache_is_quick(cache, model, 1, 1, INT64_MAX), "nobody knows");
    model_cache_measured(cache, model, 100, 10, 50);
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(
            model_cache_is_quick(cache, model, cases[i].count, cases[i].steps, 100),
            cases[i].quick, "%zu", i);
    model_cache_release(cache, &model);
    model_cache_destroy(&cache);
}

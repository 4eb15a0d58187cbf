// A training and a prediction with the real broker, registry, billing and both pools:
// what the main job does, below the HTTP interface.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blob.h"
#include "client.h"
#include "clock.h"
#include "id.h"
#include "program.h"
#include "stage.h"

enum { DEADLINE_MS = 60000 };

static struct setup {
    struct stage stage;
    struct program broker, registry, billing, training, inference;
    struct om_client *client;
    struct om_blob_store *blobs;
    struct om_uuid tenant_id;
    char tenant[OM_TYPEID_MAX], file[OM_TYPEID_MAX], task[OM_TYPEID_MAX];
    double values[144];
} here;

static void
start(struct program *program, const char *name, const char *pool)
{
    const char *arguments[] = { "--pool", pool, NULL };
    program_start(program, name, here.stage.list, pool ? arguments : NULL);
    program_expect_log(program, "serving");
}

static void
read_airline(void)
{
    char line[64];
    FILE *file = fopen(OMNI_SOURCE_DIR "/examples/airline-passengers.csv", "r");
    cr_assert(file && fgets(line, sizeof(line), file));
    for (int i = 0; i < 144; i++)
        cr_assert_eq(fscanf(file, "%*d-%*d,%lf", &here.values[i]), 1);
    fclose(file);
}

static void
begin(void)
{
    char url[64], endpoint[64];
    const char *text;
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    stage_set(&here.stage, "OMNI_BROKER", "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BROKER_WORK", "ipc://%s/work", here.stage.folder);
    stage_set(&here.stage, "OMNI_DATABASE", "sqlite:%s/data", here.stage.folder);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s/blobs", here.stage.folder);
    start(&here.broker, "omni-broker", NULL);
    start(&here.registry, "omni-registry", NULL);
    start(&here.billing, "omni-billing", NULL);
    start(&here.training, "omni-inference", "training");
    start(&here.inference, "omni-inference", "inference");
    here.tenant_id = om_id_new(7);
    om_typeid_encode(OM_ID_TENANT, &here.tenant_id, here.tenant);
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/client", here.stage.folder);
    const struct om_link_conf conf = { .endpoint = endpoint,
                                       .node = "test",
                                       .role = ROLE_INGEST };
    cr_assert_eq(om_client_create(&conf, &here.client, &text), OM_OK, "%s", text);
    char why[256];
    snprintf(url, sizeof(url), "dir:%s/blobs", here.stage.folder);
    cr_assert_eq(om_blob_store_create(url, &here.blobs, why, sizeof(why)), OM_OK);
    read_airline();
}

static void
end(void)
{
    om_blob_store_destroy(&here.blobs);
    om_client_destroy(&here.client);
    program_finish(&here.inference);
    program_finish(&here.training);
    program_finish(&here.billing);
    program_finish(&here.registry);
    program_finish(&here.broker);
    stage_close(&here.stage);
}

TestSuite(training, .init = begin, .fini = end, .timeout = 120);

static enum om_rc
call(enum op op, const void *request, void *reply, struct om_str *text)
{
    return om_client_call(here.client, op, om_str(here.tenant), request, reply,
                          DEADLINE_MS, text);
}

// As the edge does: first the bytes, then the row.
static void
upload(struct om_str csv)
{
    char blob[OM_BLOB_REF_MAX];
    struct om_blob_ref ref = om_blob_ref_new(ROLE_REGISTRY, &here.tenant_id);
    struct om_blob_info info;
    struct file_create_request request = { 0 };
    struct file_create_reply reply;
    struct om_str text = { 0 };
    cr_assert_eq(om_blob_put(here.blobs, NULL, &ref, csv, &info), OM_OK);
    om_blob_ref_text(&ref, blob);
    om_id_text(OM_ID_FILE, 7, here.file);
    REC_SET(&request, file_create_request, id, om_str(here.file));
    REC_SET(&request, file_create_request, purpose, OM_LIT("dataset"));
    REC_SET(&request, file_create_request, filename, OM_LIT("airline.csv"));
    REC_SET(&request, file_create_request, bytes, info.bytes);
    REC_SET(&request, file_create_request, sha256, om_str(info.sha256));
    REC_SET(&request, file_create_request, blob, om_str(blob));
    cr_assert_eq(call(OP_file_create, &request, &reply, &text), OM_OK, "%.*s",
                 (int)text.size, text.data);
}

static void
upload_airline(void)
{
    OM_AUTO(om_buf_finish) struct om_buf csv = { 0 };
    char line[64];
    om_buf_put(&csv, "month,passengers\n", 17);
    for (int i = 0; i < 132; i++) {
        int size = snprintf(line, sizeof(line), "%d,%g\n", i, here.values[i]);
        om_buf_put(&csv, line, (size_t)size);
    }
    upload(om_buf_str(&csv));
}

static void
submit(const char *target, double epochs, double hidden)
{
    OM_AUTO(om_buf_finish) struct om_buf body = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf params = { 0 };
    struct train_request request = { 0 };
    om_pack_map(&params, 2);
    om_pack_str(&params, OM_LIT("epochs"));
    om_pack_f64(&params, epochs);
    om_pack_str(&params, OM_LIT("hidden"));
    om_pack_f64(&params, hidden);
    REC_SET(&request, train_request, model, OM_LIT("revenue-lstm"));
    REC_SET(&request, train_request, training_file, om_str(here.file));
    REC_SET(&request, train_request, target, om_str(target));
    REC_SET(&request, train_request, params, om_buf_str(&params));
    rec_encode(&train_request_rec, &request, &body);
    struct wire_msg msg = { 0 };
    om_id_text(OM_ID_TASK, 7, here.task);
    WIRE_SET(&msg, task, om_str(here.task));
    WIRE_SET(&msg, tenant, om_str(here.tenant));
    WIRE_SET(&msg, queue, om_str(queues[QUEUE_TRAINING].name));
    WIRE_SET(&msg, kind, OM_LIT("train"));
    struct om_answer answer =
        om_client_request(here.client, WIRE_SUBMIT, &msg, om_buf_str(&body), DEADLINE_MS);
    cr_assert_eq(answer.rc, OM_OK, "%s", om_rc_info(answer.rc)->text);
}

// The task as it is now; its strings, and *result, are borrowed until the next question.
static struct wire_task
look(struct om_str *result)
{
    struct wire_msg msg = { 0 };
    struct wire_task task;
    WIRE_SET(&msg, task, om_str(here.task));
    WIRE_SET(&msg, tenant, om_str(here.tenant));
    struct om_answer answer =
        om_client_request(here.client, WIRE_GET, &msg, (struct om_str){ 0 }, DEADLINE_MS);
    cr_assert_eq(answer.rc, OM_OK, "%s", om_rc_info(answer.rc)->text);
    cr_assert_eq(rec_decode(&wire_task_rec, answer.msg->info, &task, NULL), OM_OK);
    *result = answer.payload;
    return task;
}

static struct wire_task
wait_for_end(struct om_str *result)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    for (;;) {
        struct wire_task task = look(result);
        if (state_info(task.state)->ended)
            return task;
        cr_assert_lt(om_clock_mono_ms(), end_ms, "still %s",
                     state_info(task.state)->name);
    }
}

static double
forecast_error(const char *model, struct om_str model_id)
{
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    struct predict_request request = { 0 };
    struct predict_reply reply;
    struct om_str text = { 0 };
    om_pack_array(&list, 132);
    for (int i = 0; i < 132; i++)
        om_pack_f64(&list, here.values[i]);
    REC_SET(&request, predict_request, model, om_str(model));
    REC_SET(&request, predict_request, time_series, om_buf_str(&list));
    REC_SET(&request, predict_request, forecast_steps, 12);
    if (model_id.size)
        REC_SET(&request, predict_request, model_id, model_id);
    cr_assert_eq(call(OP_predict, &request, &reply, &text), OM_OK, "%.*s", (int)text.size,
                 text.data);
    cr_expect(om_str_eq(reply.model_type, om_str(model)));
    struct rec_iter iter = rec_iter(reply.predictions);
    double sum = 0, value;
    for (int i = 132; rec_next_f64(&iter, &value); i++)
        sum += fabs(here.values[i] - value) / 12;
    return sum;
}

// What the tenant has used of a meter, or -1.
static int64_t
usage_of(const char *meter)
{
    struct usage_query_request request = { 0 };
    struct usage_query_reply reply;
    struct om_str text = { 0 }, raw;
    REC_SET(&request, usage_query_request, from, 0);
    REC_SET(&request, usage_query_request, to, om_clock_wall_ms() / 1000 + 60);
    cr_assert_eq(call(OP_usage_query, &request, &reply, &text), OM_OK);
    struct rec_iter iter = rec_iter(reply.data);
    while (rec_next_raw(&iter, &raw)) {
        struct usage_item item;
        char digits[33];
        cr_assert_eq(rec_decode(&usage_item_rec, raw, &item, NULL), OM_OK);
        snprintf(digits, sizeof(digits), "%.*s", (int)item.quantity.size,
                 item.quantity.data);
        if (om_str_eq(item.meter, om_str(meter)))
            return strtoll(digits, NULL, 10);
    }
    return -1;
}

static void
expect_usage(const char *meter, int64_t least)
{
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (usage_of(meter) < least)
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%s: %d", meter, (int)usage_of(meter));
}

Test(training, a_model_is_trained_registered_used_and_metered)
{
    struct om_str result;
    struct train_reply trained;
    upload_airline();
    submit("passengers", 60, 32);
    struct wire_task task = wait_for_end(&result);
    cr_assert_eq(task.state, STATE_SUCCEEDED, "%.*s", (int)task.text.size,
                 task.text.data);
    cr_expect_eq(task.attempts, 1);
    cr_assert_eq(rec_decode(&train_reply_rec, result, &trained, NULL), OM_OK);
    cr_expect_eq(trained.version, 1);
    char model_id[OM_TYPEID_MAX];
    snprintf(model_id, sizeof(model_id), "%.*s", (int)trained.model_id.size,
             trained.model_id.data);

    double naive = forecast_error("seasonal-naive", (struct om_str){ 0 });
    double fitted = forecast_error("revenue-lstm", (struct om_str){ 0 });
    double served = forecast_error("revenue-lstm", om_str(model_id));
    cr_expect(served < 0.8 * naive && fitted < 0.8 * naive, "%g, %g and %g", served,
              fitted, naive);
    expect_usage("ml_inference", 3);
    expect_usage("compute_ms", 1);
    cr_expect_eq(usage_of("ml_inference"), 3);
    cr_expect_eq(usage_of("custom_model"), 1);
}

Test(training, bad_data_fails_the_task_at_the_first_attempt_and_says_why)
{
    struct om_str result;
    upload(OM_LIT("month,passengers\n1,112\n2,many\n3,132\n"));
    submit("passengers", 60, 32);
    struct wire_task task = wait_for_end(&result);
    cr_expect_eq(task.state, STATE_FAILED);
    cr_expect_eq(task.attempts, 1);
    cr_expect(om_str_eq(task.code, OM_LIT("invalid_request")));
    cr_expect(memmem(task.text.data, task.text.size, "many", 4), "%.*s",
              (int)task.text.size, task.text.data);
}

Test(training, a_cancelled_training_stops_within_a_second_and_makes_no_model)
{
    struct om_str result;
    upload_airline();
    submit("passengers", 5000, 128);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (look(&result).progress <= 0)
        cr_assert_lt(om_clock_mono_ms(), end_ms, "it does not train");
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(here.task));
    WIRE_SET(&msg, tenant, om_str(here.tenant));
    int64_t cancelled_ms = om_clock_mono_ms();
    cr_assert_eq(om_client_request(here.client, WIRE_CANCEL, &msg, (struct om_str){ 0 },
                                   DEADLINE_MS)
                     .rc,
                 OM_OK);
    struct wire_task task = wait_for_end(&result);
    cr_expect_eq(task.state, STATE_CANCELLED, "%s", state_info(task.state)->name);
    cr_expect_lt(om_clock_mono_ms() - cancelled_ms, 1000);
    struct model_list_request request = { 0 };
    struct model_list_reply models;
    struct om_str text;
    cr_assert_eq(call(OP_model_list, &request, &models, &text), OM_OK);
    cr_expect_eq(rec_iter(models.data).left, 0);
}

Test(training, a_worker_that_is_told_to_stop_gives_its_training_to_the_next_one)
{
    struct om_str result;
    upload_airline();
    submit("passengers", 600, 64);
    int64_t end_ms = om_clock_mono_ms() + DEADLINE_MS;
    while (look(&result).progress <= 0)
        cr_assert_lt(om_clock_mono_ms(), end_ms, "it does not train");
    program_signal(&here.training, SIGTERM);
    cr_assert_eq(program_wait(&here.training, 5000), 0);
    start(&here.training, "omni-inference", "training");
    struct wire_task task = wait_for_end(&result);
    cr_expect_eq(task.state, STATE_SUCCEEDED, "%.*s", (int)task.text.size,
                 task.text.data);
    expect_usage("custom_model", 1);
    cr_expect_eq(usage_of("custom_model"), 1);
}

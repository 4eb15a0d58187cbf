// Answers in parts, from a worker that the test plays, over the real broker and edge.
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "ops.h"
#include "program.h"
#include "stage.h"
#include "worker.h"

enum { WAIT_S = 20, QUIET_MS = 100, MANY = 1000, SMALL_WINDOW = 4096 };

static struct setup {
    struct stage stage;
    char admin[128];
    int port;
    struct program broker, identity, billing, compliance, ingest;
    struct om_worker *worker;
    pthread_t thread;
} here;

// ---- the worker

static sem_t ended, go_on;
static atomic_int made; // parts of the last answer that could not be ended
static atomic_bool was_cancelled;

static void
put_numbers(struct om_buf *out, size_t count)
{
    om_pack_array(out, count);
    for (size_t i = 0; i < count; i++)
        om_pack_f64(out, (double)i + 0.123456789);
}

static bool
send_part(struct om_job *job, int64_t step, size_t count)
{
    struct predict_part part = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf numbers = { 0 }, body = { 0 };
    put_numbers(&numbers, count);
    REC_SET(&part, predict_part, step, step);
    REC_SET(&part, predict_part, predictions, om_buf_str(&numbers));
    REC_SET(&part, predict_part, lower, om_buf_str(&numbers));
    REC_SET(&part, predict_part, upper, om_buf_str(&numbers));
    rec_encode(&predict_part_rec, &part, &body);
    return om_job_chunk(job, "application/msgpack", om_buf_str(&body));
}

static void
wait_for(sem_t *turn)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += WAIT_S;
    cr_assert_eq(sem_timedwait(turn, &end), 0);
}

// As many large parts as are taken.
static void
flood(struct om_job *job)
{
    int count = 0;
    while (send_part(job, 1, MANY))
        count++;
    om_job_usage(job, "ml_inference", count, NULL);
    atomic_store(&was_cancelled, om_job_cancelled(job));
    atomic_store(&made, count);
    om_job_fail(job, OM_ETIMEOUT, NULL, "nobody takes the parts");
    sem_post(&ended);
}

// "singly": a part a step; "hold": the first part, and the end when the test says so;
// "dies": the first part, and no more; "flood".
static void
handle(void *context, struct om_job *job)
{
    struct predict_request request;
    struct predict_reply reply = { 0 };
    (void)context;
    if (rec_decode(&predict_request_rec, job->payload, &request, NULL) != OM_OK)
        return;
    if (om_str_eq(request.model, OM_LIT("flood"))) {
        flood(job);
        return;
    }
    if (om_str_eq(request.model, OM_LIT("singly"))) {
        for (int64_t step = 1; step <= request.forecast_steps; step++)
            if (!send_part(job, step, 1))
                return;
    } else if (!send_part(job, 1, (size_t)request.forecast_steps)) {
        return;
    }
    if (om_str_eq(request.model, OM_LIT("hold")))
        wait_for(&go_on);
    if (om_str_eq(request.model, OM_LIT("dies"))) {
        om_job_fail(job, OM_EUNAVAILABLE, NULL, "the model fell over");
        return;
    }
    REC_SET(&reply, predict_reply, predictions, OM_LIT("\x90"));
    REC_SET(&reply, predict_reply, lower, OM_LIT("\x90"));
    REC_SET(&reply, predict_reply, upper, OM_LIT("\x90"));
    REC_SET(&reply, predict_reply, confidence, 0.9);
    REC_SET(&reply, predict_reply, model_type, OM_LIT("played"));
    rec_encode(&predict_reply_rec, &reply, &job->result);
    om_job_usage(job, "ml_inference", 1, NULL);
}

static void *
work(void *worker)
{
    om_worker_run(worker);
    return NULL;
}

static void
start_worker(void)
{
    char endpoint[64];
    const char *why;
    static const char *const queue_names[] = { "omni.inference" };
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/work", here.stage.folder);
    struct om_worker_conf conf = {
        .link = { .endpoint = endpoint, .node = "played", .role = ROLE_INFERENCE },
        .queues = queue_names,
        .queue_count = 1,
        .slots = 2,
        .drain_ms = 1,
        .handle = handle,
    };
    sem_init(&ended, 0, 0);
    sem_init(&go_on, 0, 0);
    cr_assert_eq(om_worker_create(&conf, &here.worker, &why), OM_OK, "%s", why);
    pthread_create(&here.thread, NULL, work, here.worker);
}

// ---- a client that reads as slowly as it likes

struct client {
    FILE *file;
    int status;
};

struct event {
    char name[16];
    char data[256]; // its beginning
};

static struct client
ask(const char *method, const char *path, const char *fields, const char *body)
{
    char text[1024], line[512];
    int window = SMALL_WINDOW;
    struct timeval limit = { .tv_sec = WAIT_S };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)here.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct client client = { 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    int size = snprintf(text, sizeof(text),
                        "%s %s HTTP/1.0\r\nAuthorization: Bearer %s\r\n%s"
                        "Content-Length: %zu\r\n\r\n%s",
                        method, path, here.admin, fields, strlen(body), body);
    cr_assert_eq(send(fd, text, (size_t)size, MSG_NOSIGNAL), size);
    client.file = fdopen(fd, "r");
    cr_assert(fgets(line, sizeof(line), client.file));
    cr_assert_eq(sscanf(line, "HTTP/1.1 %d", &client.status), 1, "%s", line);
    while (fgets(line, sizeof(line), client.file) && strcmp(line, "\r\n") != 0)
        ;
    return client;
}

static struct client
predict(const char *model, int steps)
{
    char path[64], body[160];
    snprintf(path, sizeof(path), "/api/v1/predict/%s", model);
    snprintf(body, sizeof(body),
             "{\"time_series\":[1,2,3],\"forecast_steps\":%d,\"stream\":true}", steps);
    return ask("POST", path, "", body);
}

static void
leave(struct client *client)
{
    fclose(client->file);
}

// The next event, or comment, which has no name. False: the stream has ended.
static bool
next(struct client *client, struct event *event)
{
    static char line[256 * 1024];
    *event = (struct event){ 0 };
    while (fgets(line, sizeof(line), client->file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0')
            return true;
        sscanf(line, "event: %15s", event->name);
        if (strncmp(line, "data: ", 6) == 0)
            snprintf(event->data, sizeof(event->data), "%.255s", line + 6);
    }
    return false;
}

static void
expect_event(struct client *client, const char *name, const char *data)
{
    struct event event;
    do
        cr_assert(next(client, &event), "the stream ended before %s", name);
    while (!event.name[0]);
    cr_expect_str_eq(event.name, name, "%s", event.data);
    cr_expect(strstr(event.data, data), "%s", event.data);
}

// ---- setting up

static void
await_ready(void)
{
    int64_t end_ms = om_clock_mono_ms() + WAIT_S * 1000;
    for (int status = 0; status != 200;) {
        struct client client = ask("GET", "/readyz", "", "");
        status = client.status;
        leave(&client);
        cr_assert_lt(om_clock_mono_ms(), end_ms, "never ready");
    }
}

static void
begin(void)
{
    here = (struct setup){ 0 };
    stage_open(&here.stage);
    stage_set(&here.stage, "OMNI_BROKER", "ipc://%s/client", here.stage.folder);
    stage_set(&here.stage, "OMNI_BROKER_WORK", "ipc://%s/work", here.stage.folder);
    stage_set(&here.stage, "OMNI_DATABASE", "sqlite:%s/data", here.stage.folder);
    stage_set(&here.stage, "OMNI_BLOBS", "dir:%s/blobs", here.stage.folder);
    stage_set(&here.stage, "OMNI_ADMIN_KEY_FILE", "%s/admin.key", here.stage.folder);
    stage_set(&here.stage, "OMNI_SECRET_FILE", "%s/secret", here.stage.folder);
    stage_set(&here.stage, "OMNI_KEYS", "%s", "");
    stage_set(&here.stage, "OMNI_LISTEN", "127.0.0.1:0");
    stage_set(&here.stage, "OMNI_STREAM_QUIET_MS", "%d", QUIET_MS);
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    program_expect_log(&here.broker, "serving");
    program_start(&here.identity, "omni-identity", here.stage.list, NULL);
    program_start(&here.billing, "omni-billing", here.stage.list, NULL);
    program_start(&here.compliance, "omni-compliance", here.stage.list, NULL);
    program_start(&here.ingest, "omni-ingest", here.stage.list, NULL);
    program_expect_log(&here.identity, "serving");
    program_expect_log(&here.billing, "serving");
    program_expect_log(&here.compliance, "serving");
    program_expect_log(&here.ingest, "listening");
    const char *address = strstr(here.ingest.log, "127.0.0.1:");
    cr_assert(address);
    here.port = atoi(address + strlen("127.0.0.1:"));
    stage_read(&here.stage, "admin.key", here.admin, sizeof(here.admin));
    start_worker();
    await_ready();
}

static void
end(void)
{
    om_worker_stop(here.worker);
    pthread_join(here.thread, NULL);
    om_worker_destroy(&here.worker);
    program_signal(&here.ingest, SIGTERM);
    cr_expect_eq(program_wait(&here.ingest, WAIT_S * 1000), 0, "%s", here.ingest.log);
    cr_expect_null(strstr(here.ingest.log, "Sanitizer"), "%s", here.ingest.log);
    program_finish(&here.compliance);
    program_finish(&here.billing);
    program_finish(&here.identity);
    program_finish(&here.broker);
    stage_close(&here.stage);
}

TestSuite(parts, .init = begin, .fini = end, .timeout = 120);

// More of them than the window holds, so that the client takes more again and again.
Test(parts, come_all_in_order_and_end_with_what_they_cost)
{
    struct client client = predict("singly", MANY);
    cr_assert_eq(client.status, 200);
    for (int step = 1; step <= MANY; step++) {
        char data[32];
        snprintf(data, sizeof(data), "{\"step\":%d,", step);
        expect_event(&client, "part", data);
    }
    expect_event(&client, "end", "\"steps\":1000");
    struct event none;
    cr_expect_not(next(&client, &none));
    leave(&client);
}

Test(parts, end_in_an_error_when_the_worker_fails_and_are_none_before_it_does)
{
    struct event none;
    struct client client = predict("dies", 2);
    cr_assert_eq(client.status, 200);
    expect_event(&client, "part", "{\"step\":1,");
    expect_event(&client, "error", "the model fell over");
    cr_expect_not(next(&client, &none));
    leave(&client);
    client = predict("dies", MANY + 1);
    cr_expect_eq(client.status, 400);
    leave(&client);
}

// Does the answer to `path` hold all of `texts`?
static bool
is_told(const char *path, const char *const texts[], char *line, size_t size)
{
    struct client client = ask("GET", path, "", "");
    bool all = client.status == 200 && fgets(line, (int)size, client.file);
    leave(&client);
    for (size_t i = 0; all && texts[i]; i++)
        all = strstr(line, texts[i]);
    return all;
}

Test(parts, that_fail_after_the_first_are_kept_with_what_was_asked)
{
    static const char *const listed[] = { "\"status\":503", "predict/{model}", NULL };
    static const char *const shown[] = { "time_series", "the model fell over",
                                         "text/event-stream", NULL };
    char line[8192], path[128];
    struct event none;
    struct client client = predict("dies", 2);
    while (next(&client, &none))
        ;
    leave(&client);
    int64_t until_ms = om_clock_mono_ms() + WAIT_S * 1000;
    while (!is_told("/developer/requests", listed, line, sizeof(line))) {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%s", line);
        poll(NULL, 0, 10);
    }
    const char *id = strstr(line, "req_");
    snprintf(path, sizeof(path), "/developer/requests/%.*s",
             (int)strspn(id, "req_0123456789abcdefghijklmnopqrstuvwxyz"), id);
    cr_expect(is_told(path, shown, line, sizeof(line)), "%s", line);
}

static int64_t
memory_of(const struct program *program)
{
    char path[64];
    long total = 0, resident = 0;
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)program->pid);
    FILE *file = fopen(path, "r");
    cr_assert(file);
    cr_assert_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

// The worker makes no more than the buffers on the way hold, and gives up; meanwhile
// others are served.
Test(parts, that_nobody_reads_are_bounded_and_hold_nobody_up)
{
    struct client others = predict("singly", 2), stuck;
    leave(&others);
    int64_t edge = memory_of(&here.ingest), broker = memory_of(&here.broker);
    stuck = predict("flood", MANY);
    cr_assert_eq(stuck.status, 200);
    others = predict("singly", 100);
    for (int step = 1; step <= 100; step++)
        expect_event(&others, "part", "");
    expect_event(&others, "end", "");
    leave(&others);
    wait_for(&ended);
    cr_expect_lt(atomic_load(&made), 300, "%d parts of 27 KB", atomic_load(&made));
    cr_expect_lt(memory_of(&here.ingest) - edge, 16 << 20);
    cr_expect_lt(memory_of(&here.broker) - broker, 16 << 20);
    struct event event;
    while (next(&stuck, &event))
        cr_expect_str_neq(event.name, "end");
    leave(&stuck);
}

static long long
metered(void)
{
    char line[4096] = "";
    struct client client = ask("GET", "/api/v1/usage?group_by=meter", "", "");
    cr_assert_eq(client.status, 200);
    cr_assert(fgets(line, sizeof(line), client.file));
    leave(&client);
    const char *at = strstr(line, "\"ml_inference\"");
    at = at ? strstr(at, "\"quantity\":\"") : NULL;
    return at ? atoll(at + strlen("\"quantity\":\"")) : 0;
}

Test(parts, of_a_client_that_leaves_are_ended_and_metered)
{
    struct client client = predict("flood", MANY);
    cr_assert_eq(client.status, 200);
    expect_event(&client, "part", "{\"step\":1,");
    leave(&client);
    wait_for(&ended);
    cr_expect(atomic_load(&was_cancelled));
    int64_t end_ms = om_clock_mono_ms() + WAIT_S * 1000;
    while (metered() != atomic_load(&made))
        cr_assert_lt(om_clock_mono_ms(), end_ms, "%lld metered of %d", metered(),
                     atomic_load(&made));
}

Test(parts, of_a_broker_that_is_gone_end_in_an_error)
{
    struct client client = predict("hold", 1);
    expect_event(&client, "part", "");
    program_finish(&here.broker);
    program_start(&here.broker, "omni-broker", here.stage.list, NULL);
    program_expect_log(&here.broker, "serving");
    expect_event(&client, "error", "\"code\":\"unavailable\"");
    sem_post(&go_on);
    leave(&client);
}

Test(parts, are_refused_to_who_wants_them_kept_and_are_not_cached)
{
    const char *body = "{\"time_series\":[1,2,3],\"forecast_steps\":1,\"stream\":true}";
    struct client client =
        ask("POST", "/api/v1/predict/singly", "Idempotency-Key: a\r\n", body);
    cr_expect_eq(client.status, 400);
    leave(&client);
    for (int i = 1; i <= 2; i++) { // both are made
        client = ask("POST", "/api/v1/predict/singly", "Accept: text/event-stream\r\n",
                     "{\"time_series\":[1,2,3],\"forecast_steps\":1}");
        expect_event(&client, "part", "");
        expect_event(&client, "end", "\"ml_inference\":1");
        leave(&client);
        int64_t end_ms = om_clock_mono_ms() + WAIT_S * 1000;
        while (metered() != i)
            cr_assert_lt(om_clock_mono_ms(), end_ms, "%lld metered", metered());
    }
}

static void
expect_comments(struct client *client)
{
    struct event event;
    for (int comments = 0; comments < 3;) {
        cr_assert(next(client, &event));
        comments += !event.name[0];
    }
}

Test(parts, and_events_of_tasks_say_that_they_go_on_when_nothing_comes)
{
    char line[4096] = "", id[64] = "", path[128];
    struct client client = predict("hold", 1);
    expect_event(&client, "part", "");
    expect_comments(&client);
    sem_post(&go_on);
    expect_event(&client, "end", "");
    leave(&client);
    client = ask("POST", "/api/v1/tasks", "", "{\"queue\":\"own\",\"kind\":\"k\"}");
    cr_assert_eq(client.status, 202);
    cr_assert(fgets(line, sizeof(line), client.file));
    leave(&client);
    const char *at = strstr(line, ":\"task_");
    cr_assert(at);
    at += 2;
    snprintf(id, sizeof(id), "%.*s", (int)strcspn(at, "\""), at);
    snprintf(path, sizeof(path), "/api/v1/tasks/%s/events", id);
    client = ask("GET", path, "Accept: text/event-stream\r\n", "");
    cr_assert_eq(client.status, 200);
    expect_comments(&client);
    leave(&client);
}

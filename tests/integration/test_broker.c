// The real omni-broker over its sockets: what is acknowledged survives it, who is trusted
// with what, and how it refuses to start.
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "program.h"
#include "raw_peer.h"

#define QUEUE OM_LIT("omni.training")

static struct setup {
    char folder[32], client[64], work[64], settings[4][160];
    const char *list[5];
    struct program broker;
} here;

static void
begin(void)
{
    here = (struct setup){ .folder = "/tmp/omni-broker-XXXXXX" };
    cr_assert(mkdtemp(here.folder));
    snprintf(here.client, sizeof(here.client), "ipc://%s/client", here.folder);
    snprintf(here.work, sizeof(here.work), "ipc://%s/work", here.folder);
    snprintf(here.settings[0], sizeof(here.settings[0]), "OMNI_BROKER=%s", here.client);
    snprintf(here.settings[1], sizeof(here.settings[0]), "OMNI_BROKER_WORK=%s",
             here.work);
    snprintf(here.settings[2], sizeof(here.settings[0]), "OMNI_DATABASE=sqlite:%s/data",
             here.folder);
    snprintf(here.settings[3], sizeof(here.settings[0]), "OMNI_KEYS=");
    for (size_t i = 0; i < OM_COUNT(here.settings); i++)
        here.list[i] = here.settings[i];
}

static int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static void
end(void)
{
    program_finish(&here.broker);
    nftw(here.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

TestSuite(broker, .init = begin, .fini = end, .timeout = 60);

static void
start(void)
{
    program_start(&here.broker, "omni-broker", here.list, NULL);
    program_expect_log(&here.broker, "serving");
}

// ---- jobs

struct job_id {
    char tenant[OM_TYPEID_MAX], task[OM_TYPEID_MAX];
};

static struct job_id
new_job(void)
{
    struct job_id id;
    om_id_text(OM_ID_TENANT, 7, id.tenant);
    om_id_text(OM_ID_TASK, 7, id.task);
    return id;
}

static void
submit(struct raw_peer *client, const struct job_id *id, struct om_str payload)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(id->task));
    WIRE_SET(&msg, tenant, om_str(id->tenant));
    WIRE_SET(&msg, queue, QUEUE);
    WIRE_SET(&msg, kind, OM_LIT("train"));
    raw_send(client, WIRE_SUBMIT, &msg, payload);
    raw_expect(client, WIRE_SUBMITTED);
    cr_assert(om_str_eq(client->msg.task, om_str(id->task)));
}

// The task's record.
static struct wire_task
get(struct raw_peer *client, const struct job_id *id)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(id->task));
    WIRE_SET(&msg, tenant, om_str(id->tenant));
    raw_send(client, WIRE_GET, &msg, (struct om_str){ 0 });
    raw_expect(client, WIRE_TASK);
    struct wire_task task;
    cr_assert_eq(rec_decode(&wire_task_rec, client->msg.info, &task, NULL), OM_OK);
    return task;
}

static void
credit(struct raw_peer *worker, int64_t limit)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, queue, QUEUE);
    WIRE_SET(&msg, limit, limit);
    raw_send(worker, WIRE_CREDIT, &msg, (struct om_str){ 0 });
}

static void
done(struct raw_peer *worker, const char token[WIRE_TOKEN_BYTES], struct om_str result)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    WIRE_SET(&msg, ctype, OM_LIT("text/plain"));
    raw_send(worker, WIRE_DONE, &msg, result);
    raw_expect(worker, WIRE_DONE_ACK);
}

Test(broker, a_submitted_job_survives_kill_9)
{
    struct raw_peer client;
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    struct job_id id = new_job();
    submit(&client, &id, OM_LIT("payload"));
    program_signal(&here.broker, SIGKILL);
    cr_assert_eq(program_wait(&here.broker, 5000), 256 + SIGKILL);

    start();
    program_expect_log(&here.broker, "\"open_tasks\":1");
    raw_hello(&client, "ingest");
    struct wire_task task = get(&client, &id);
    cr_expect(!state_info(task.state)->ended);
    cr_expect(om_str_eq(task.queue, QUEUE));

    // Submitted again it is the same job.
    submit(&client, &id, OM_LIT("payload"));
    cr_expect(client.msg.duplicate);
    raw_close(&client);
}

Test(broker, a_worker_gets_the_job_after_a_crash_and_its_result_is_read)
{
    static char bytes[300 * 1000];
    memset(bytes, 'b', sizeof(bytes));
    struct om_str large = { bytes, sizeof(bytes) };
    struct raw_peer client, worker;
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    struct job_id id = new_job();
    submit(&client, &id, large);
    program_signal(&here.broker, SIGKILL);
    program_wait(&here.broker, 5000);
    start();

    raw_open(&worker, here.work, NULL, NULL);
    raw_hello(&worker, "inference");
    credit(&worker, 1);
    raw_expect(&worker, WIRE_JOB);
    cr_expect(om_str_eq(worker.msg.task, om_str(id.task)));
    cr_expect(om_str_eq(worker.body, large), "%zu bytes", worker.body.size);
    char token[WIRE_TOKEN_BYTES];
    memcpy(token, worker.msg.token.data, sizeof(token));
    done(&worker, token, large);

    for (int restart = 0; restart < 2; restart++) {
        raw_hello(&client, "ingest");
        struct wire_task task = get(&client, &id);
        cr_expect_eq(task.state, STATE_SUCCEEDED);
        cr_expect_eq(task.attempts, 1);
        cr_expect(om_str_eq(client.msg.ctype, OM_LIT("text/plain")));
        cr_expect(om_str_eq(client.body, large));
        program_signal(&here.broker, SIGKILL);
        program_wait(&here.broker, 5000);
        start();
    }
    raw_close(&client);
    raw_close(&worker);
}

Test(broker, a_lease_survives_kill_9_of_the_broker)
{
    struct raw_peer client, worker;
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_open(&worker, here.work, NULL, NULL);
    raw_hello(&client, "ingest");
    raw_hello(&worker, "inference");
    credit(&worker, 1);
    struct job_id id = new_job();
    submit(&client, &id, OM_LIT("payload"));
    raw_expect(&worker, WIRE_JOB);
    char token[WIRE_TOKEN_BYTES];
    memcpy(token, worker.msg.token.data, sizeof(token));
    program_signal(&here.broker, SIGKILL);
    program_wait(&here.broker, 5000);
    start();
    raw_hello(&worker, "inference");
    done(&worker, token, OM_LIT("result"));
    raw_hello(&client, "ingest");
    struct wire_task task = get(&client, &id);
    cr_expect_eq(task.state, STATE_SUCCEEDED);
    cr_expect_eq(task.attempts, 1, "it was not started twice");
    raw_close(&client);
    raw_close(&worker);
}

// ---- peers that misbehave

static char garbage[2 << 20];

static const struct shape {
    const char *name;
    struct om_str frames[4];
    size_t count;
} shapes[] = {
    { "an empty frame", { { "", 0 } }, 1 },
    { "one byte", { OM_LIT("\xc1") }, 1 },
    { "no msgpack", { OM_LIT("GET / HTTP/1.1\r\n\r\n") }, 1 },
    { "a map of four thousand million pairs", { OM_LIT("\xdf\xff\xff\xff\xff") }, 1 },
    { "a string longer than the frame", { OM_LIT("\x81\xdb\xff\xff\xff\xff") }, 1 },
    { "a nest without end", { { garbage, 16000 } }, 1 },
    { "a header too large", { { garbage, 20000 } }, 1 },
    { "three frames", { OM_LIT("\x80"), OM_LIT("b"), OM_LIT("c") }, 3 },
    { "four frames", { OM_LIT("\x80"), { "", 0 }, { "", 0 }, { "", 0 } }, 4 },
    { "a payload too large", { OM_LIT("\x80"), { garbage, sizeof(garbage) } }, 2 },
};

Test(broker, takes_as_many_jobs_of_a_tenant_as_its_settings_say)
{
    struct raw_peer client;
    snprintf(here.settings[3], sizeof(here.settings[3]), "OMNI_TENANT_JOBS_MAX=1");
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    struct job_id first = new_job(), second = new_job();
    submit(&client, &first, OM_LIT("payload"));
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(second.task));
    WIRE_SET(&msg, tenant, om_str(first.tenant));
    WIRE_SET(&msg, queue, QUEUE);
    WIRE_SET(&msg, kind, OM_LIT("train"));
    raw_send(&client, WIRE_SUBMIT, &msg, OM_LIT("payload"));
    raw_expect(&client, WIRE_REJECT);
    cr_expect(om_str_eq(client.msg.code, OM_LIT("queue_full")), "%.*s",
              (int)client.msg.code.size, client.msg.code.data);
    raw_close(&client);
}

Test(broker, malformed_messages_do_no_harm)
{
    memset(garbage, 0x91, sizeof(garbage));
    struct raw_peer client, bad;
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    for (size_t i = 0; i < OM_COUNT(shapes); i++) {
        raw_open(&bad, here.client, NULL, NULL);
        raw_send_frames(&bad, shapes[i].frames, shapes[i].count);
        raw_hello(&bad, "ingest"); // the same connection, or a new one, is served
        raw_close(&bad);
        cr_expect_eq(program_wait(&here.broker, 0), -1, "%s ended it", shapes[i].name);
    }
    struct wire_msg ping = { 0 };
    raw_hello(&client, "ingest");
    raw_send(&client, WIRE_PING, &ping, (struct om_str){ 0 });
    raw_expect(&client, WIRE_PONG);
    program_expect_log(&here.broker, "wrong shape");
    raw_close(&client);
}

Test(broker, a_peer_that_never_reads_does_not_hold_up_others)
{
    enum { PINGS = 60 * 1000 };
    struct raw_peer client, deaf;
    start();
    raw_open(&deaf, here.client, NULL, NULL);
    int one = 1, few = 4096;
    zmq_setsockopt(deaf.socket, ZMQ_RCVHWM, &one, sizeof(one));
    zmq_setsockopt(deaf.socket, ZMQ_RCVBUF, &few, sizeof(few));
    zmq_disconnect(deaf.socket, here.client); // the limits hold for new connections
    zmq_connect(deaf.socket, here.client);
    raw_hello(&deaf, "scheduler");
    for (int i = 0; i < PINGS; i++) {
        struct wire_msg ping = { 0 };
        raw_send(&deaf, WIRE_PING, &ping, (struct om_str){ 0 });
    }
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    for (int i = 0; i < 100; i++) {
        struct wire_msg ping = { 0 };
        int64_t sent_ms = om_clock_mono_ms();
        raw_send(&client, WIRE_PING, &ping, (struct om_str){ 0 });
        raw_expect(&client, WIRE_PONG);
        cr_assert_lt(om_clock_mono_ms() - sent_ms, 2000);
    }
    struct job_id id = new_job();
    submit(&client, &id, OM_LIT("payload"));
    raw_close(&client);
    raw_close(&deaf);
}

// ---- trust

// The code of the ERROR that answers HELLO, or "" for WELCOME, or NULL for silence.
static const char *
hello_answer(const char *endpoint, const char *keys, const char *key, const char *role,
             int64_t wait_ms)
{
    static char code[64];
    const char *answer = NULL;
    struct raw_peer peer;
    raw_open(&peer, endpoint, keys, key);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, role, om_str(role));
    WIRE_SET(&msg, node, OM_LIT("test"));
    WIRE_SET(&msg, incarnation, 1);
    raw_send(&peer, WIRE_HELLO, &msg, (struct om_str){ 0 });
    if (raw_recv(&peer, wait_ms)) {
        snprintf(code, sizeof(code), "%.*s", (int)peer.msg.code.size,
                 peer.msg.code.data ? peer.msg.code.data : "");
        answer = code;
    }
    raw_close(&peer);
    return answer;
}

// A port nobody listens on now.
static int
free_port(void)
{
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_ROUTER);
    char endpoint[64];
    size_t size = sizeof(endpoint);
    cr_assert_eq(zmq_bind(socket, "tcp://127.0.0.1:*"), 0);
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
    zmq_close(socket);
    zmq_ctx_term(context);
    return atoi(strrchr(endpoint, ':') + 1);
}

static void
make_keys(char keys[64])
{
    struct program maker;
    snprintf(keys, 64, "%s/keys", here.folder);
    const char *arguments[] = { "--make-keys", keys, NULL };
    program_start(&maker, "omni-broker", here.list, arguments);
    cr_assert_eq(program_wait(&maker, 10000), 0, "%s", maker.log);
}

Test(broker, over_tcp_a_role_is_what_its_key_says)
{
    char keys[64], tcp[64];
    make_keys(keys);
    snprintf(tcp, sizeof(tcp), "tcp://127.0.0.1:%d", free_port());
    snprintf(here.settings[0], sizeof(here.settings[0]), "OMNI_BROKER=%s,%s", here.client,
             tcp);
    snprintf(here.settings[3], sizeof(here.settings[0]), "OMNI_KEYS=%s", keys);
    start();
    static const struct {
        const char *key, *role, *answer;
    } rows[] = {
        { "ingest", "ingest", "" },
        { "billing", "billing", "" },
        { "billing", "ingest", "permission_denied" },
        { "", "ingest", "permission_denied" },
        { "", "tenant", "invalid_api_key" }, // without a credential
        { "ingest", "broker", "permission_denied" },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        const char *answer = hello_answer(tcp, keys, rows[i].key, rows[i].role, 10000);
        cr_assert(answer, "row %zu", i);
        cr_expect_str_eq(answer, rows[i].answer, "row %zu: %s", i, answer);
    }
    cr_expect_null(hello_answer(tcp, NULL, NULL, "ingest", 500), "no key, no answer");
    const char *local = hello_answer(here.client, NULL, NULL, "ingest", 10000);
    cr_expect(local && !*local, "ipc is served beside it");
}

Test(broker, keys_are_private_and_stay_when_made_again)
{
    char keys[64], path[96], first[41] = "", second[41] = "";
    make_keys(keys);
    snprintf(path, sizeof(path), "%s/broker.key", keys);
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0600);
    FILE *file = fopen(path, "r");
    cr_expect_eq(fread(first, 1, 40, file), 40);
    fclose(file);
    make_keys(keys);
    file = fopen(path, "r");
    cr_expect_eq(fread(second, 1, 40, file), 40);
    fclose(file);
    cr_expect_str_eq(first, second);
}

// ---- starting and stopping

Test(broker, it_stops_within_two_seconds_of_sigterm_and_loses_nothing)
{
    struct raw_peer client;
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    struct job_id id = new_job();
    submit(&client, &id, OM_LIT("payload"));
    program_signal(&here.broker, SIGTERM);
    cr_assert_eq(program_wait(&here.broker, 2000), 0, "%s", here.broker.log);
    start();
    raw_hello(&client, "ingest");
    get(&client, &id);
    raw_close(&client);
}

static void
expect_refusal(const char *setting, int status, const char *text)
{
    const char *list[OM_COUNT(here.list) + 1];
    size_t count = 0;
    for (; here.list[count]; count++)
        list[count] = here.list[count];
    list[count] = setting;
    list[count + 1] = NULL;
    struct program broker;
    program_start(&broker, "omni-broker", list, NULL);
    int ended = program_wait(&broker, 10000);
    cr_expect_eq(ended, status, "%s: %d %s", setting, ended, broker.log);
    cr_expect(strstr(broker.log, text), "%s: %s", setting, broker.log);
    program_finish(&broker);
}

Test(broker, what_it_cannot_serve_it_refuses_with_the_reason)
{
    char open_folder[80], long_path[256], no_keys[80];
    snprintf(open_folder, sizeof(open_folder), "%s/open", here.folder);
    cr_assert_eq(mkdir(open_folder, 0755), 0);
    cr_assert_eq(chmod(open_folder, 0755), 0);
    snprintf(open_folder, sizeof(open_folder), "OMNI_BROKER=ipc://%s/open/x",
             here.folder);
    snprintf(long_path, sizeof(long_path), "OMNI_BROKER=ipc://%s/%0120d", here.folder, 1);
    snprintf(no_keys, sizeof(no_keys), "OMNI_KEYS=%s", here.folder);
    static const char tcp[] = "OMNI_BROKER=tcp://127.0.0.1:1234";

    expect_refusal(tcp, EX_CONFIG, "--make-keys");
    expect_refusal(long_path, EX_CONFIG, "a socket's may have 107");
    expect_refusal(open_folder, EX_CONFIG, "chmod 700");
    expect_refusal("OMNI_BROKER=ipc:///nowhere/at/all", EX_CONFIG, "No such file");
    expect_refusal("OMNI_BROKER=ipc://@abstract", EX_CONFIG, "a folder of its own");
    expect_refusal("OMNI_BROKER=inproc://x", EX_CONFIG, "ipc:// or tcp://");
    expect_refusal("OMNI_BROKER=ipc://", EX_CONFIG, "a folder of its own");
    expect_refusal("OMNI_DATABASE=postgres://x", EX_CONFIG, "sqlite:DIR");
    expect_refusal("OMNI_DATABASE=/nowhere/at/all", EX_CANTCREAT, "No such file");
    expect_refusal("OMNI_RETENTION_HOURS=0", EX_CONFIG, "whole number");
    expect_refusal("OMNI_JOBS_MAX=0", EX_CONFIG, "whole number");
    expect_refusal("OMNI_TENANT_JOBS_MAX=many", EX_CONFIG, "whole number");
    expect_refusal("OMNI_PENDING_BYTES_MAX=1000", EX_CONFIG, "1048576");
    snprintf(here.settings[0], sizeof(here.settings[0]), "%s", tcp);
    expect_refusal(no_keys, EX_CONFIG, "broker.key");
}

Test(broker, a_commit_whose_outcome_is_unknown_ends_it_and_the_next_start_recovers)
{
    static char bytes[512 * 1024];
    struct raw_peer client;
    signal(SIGXFSZ, SIG_IGN); // inherited: a write beyond the limit fails instead
    start();
    raw_open(&client, here.client, NULL, NULL);
    raw_hello(&client, "ingest");
    struct job_id first = new_job(), second = new_job();
    submit(&client, &first, OM_LIT("payload"));

    struct rlimit limit = { 256 * 1024, 256 * 1024 };
    cr_assert_eq(prlimit(here.broker.pid, RLIMIT_FSIZE, &limit, NULL), 0);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, task, om_str(second.task));
    WIRE_SET(&msg, tenant, om_str(first.tenant));
    WIRE_SET(&msg, queue, QUEUE);
    WIRE_SET(&msg, kind, OM_LIT("train"));
    raw_send(&client, WIRE_SUBMIT, &msg, (struct om_str){ bytes, sizeof(bytes) });
    cr_assert_eq(program_wait(&here.broker, 10000), EX_IOERR, "%s", here.broker.log);
    while (raw_recv(&client, 0))
        cr_expect_neq(client.msg.type, WIRE_SUBMITTED, "it was not stored");

    start();
    program_expect_log(&here.broker, "\"open_tasks\":1");
    raw_hello(&client, "ingest");
    get(&client, &first);
    submit(&client, &second, (struct om_str){ bytes, sizeof(bytes) });
    raw_close(&client);
}

Test(broker, a_second_broker_on_the_same_data_is_refused_and_the_first_goes_on)
{
    struct raw_peer client;
    start();
    raw_open(&client, here.client, NULL, NULL);
    expect_refusal("OMNI_NODE=second", EX_CONFIG, "in use by another process");
    raw_hello(&client, "ingest");
    raw_close(&client);
}

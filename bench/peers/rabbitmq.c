// rabbitmq.c - the jobs of omni-bench over a RabbitMQ quorum queue with publisher
// confirms.
//
// A consumer's acknowledgement has no answer: a job has ended when it was sent.
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "peer.h"

enum { CHANNEL = 1, OPEN_MS = 60000, FRAME_BYTES = 131072, SETTINGS_MAX = 20 };

static const char server[] =
    "exec \"$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server)\"";

static pid_t name_server;

// All that it reads and writes is in the run's folder, and its name, its ports and
// Erlang's name server are its own: a RabbitMQ of this machine is left alone. Its shell
// script becomes the server.
static pid_t
start(struct peer_run *run, const char *const *environment)
{
    static const char *const files[][2] = {
        { "HOME", "" },
        { "RABBITMQ_MNESIA_BASE", "/data" },
        { "RABBITMQ_LOG_BASE", "/log" },
        { "RABBITMQ_PID_FILE", "/pid" },
        { "RABBITMQ_ENABLED_PLUGINS_FILE", "/plugins" },
        { "RABBITMQ_CONFIG_FILE", "/none" },
    };
    static char values[OM_COUNT(files) + 3][400];
    const char *all[SETTINGS_MAX] = { "RABBITMQ_CONF_ENV_FILE=/dev/null",
                                      "RABBITMQ_NODENAME=bench@localhost",
                                      "RUNNING_UNDER_SYSTEMD=1",
                                      "ERL_CRASH_DUMP=/dev/null" };
    size_t count = 4, made = 0;
    for (; made < OM_COUNT(files); made++)
        snprintf(values[made], sizeof(values[made]), "%s=%s%s", files[made][0],
                 run->folder, files[made][1]);
    char port[16];
    snprintf(port, sizeof(port), "%d", peer_free_port());
    name_server = child_exec((const char *const[]){ "/usr/bin/epmd", "-address",
                                                    "127.0.0.1", "-port", port, NULL },
                             (const char *const[]){ NULL });
    snprintf(values[made++], sizeof(values[0]), "ERL_EPMD_PORT=%s", port);
    snprintf(values[made++], sizeof(values[0]), "RABBITMQ_DIST_PORT=%d",
             peer_free_port());
    snprintf(values[made++], sizeof(values[0]), "RABBITMQ_NODE_PORT=%d", run->port);
    for (size_t i = 0; i < made; i++)
        all[count++] = values[i];
    while (*environment && count < SETTINGS_MAX - 1)
        all[count++] = *environment++;
    return child_exec((const char *const[]){ "/bin/sh", "-c", server, NULL }, all);
}

static void
check(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        bench_die("rabbitmq: cannot %s: %s", what,
                  reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                      ? amqp_error_string2(reply.library_error)
                      : "the server refuses");
}

static amqp_connection_state_t
log_in(const struct peer_run *run)
{
    int64_t end_ms = om_clock_mono_ms() + OPEN_MS;
    for (;;) {
        amqp_connection_state_t self = amqp_new_connection();
        amqp_socket_t *socket = self ? amqp_tcp_socket_new(self) : NULL;
        if (!socket)
            bench_die("no memory");
        if (amqp_socket_open(socket, "127.0.0.1", run->port) == AMQP_STATUS_OK) {
            check(amqp_login(self, "/", 0, FRAME_BYTES, 0, AMQP_SASL_METHOD_PLAIN,
                             "guest", "guest"),
                  "log in");
            amqp_channel_open(self, CHANNEL);
            check(amqp_get_rpc_reply(self), "open a channel");
            return self;
        }
        amqp_destroy_connection(self);
        if (om_clock_mono_ms() > end_ms)
            bench_die("rabbitmq does not listen");
        usleep(50000);
    }
}

static void
open_client(struct peer_run *run)
{
    amqp_connection_state_t self = log_in(run);
    amqp_table_entry_t quorum = { .key = amqp_cstring_bytes("x-queue-type"),
                                  .value = { .kind = AMQP_FIELD_KIND_UTF8,
                                             .value.bytes =
                                                 amqp_cstring_bytes("quorum") } };
    amqp_table_t arguments = { 1, &quorum };
    amqp_queue_declare(self, CHANNEL, amqp_cstring_bytes("jobs"), 0, 1, 0, 0, arguments);
    check(amqp_get_rpc_reply(self), "make the queue");
    amqp_confirm_select(self, CHANNEL);
    check(amqp_get_rpc_reply(self), "ask for confirms");
    run->client = self;
}

static void
close_client(struct peer_run *run)
{
    amqp_destroy_connection(run->client);
    child_stop(name_server);
}

static void
submit(struct peer_run *run)
{
    amqp_basic_properties_t properties = { ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                           .delivery_mode = 2 };
    amqp_bytes_t body = { (size_t)run->payload_bytes, run->payload };
    if (amqp_basic_publish(run->client, CHANNEL, amqp_empty_bytes,
                           amqp_cstring_bytes("jobs"), 0, 0, &properties,
                           body) != AMQP_STATUS_OK)
        bench_die("rabbitmq: cannot publish");
}

// A confirm is of one job, or of all up to its number, which counts from 1.
static int64_t
confirmed(struct peer_run *run)
{
    static bool *is_confirmed;
    static uint64_t all; // are confirmed up to here
    int64_t count = 0;
    struct timeval now = { 0, 0 };
    amqp_frame_t frame;
    if (!is_confirmed)
        is_confirmed = calloc((size_t)run->board->count + 1, sizeof(*is_confirmed));
    while (amqp_simple_wait_frame_noblock(run->client, &frame, &now) == AMQP_STATUS_OK) {
        if (frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
            bench_die("rabbitmq did not take a job");
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        for (uint64_t i = ack->multiple ? all + 1 : ack->delivery_tag;
             i <= ack->delivery_tag; i++) {
            count += !is_confirmed[i];
            is_confirmed[i] = true;
        }
        if (ack->multiple)
            all = ack->delivery_tag;
    }
    amqp_maybe_release_buffers(run->client);
    return count;
}

static int
client_fd(const struct peer_run *run)
{
    return amqp_get_sockfd(run->client);
}

static void
consume(struct peer_run *run)
{
    amqp_connection_state_t self = log_in(run);
    amqp_basic_qos(self, CHANNEL, 0, (uint16_t)run->slots, 0);
    check(amqp_get_rpc_reply(self), "limit the jobs that are out");
    amqp_basic_consume(self, CHANNEL, amqp_cstring_bytes("jobs"), amqp_empty_bytes, 0, 0,
                       0, amqp_empty_table);
    check(amqp_get_rpc_reply(self), "consume");
    for (;;) {
        amqp_envelope_t job;
        amqp_maybe_release_buffers(self);
        check(amqp_consume_message(self, &job, NULL, 0), "take a job");
        if (amqp_basic_ack(self, CHANNEL, job.delivery_tag, 0) != AMQP_STATUS_OK)
            bench_die("rabbitmq: cannot acknowledge");
        peer_ended(run, (struct om_str){ job.message.body.bytes, job.message.body.len });
        amqp_destroy_envelope(&job);
    }
}

int
main(int argc, char **argv)
{
    static const struct peer rabbitmq = {
        .name = "rabbitmq",
        .durable = "power cut",
        .start = start,
        .open = open_client,
        .close = close_client,
        .submit = submit,
        .confirmed = confirmed,
        .fd = client_fd,
        .consume = consume,
    };
    return peer_main(&rabbitmq, argc, argv);
}

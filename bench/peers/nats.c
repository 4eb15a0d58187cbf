// nats.c - the jobs of omni-bench over NATS JetStream: a work-queue stream in a file,
// consumers that acknowledge each job and wait for the answer to that.
//
// JetStream 2.9 does not sync what it confirms: it is in the page cache, and synced every
// two minutes.
#include <stdlib.h>
#include <unistd.h>

#include "lines.h"
#include "peer.h"

static int64_t
body_size(struct om_str line)
{
    struct line one = { .text = line };
    return line_is(&one, "MSG ") ? line_last_number(line) : -1;
}

static pid_t
start(struct peer_run *run, const char *const *environment)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", run->port);
    return child_exec((const char *const[]){ "/usr/sbin/nats-server", "-a", "127.0.0.1",
                                             "-p", port, "-js", "-sd", run->folder,
                                             NULL },
                      environment);
}

static void
connect_to(struct lines *self, const struct peer_run *run)
{
    lines_open(self, NULL, run->port, body_size);
    lines_add(self, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
}

// The next message; PINGs are answered, and INFO is not of interest.
static bool
next_message(struct lines *self, bool wait, struct line *out)
{
    while (wait || lines_poll(self, out)) {
        if (wait)
            *out = lines_next(self);
        if (line_is(out, "MSG "))
            return true;
        if (line_is(out, "PING"))
            lines_add(self, "PONG\r\n");
        else if (line_is(out, "-ERR"))
            bench_die("nats says %.*s", (int)out->text.size, out->text.data);
    }
    return false;
}

static void
check(const struct line *answer)
{
    if (memmem(answer->body.data, answer->body.size, "\"error\"", 7))
        bench_die("nats says %.*s", (int)answer->body.size, answer->body.data);
}

static void
ask(struct lines *self, const char *subject, const char *body)
{
    struct line answer;
    lines_add(self, "PUB %s confirm.0 %zu\r\n%s\r\n", subject, strlen(body), body);
    next_message(self, true, &answer);
    check(&answer);
}

static void
open_client(struct peer_run *run)
{
    static struct lines client;
    char consumer[400];
    connect_to(&client, run);
    run->client = &client;
    lines_add(&client, "SUB confirm.* 1\r\n");
    ask(&client, "$JS.API.STREAM.CREATE.JOBS",
        "{\"name\":\"JOBS\",\"subjects\":[\"jobs\"],\"storage\":\"file\","
        "\"retention\":\"workqueue\"}");
    snprintf(consumer, sizeof(consumer),
             "{\"stream_name\":\"JOBS\",\"config\":{\"durable_name\":\"C\","
             "\"ack_policy\":\"explicit\",\"deliver_subject\":\"deliver\","
             "\"deliver_group\":\"g\",\"max_ack_pending\":%lld}}",
             (long long)(run->slots * run->workers));
    ask(&client, "$JS.API.CONSUMER.DURABLE.CREATE.JOBS.C", consumer);
}

static void
close_client(struct peer_run *run)
{
    lines_close(run->client);
}

static void
submit(struct peer_run *run)
{
    lines_add(run->client, "PUB jobs confirm.1 %lld\r\n", (long long)run->payload_bytes);
    lines_add_bytes(run->client, run->payload, (size_t)run->payload_bytes);
    lines_add(run->client, "\r\n");
}

static int64_t
confirmed(struct peer_run *run)
{
    int64_t count = 0;
    struct line line;
    lines_flush(run->client);
    for (; next_message(run->client, false, &line); count++)
        check(&line);
    return count;
}

static int
client_fd(const struct peer_run *run)
{
    return ((const struct lines *)run->client)->stream.fd;
}

// "MSG deliver 1 $JS.ACK.… SIZE": acknowledge it, with the job's number in the subject
// of the answer.
static void
acknowledge(struct lines *self, int number, const struct line *job)
{
    int64_t index;
    char reply[200];
    if (job->body.size < sizeof(index) ||
        sscanf(job->text.data, "MSG %*s %*s %199s", reply) != 1)
        bench_die("nats sent a job that cannot be read");
    memcpy(&index, job->body.data, sizeof(index));
    lines_add(self, "PUB %s done.%d.%lld 4\r\n+ACK\r\n", reply, number, (long long)index);
}

static void
consume(struct peer_run *run)
{
    struct lines consumer;
    struct line line;
    int number = (int)getpid();
    connect_to(&consumer, run);
    lines_add(&consumer, "SUB deliver g 1\r\nSUB done.%d.* 2\r\n", number);
    for (;;) {
        next_message(&consumer, true, &line);
        do {
            if (!line_is(&line, "MSG done.")) {
                acknowledge(&consumer, number, &line);
                continue;
            }
            long long index = -1;
            sscanf(line.text.data, "MSG done.%*d.%lld", &index);
            board_end(run->board, index);
        } while (next_message(&consumer, false, &line));
    }
}

int
main(int argc, char **argv)
{
    static const struct peer nats = {
        .name = "nats",
        .durable = "kill",
        .start = start,
        .open = open_client,
        .close = close_client,
        .submit = submit,
        .confirmed = confirmed,
        .fd = client_fd,
        .consume = consume,
    };
    return peer_main(&nats, argc, argv);
}

// beanstalkd.c - the jobs of omni-bench over beanstalkd, with an fsync a write (-f0).
//
// A consumer reserves a job at a time, as the protocol has it; the next reserve goes with
// the delete of the one before.
#include <stdlib.h>

#include "lines.h"
#include "peer.h"

enum { LEASE_S = 60 };

static int64_t
body_size(struct om_str line)
{
    struct line one = { .text = line };
    return line_is(&one, "RESERVED ") ? line_last_number(line) : -1;
}

static pid_t
start(struct peer_run *run, const char *const *environment)
{
    char address[320];
    snprintf(address, sizeof(address), "unix:%s", run->socket);
    return child_exec((const char *const[]){ "/usr/bin/beanstalkd", "-l", address, "-b",
                                             run->folder, "-f0", "-z", "1048576", NULL },
                      environment);
}

static void
open_client(struct peer_run *run)
{
    static struct lines client;
    lines_open(&client, run->socket, 0, body_size);
    run->client = &client;
}

static void
close_client(struct peer_run *run)
{
    lines_close(run->client);
}

static void
submit(struct peer_run *run)
{
    lines_add(run->client, "put 0 0 %d %lld\r\n", LEASE_S, (long long)run->payload_bytes);
    lines_add_bytes(run->client, run->payload, (size_t)run->payload_bytes);
    lines_add(run->client, "\r\n");
}

static int64_t
confirmed(struct peer_run *run)
{
    int64_t count = 0;
    struct line line;
    lines_flush(run->client);
    for (; lines_poll(run->client, &line); count++)
        if (!line_is(&line, "INSERTED "))
            bench_die("beanstalkd says %.*s", (int)line.text.size, line.text.data);
    return count;
}

static int
client_fd(const struct peer_run *run)
{
    return ((const struct lines *)run->client)->stream.fd;
}

static void
consume(struct peer_run *run)
{
    struct lines consumer;
    lines_open(&consumer, run->socket, 0, body_size);
    lines_add(&consumer, "reserve\r\n");
    for (;;) {
        struct line job = lines_next(&consumer);
        if (!line_is(&job, "RESERVED "))
            bench_die("beanstalkd says %.*s", (int)job.text.size, job.text.data);
        long long id = atoll(job.text.data + sizeof("RESERVED"));
        char payload[sizeof(int64_t)]; // `job` lives until the next line
        memcpy(payload, job.body.data, sizeof(payload));
        lines_add(&consumer, "delete %lld\r\nreserve\r\n", id);
        struct line deleted = lines_next(&consumer);
        if (!line_is(&deleted, "DELETED"))
            bench_die("beanstalkd says %.*s", (int)deleted.text.size, deleted.text.data);
        peer_ended(run, (struct om_str){ payload, sizeof(payload) });
    }
}

int
main(int argc, char **argv)
{
    static const struct peer beanstalkd = {
        .name = "beanstalkd",
        .durable = "power cut",
        .start = start,
        .open = open_client,
        .close = close_client,
        .submit = submit,
        .confirmed = confirmed,
        .fd = client_fd,
        .consume = consume,
    };
    return peer_main(&beanstalkd, argc, argv);
}

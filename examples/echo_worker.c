// echo_worker.c - a worker in a few lines: it answers each job with the job's payload.
//
// usage: echo_worker ENDPOINT, e.g. ipc:///run/omni/work
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker.h"

static struct om_worker *worker;

static void
on_signal(int number)
{
    (void)number;
    om_worker_stop(worker);
}

static void
echo(void *context, struct om_job *job)
{
    (void)context;
    om_buf_put(&job->result, job->payload.data, job->payload.size);
    om_job_usage(job, "bytes", (int64_t)job->payload.size, NULL);
}

int
main(int argc, char **argv)
{
    static const char *const queue_names[] = { "echo" };
    struct om_worker_conf conf = {
        .link = { .endpoint = argc > 1 ? argv[1] : "",
                  .node = "echo",
                  .credential = getenv("OMNI_API_KEY"),
                  .role = ROLE_TENANT },
        .queues = queue_names,
        .queue_count = 1,
        .slots = 4,
        .drain_ms = 10000,
        .handle = echo,
    };
    const char *why;
    if (om_worker_create(&conf, &worker, &why) != OM_OK) {
        fprintf(stderr, "echo_worker: %s\n", why);
        return 1;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    om_worker_run(worker);
    om_worker_destroy(&worker);
    return 0;
}

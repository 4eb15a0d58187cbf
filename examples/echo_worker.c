// echo_worker.c - a tenant's worker: it answers each job with the job's payload.
// usage: OMNI_API_KEY=... echo_worker ENDPOINT, e.g. ipc:///run/omni/work
#include <stdio.h>
#include <stdlib.h>

#include "worker.h"

static void
echo(void *context, struct om_job *job)
{
    (void)context;
    om_buf_put(&job->result, job->payload.data, job->payload.size);
    om_job_usage(job, "bytes", (int64_t)job->payload.size, NULL);
    job->result_type = "application/json";
}

int
main(int argc, char **argv)
{
    const char *why, *const queue_names[] = { "echo" };
    struct om_worker_conf conf = { .queues = queue_names, .queue_count = 1, .slots = 4 };
    conf.link.endpoint = argc > 1 ? argv[1] : "";
    conf.link.node = "echo";
    conf.link.role = ROLE_TENANT;
    conf.link.credential = getenv("OMNI_API_KEY");
    conf.drain_ms = 10000; // what runs at SIGTERM may go on for so long
    conf.handle = echo;
    if (om_worker_main(&conf, &why) == OM_OK)
        return 0;
    fprintf(stderr, "echo_worker: %s\n", why);
    return 1;
}

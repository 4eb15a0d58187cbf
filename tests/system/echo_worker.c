// echo_worker ENDPOINT KEY QUEUE - a tenant's own worker: it answers a job with the job's
// payload, or fails when the kind is "fail".
#include <signal.h>
#include <stdio.h>

#include "worker.h"

static struct om_worker *worker;

static void
stop(int signal)
{
    (void)signal;
    om_worker_stop(worker);
}

static void
handle(void *context, struct om_job *job)
{
    (void)context;
    if (om_str_eq(job->msg->kind, OM_LIT("fail"))) {
        om_job_fail(job, OM_EINVAL, "payload", "asked to fail");
        return;
    }
    om_buf_put(&job->result, job->payload.data, job->payload.size);
    job->result_type = "application/json";
}

int
main(int argc, char **argv)
{
    const char *why = "usage: echo_worker ENDPOINT KEY QUEUE";
    if (argc == 4) {
        struct om_worker_conf conf = {
            .link = { .endpoint = argv[1],
                      .node = "echo",
                      .credential = argv[2],
                      .role = ROLE_TENANT },
            .queues = (const char *const[]){ argv[3] },
            .queue_count = 1,
            .drain_ms = 1000,
            .handle = handle,
        };
        if (om_worker_create(&conf, &worker, &why) == OM_OK) {
            signal(SIGTERM, stop);
            om_worker_run(worker);
            om_worker_destroy(&worker);
            return 0;
        }
    }
    fprintf(stderr, "%s\n", why);
    return 1;
}

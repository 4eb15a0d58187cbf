// echo_worker ENDPOINT KEY QUEUE - a tenant's own worker: it answers a job with the job's
// payload, with the results of all it depends on when the kind is "parents", fails when
// it is "fail", or of what is in its payload when it is "wrong" or, to be tried again,
// "flaky", sends three partial results first when it is "stream" and 900 large ones
// when it is "flood", and runs until it is told to stop when it is "wait".
#include <poll.h>
#include <stdio.h>

#include "worker.h"

// {"parents":[...]}
static void
put_parents(struct om_job *job)
{
    struct rec_iter iter = rec_iter(job->msg->depends_on);
    const char *comma = "{\"parents\":[";
    for (struct om_str id; rec_next_str(&iter, &id); comma = ",") {
        struct om_parent parent;
        enum om_rc rc = om_job_parent(job, om_arena_strdup(job->arena, id), &parent);
        if (rc != OM_OK) {
            om_job_fail(job, rc, NULL, "a parent cannot be had");
            return;
        }
        om_buf_put(&job->result, comma, strlen(comma));
        om_buf_put(&job->result, parent.result.data, parent.result.size);
    }
    om_buf_put(&job->result, "]}", 2);
}

static void
handle(void *context, struct om_job *job)
{
    (void)context;
    if (om_str_eq(job->msg->kind, OM_LIT("parents"))) {
        put_parents(job);
        job->result_type = "application/json";
        return;
    }
    if (om_str_eq(job->msg->kind, OM_LIT("fail"))) {
        om_job_fail(job, OM_EINVAL, "payload", "asked to fail");
        return;
    }
    bool flaky = om_str_eq(job->msg->kind, OM_LIT("flaky"));
    if (flaky || om_str_eq(job->msg->kind, OM_LIT("wrong"))) {
        om_job_fail(job, flaky ? OM_EUNAVAILABLE : OM_EINVAL, NULL, "cannot do %.*s",
                    (int)job->payload.size, job->payload.data);
        return;
    }
    if (om_str_eq(job->msg->kind, OM_LIT("stream"))) {
        om_job_chunk(job, "application/json", OM_LIT("{\"loss\": 0.5}"));
        om_job_chunk(job, "text/plain", OM_LIT("a line"));
        om_job_chunk(job, NULL, (struct om_str){ "\xff\x00", 2 });
    }
    if (om_str_eq(job->msg->kind, OM_LIT("flood"))) {
        char text[1001];
        for (int i = 0; i < 900; i++) {
            snprintf(text, sizeof(text), "%-1000d", i);
            om_job_chunk(job, "text/plain", om_str(text));
        }
    }
    if (om_str_eq(job->msg->kind, OM_LIT("wait"))) {
        while (!om_job_cancelled(job))
            poll(NULL, 0, 10);
        job->rc = OM_ECANCELLED;
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
            .slots = 2,
            .drain_ms = 1500,
            .handle = handle,
        };
        if (om_worker_main(&conf, &why) == OM_OK)
            return 0;
    }
    fprintf(stderr, "%s\n", why);
    return 1;
}

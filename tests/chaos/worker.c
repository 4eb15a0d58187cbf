// worker.c - a worker of the chaos run: it notes each job it begins, ends and has
// acknowledged.
//
// usage: chaos_worker ENDPOINT NODE LOG SLOTS inference|KEY QUEUE...
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "id.h"
#include "record.h"
#include "worker.h"

enum {
    QUICK_MS = 20,
    SLOW_MIN_MS = 500,
    SLOW_MAX_MS = 3000,
    LOOK_MS = 20, // between two looks at a cancel
    RETRY_MS = 200,
    DRAIN_MS = 1000,
};

static struct record record;

static int64_t
random_below(int64_t bound)
{
    uint32_t bits;
    om_random(&bits, sizeof(bits));
    return bits % bound;
}

// False if the job was cancelled.
static bool
take_time(struct om_job *job, int64_t ms)
{
    for (; ms > 0 && !om_job_cancelled(job); ms -= LOOK_MS)
        poll(NULL, 0, (int)(ms < LOOK_MS ? ms : LOOK_MS));
    return !om_job_cancelled(job);
}

// Set the outcome; returns what it is called in the log.
static const char *
decide(struct om_job *job)
{
    struct om_str kind = job->msg->kind;
    int64_t ms = random_below(QUICK_MS);
    if (om_str_eq(kind, OM_LIT("slow")))
        ms = SLOW_MIN_MS + random_below(SLOW_MAX_MS - SLOW_MIN_MS);
    if (!take_time(job, ms)) {
        job->rc = OM_ECANCELLED;
        return "cancelled";
    }
    if (om_str_eq(kind, OM_LIT("fail"))) {
        om_job_fail(job, OM_EINVAL, NULL, "asked to fail");
        return "failed";
    }
    if (om_str_eq(kind, OM_LIT("retry")) && job->msg->attempt == 1) {
        om_job_fail(job, OM_EUNAVAILABLE, NULL, "asked to be tried again");
        job->retry_ms = RETRY_MS;
        return "retry";
    }
    return "done";
}

static void
handle(void *context, struct om_job *job)
{
    (void)context;
    char ref[RECORD_REF_MAX], result[64];
    struct om_str task = job->msg->task, tenant = job->msg->tenant;
    record_ref(job->payload, ref);
    record_line(&record, 'B', "%d %.*s %.*s %lld %s", (int)getpid(), (int)task.size,
                task.data, (int)tenant.size, tenant.data, (long long)job->msg->attempt,
                ref);
    const char *outcome = decide(job);
    int64_t nonce = random_below(INT32_MAX) << 16 | random_below(1 << 16);
    if (job->rc != OM_ECANCELLED)
        om_job_usage(job, "chaos", nonce, ref);
    int size = snprintf(result, sizeof(result), "{\"nonce\":%lld}", (long long)nonce);
    om_buf_put(&job->result, result, (size_t)size);
    job->result_type = "application/json";
    record_line(&record, 'E', "%d %.*s %lld %s %lld", (int)getpid(), (int)task.size,
                task.data, (long long)job->msg->attempt, outcome, (long long)nonce);
}

static void
on_acknowledged(void *context, const struct om_job *job)
{
    (void)context;
    struct om_str task = job->msg->task;
    record_line(&record, 'D', "%d %.*s %lld", (int)getpid(), (int)task.size, task.data,
                (long long)job->msg->attempt);
}

int
main(int argc, char **argv)
{
    if (argc < 7)
        record_die("usage: chaos_worker ENDPOINT NODE LOG SLOTS inference|KEY QUEUE...");
    bool platform = strcmp(argv[5], "inference") == 0;
    struct om_worker_conf conf = {
        .link = { .endpoint = argv[1],
                  .node = argv[2],
                  .credential = platform ? NULL : argv[5],
                  .role = platform ? ROLE_INFERENCE : ROLE_TENANT },
        .queues = (const char *const *)argv + 6,
        .queue_count = (size_t)argc - 6,
        .slots = atoi(argv[4]),
        .drain_ms = DRAIN_MS,
        .handle = handle,
        .acknowledged = on_acknowledged,
    };
    const char *why;
    record_open(&record, argv[3]);
    if (om_worker_main(&conf, &why) != OM_OK)
        record_die("chaos_worker: %s", why);
    return 0;
}

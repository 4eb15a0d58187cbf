// worker.c - the worker the scenarios hold lib/worker to.
//
// usage: conformance_worker ENDPOINT SLOTS
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "span.h"
#include "worker.h"

static void
echo(struct om_job *job)
{
    om_buf_put(&job->result, job->payload.data, job->payload.size);
    om_job_usage(job, "compute_ms", 7, "echo");
}

static void
wait_for_cancel(struct om_job *job)
{
    om_job_progress(job, 0.5, "{\"epoch\": 1}");
    while (!om_job_cancelled(job))
        poll(NULL, 0, 10);
    job->rc = OM_ECANCELLED;
}

// Takes as many milliseconds as its payload says, whatever anybody asks.
static void
slow(struct om_job *job)
{
    char text[16];
    snprintf(text, sizeof(text), "%.*s", (int)job->payload.size, job->payload.data);
    poll(NULL, 0, atoi(text));
    om_buf_put(&job->result, job->payload.data, job->payload.size);
}

static void
fail(struct om_job *job)
{
    om_job_fail(job, OM_EINVAL, NULL, "there is no column x");
}

static void
retry(struct om_job *job)
{
    om_job_fail(job, OM_EUNAVAILABLE, NULL, "the database is away");
    job->retry_ms = 1500;
}

static void
big(struct om_job *job)
{
    static const char block[4096];
    while (job->result.size <= WIRE_PAYLOAD_MAX)
        om_buf_put(&job->result, block, sizeof(block));
}

// Three partial results, its payload says how many milliseconds apart.
static void
stream(struct om_job *job)
{
    static const char *const parts[] = { "one", "two", "three" };
    char text[16];
    snprintf(text, sizeof(text), "%.*s", (int)job->payload.size, job->payload.data);
    for (size_t i = 0; i < OM_COUNT(parts); i++) {
        poll(NULL, 0, atoi(text));
        bool taken = om_job_chunk(job, "text/plain", om_str(parts[i]));
        if (!taken && om_job_streams(job)) {
            job->rc = om_job_cancelled(job) ? OM_ECANCELLED : OM_ETIMEOUT;
            return;
        }
    }
    om_buf_put(&job->result, "end", 3);
}

static void
wide(struct om_job *job)
{
    static const char part[WIRE_CHUNK_MAX + 1];
    if (!om_job_chunk(job, NULL, (struct om_str){ part, sizeof(part) }))
        om_job_fail(job, OM_ETOOBIG, NULL, "the part is too large");
}

static void
parents(struct om_job *job)
{
    struct rec_iter iter = rec_iter(job->msg->depends_on);
    for (struct om_str id; rec_next_str(&iter, &id);) {
        struct om_parent parent;
        job->rc = om_job_parent(job, om_arena_strdup(job->arena, id), &parent);
        if (job->rc != OM_OK)
            return;
        const char *state = state_info(parent.state)->name;
        om_buf_put(&job->result, state, strlen(state));
        om_buf_put(&job->result, " ", 1);
        om_buf_put(&job->result, parent.result.data, parent.result.size);
        om_buf_put(&job->result, "\n", 1);
    }
}

// What it asked others for would carry this.
static void
context_of(struct om_job *job)
{
    char text[OM_TRACEPARENT_SIZE + 1] = "none";
    struct om_str state;
    const struct om_trace *trace = om_span_current(&state);
    if (!om_trace_is_none(trace))
        om_trace_format(trace, text);
    om_buf_put(&job->result, text, strlen(text));
    om_buf_put(&job->result, " ", 1);
    om_buf_put(&job->result, state.data, state.size);
}

static void
handle(void *context, struct om_job *job)
{
    (void)context;
    static const struct {
        const char *kind;
        void (*handle)(struct om_job *job);
    } kinds[] = {
        { "echo", echo },          { "wait", wait_for_cancel }, { "slow", slow },
        { "fail", fail },          { "retry", retry },          { "big", big },
        { "stream", stream },      { "parents", parents },      { "wide", wide },
        { "context", context_of },
    };
    for (size_t i = 0; i < OM_COUNT(kinds); i++)
        if (om_str_eq(job->msg->kind, om_str(kinds[i].kind))) {
            kinds[i].handle(job);
            return;
        }
    om_job_fail(job, OM_EUNSUPPORTED, NULL, "this worker has no such kind");
}

int
main(int argc, char **argv)
{
    static const char *const queue_names[] = { "conformance" };
    struct om_worker_conf conf = {
        .link = { .endpoint = argc > 2 ? argv[1] : "",
                  .node = "conformance",
                  .role = ROLE_INFERENCE },
        .queues = queue_names,
        .queue_count = 1,
        .slots = argc > 2 ? atoi(argv[2]) : 1,
        .drain_ms = 2000,
        .handle = handle,
    };
    const char *why;
    if (om_worker_main(&conf, &why) == OM_OK)
        return 0;
    fprintf(stderr, "conformance_worker: %s\n", why);
    return 1;
}

#include "worker_fixture.h"

char token_bytes[WIRE_TOKEN_BYTES];

static struct wire_msg
make_job(const char *token, const char *kind)
{
    struct wire_msg job = { 0 };
    WIRE_SET(&job, token, ((struct om_str){ token, WIRE_TOKEN_BYTES }));
    WIRE_SET(&job, queue, om_str("echo"));
    WIRE_SET(&job, kind, om_str(kind));
    WIRE_SET(&job, attempt, 1);
    WIRE_SET(&job, lease_ms, 30000);
    return job;
}

void
broker_send_job(struct fake_broker *self, const char *kind, const char *payload)
{
    struct wire_msg job = make_job(token_bytes, kind);
    broker_send(self, WIRE_JOB, &job, payload);
}

void
broker_send_jobs(struct fake_broker *self, const char *kind, char round, char count)
{
    OM_AUTO(bundle_finish) struct bundle bundle;
    OM_AUTO(om_buf_finish) struct om_buf header = { 0 };
    cr_assert(bundle_init(&bundle));
    for (char i = 0; i < count; i++) {
        char token[WIRE_TOKEN_BYTES] = { i, round };
        struct wire_msg job = make_job(token, kind);
        om_buf_reset(&header);
        wire_encode(WIRE_JOB, &job, &header);
        bundle_add(&bundle, om_buf_str(&header), (struct om_str){ 0 });
    }
    struct om_str start = bundle_header();
    zmq_send(self->router, self->peer, self->peer_size, ZMQ_SNDMORE);
    zmq_send(self->router, start.data, start.size, ZMQ_SNDMORE);
    zmq_send(self->router, bundle.bytes.data, bundle.bytes.size, 0);
}

void
broker_send_token(struct fake_broker *self, enum wire_type type)
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token_bytes, sizeof(token_bytes) }));
    broker_send(self, type, &msg, NULL);
}

sem_t turns;

void
handle_echo(void *context, struct om_job *job)
{
    (void)context;
    if (om_str_eq(job->msg->kind, OM_LIT("wait"))) {
        om_job_progress(job, 0.5, "{\"epoch\":1}");
        while (!om_job_cancelled(job))
            sched_yield();
        job->rc = OM_ECANCELLED;
    } else if (om_str_eq(job->msg->kind, OM_LIT("turn"))) {
        sem_wait(&turns);
    } else if (om_str_eq(job->msg->kind, OM_LIT("parts"))) {
        int made = 0;
        while (made < 3 && om_job_chunk(job, "text/plain", job->payload))
            made++;
        om_job_usage(job, "parts", made, NULL);
        job->rc = made == 3 ? OM_OK : OM_ECANCELLED;
    } else if (om_str_eq(job->msg->kind, OM_LIT("fail"))) {
        om_job_fail(job, OM_EINVAL, "target", "there is no column %s", "x");
    } else {
        om_buf_put(&job->result, job->payload.data, job->payload.size);
        om_job_usage(job, "compute_ms", 7, "echo");
    }
}

static bool
handle_quick(void *context, struct om_job *job)
{
    if (!om_str_eq(job->msg->kind, OM_LIT("echo")))
        return false;
    handle_echo(context, job);
    return true;
}

static void *
run(void *worker)
{
    om_worker_run(worker);
    return NULL;
}

void
open_worker_of(struct fixture *self, int slots, int64_t heartbeat_ms)
{
    broker_open(&self->broker);
    self->broker.heartbeat_ms = heartbeat_ms;
    static const char *const queue_names[] = { "echo" };
    struct om_worker_conf conf = {
        .link = { .endpoint = self->broker.endpoint,
                  .node = "test",
                  .role = ROLE_INFERENCE },
        .queues = queue_names,
        .queue_count = 1,
        .slots = slots,
        .drain_ms = 1500,
        .handle = handle_echo,
        .handle_now = self->quick ? handle_quick : NULL,
        .ahead = 5,
    };
    const char *why;
    cr_assert_eq(om_worker_create(&conf, &self->worker, &why), OM_OK, "%s", why);
    pthread_create(&self->thread, NULL, run, self->worker);
    broker_expect(&self->broker, WIRE_CREDIT);
}

void
open_worker(struct fixture *self, int slots)
{
    open_worker_of(self, slots, 2000);
}

void
stop_worker(struct fixture *self)
{
    om_worker_stop(self->worker);
    pthread_join(self->thread, NULL);
    om_worker_destroy(&self->worker);
}

void
close_worker(struct fixture *self)
{
    stop_worker(self);
    broker_close(&self->broker);
}

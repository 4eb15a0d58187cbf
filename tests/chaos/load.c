// load.c - a client that submits jobs at a steady rate and cancels some of them, and
// notes what the broker acknowledged.
//
// usage: chaos_load ENDPOINT LOG SEED RATE
// SIGTERM: submit no more, wait for the answers that are due, and end.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "client.h"
#include "id.h"
#include "record.h"

enum {
    TENANTS = 3,
    ANSWER_MS = 20 * 1000,
    CANCEL_PERCENT = 10,
    CANCEL_MAX_MS = 400, // after the submit; every other one at once
    LATER_PERCENT = 8,   // are not due before a while
    LATER_MAX_MS = 1500,
    CHAIN_PERCENT = 3, // are chains, submitted as an atomic batch
    CHAIN_JOBS = 3,
    CANCELS_MAX = 4096,
    SYNC_MS = 20,
};

struct job {
    char ref[RECORD_REF_MAX], task[OM_TYPEID_MAX];
    const char *tenant;
};

struct load {
    struct om_client *client;
    struct record record;
    uint64_t random;
    char tenants[TENANTS][OM_TYPEID_MAX];
    int64_t submitted;
    bool dirty;
    struct cancel {
        struct job *job;
        int64_t at_ms;
    } cancels[CANCELS_MAX];
    size_t cancel_count;
};

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
    (void)number;
    stopping = 1;
}

// xorshift64*: the same jobs for the same seed.
static int64_t
random_below(struct load *self, int64_t bound)
{
    self->random ^= self->random >> 12;
    self->random ^= self->random << 25;
    self->random ^= self->random >> 27;
    return (int64_t)((self->random * UINT64_C(0x2545F4914F6CDD1D)) >> 33) % bound;
}

// ---- what comes back

static struct load load;

static void
on_cancelled(void *context, const struct om_answer *answer)
{
    struct job *job = context;
    if (answer->rc == OM_OK)
        record_line(&load.record, 'K', "%s", job->task);
    load.dirty = true;
    free(job);
}

static int64_t
cancel_at(struct load *self)
{
    bool at_once = random_below(self, 2) == 0;
    return om_clock_mono_ms() + (at_once ? 0 : random_below(self, CANCEL_MAX_MS));
}

static void
on_submitted(void *context, const struct om_answer *answer)
{
    struct job *job = context;
    if (answer->rc == OM_OK)
        record_line(&load.record, 'A', "%s %s", job->ref, job->task);
    else
        record_line(&load.record, 'R', "%s %s", job->ref, om_rc_info(answer->rc)->code);
    load.dirty = true;
    if (answer->rc == OM_OK && load.cancel_count < CANCELS_MAX &&
        random_below(&load, 100) < CANCEL_PERCENT)
        load.cancels[load.cancel_count++] = (struct cancel){ job, cancel_at(&load) };
    else
        free(job);
}

struct chain {
    struct job *jobs[CHAIN_JOBS];
};

static void
on_chain(void *context, const struct om_answer *answer)
{
    struct chain *chain = context;
    struct rec_iter iter = rec_iter(answer->payload);
    struct wire_batch_item item;
    struct om_str bytes;
    for (size_t i = 0; i < CHAIN_JOBS; i++) {
        const struct job *job = chain->jobs[i];
        const char *code = om_rc_info(answer->rc)->code;
        if (answer->rc == OM_OK &&
            !rec_next_rec(&iter, &wire_batch_item_rec, &item, &bytes))
            record_die("the answer to a batch cannot be read");
        if (answer->rc == OM_OK && !item.code.size)
            record_line(&load.record, 'A', "%s %s", job->ref, job->task);
        else if (answer->rc == OM_OK)
            record_line(&load.record, 'R', "%s %.*s", job->ref, (int)item.code.size,
                        item.code.data);
        else
            record_line(&load.record, 'R', "%s %s", job->ref, code);
        free(chain->jobs[i]);
    }
    load.dirty = true;
    free(chain);
}

// ---- what goes out

static const char *
choose_kind(struct load *self)
{
    int64_t percent = random_below(self, 100);
    return percent < 2 ? "slow" : percent < 7 ? "retry" : percent < 10 ? "fail" : "quick";
}

// A new job of the tenant, which runs after `parent` (NULL: at once). Its strings live as
// long as the job and the buffers.
static struct job *
make_job(struct load *self, int64_t tenant, const struct job *parent,
         struct wire_msg *msg, struct om_buf *depends, struct om_buf *payload)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        record_die("no memory");
    job->tenant = self->tenants[tenant];
    om_id_text(OM_ID_TASK, (uint8_t)(tenant + 1), job->task);
    snprintf(job->ref, sizeof(job->ref), "l%lld", (long long)++self->submitted);
    om_buf_put(payload, "{\"ref\":\"", 8);
    om_buf_put(payload, job->ref, strlen(job->ref));
    om_buf_put(payload, "\"}", 2);
    const char *queue =
        queues[random_below(self, 100) < 15 ? QUEUE_TRAINING : QUEUE_INFERENCE].name;
    WIRE_SET(msg, id, om_str(job->ref));
    WIRE_SET(msg, task, om_str(job->task));
    WIRE_SET(msg, tenant, om_str(job->tenant));
    WIRE_SET(msg, queue, om_str(queue));
    WIRE_SET(msg, kind, om_str(choose_kind(self)));
    WIRE_SET(msg, ctype, OM_LIT("application/json"));
    if (random_below(self, 100) < LATER_PERCENT)
        WIRE_SET(msg, due_ms, om_clock_wall_ms() + random_below(self, LATER_MAX_MS));
    if (parent) {
        om_pack_array(depends, 1);
        om_pack_str(depends, om_str(parent->task));
        WIRE_SET(msg, depends_on, om_buf_str(depends));
    }
    record_line(&self->record, 'S', "%s %s %s %s %s", job->ref, job->task, job->tenant,
                queue, parent ? parent->task : "-");
    return job;
}

static void
submit(struct load *self)
{
    struct wire_msg msg = { 0 };
    struct om_buf depends = { 0 }, payload = { 0 };
    int64_t tenant = random_below(self, TENANTS);
    struct job *job = make_job(self, tenant, NULL, &msg, &depends, &payload);
    if (!om_client_send(self->client, WIRE_SUBMIT, &msg, om_buf_str(&payload), ANSWER_MS,
                        on_submitted, job))
        record_die("too many jobs wait for an answer");
    om_buf_finish(&payload);
}

// Each job of the chain runs when the one before it has succeeded; all are taken, or
// none.
static void
submit_chain(struct load *self)
{
    struct chain *chain = calloc(1, sizeof(*chain));
    if (!chain)
        record_die("no memory");
    struct om_buf jobs = { 0 };
    int64_t tenant = random_below(self, TENANTS);
    om_pack_array(&jobs, CHAIN_JOBS);
    for (size_t i = 0; i < CHAIN_JOBS; i++) {
        struct wire_msg msg = { 0 };
        struct om_buf depends = { 0 }, payload = { 0 }, header = { 0 };
        chain->jobs[i] = make_job(self, tenant, i ? chain->jobs[i - 1] : NULL, &msg,
                                  &depends, &payload);
        wire_encode(WIRE_SUBMIT, &msg, &header);
        struct wire_batch_job job = { 0 };
        REC_SET(&job, wire_batch_job, header, om_buf_str(&header));
        REC_SET(&job, wire_batch_job, payload, om_buf_str(&payload));
        rec_encode(&wire_batch_job_rec, &job, &jobs);
        om_buf_finish(&depends);
        om_buf_finish(&payload);
        om_buf_finish(&header);
    }
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(self->tenants[tenant]));
    WIRE_SET(&msg, atomic, true);
    if (!om_client_send(self->client, WIRE_SUBMIT_BATCH, &msg, om_buf_str(&jobs),
                        ANSWER_MS, on_chain, chain))
        record_die("too many jobs wait for an answer");
    om_buf_finish(&jobs);
}

static void
send_cancels(struct load *self)
{
    int64_t now_ms = om_clock_mono_ms();
    for (size_t i = 0; i < self->cancel_count;) {
        struct job *job = self->cancels[i].job;
        if (self->cancels[i].at_ms > now_ms) {
            i++;
            continue;
        }
        self->cancels[i] = self->cancels[--self->cancel_count];
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, task, om_str(job->task));
        WIRE_SET(&msg, tenant, om_str(job->tenant));
        record_line(&self->record, 'C', "%s", job->task);
        if (!om_client_send(self->client, WIRE_CANCEL, &msg, (struct om_str){ 0 },
                            ANSWER_MS, on_cancelled, job))
            record_die("too many cancels wait for an answer");
    }
}

// Returns when to look again, in ms from now.
static int
turn(struct load *self, int64_t begin_ms, int64_t rate)
{
    static int64_t synced_ms;
    int64_t now_ms = om_clock_mono_ms();
    while (!stopping && self->submitted < (now_ms - begin_ms) * rate / 1000) {
        if (random_below(self, 100) < CHAIN_PERCENT)
            submit_chain(self);
        else
            submit(self);
    }
    send_cancels(self);
    int64_t next_ms = om_client_process(self->client) - now_ms;
    if (self->dirty && now_ms >= synced_ms + SYNC_MS) {
        record_sync(&self->record);
        self->dirty = false;
        synced_ms = now_ms;
    }
    return (int)(next_ms < 1 ? 1 : next_ms > 10 ? 10 : next_ms);
}

int
main(int argc, char **argv)
{
    if (argc != 5)
        record_die("usage: chaos_load ENDPOINT LOG SEED RATE");
    struct om_link_conf link = { .endpoint = argv[1],
                                 .node = "chaos-load",
                                 .role = ROLE_INGEST };
    const char *why;
    record_open(&load.record, argv[2]);
    load.random = (strtoull(argv[3], NULL, 10) + 1) * UINT64_C(0x9E3779B97F4A7C15);
    for (int i = 0; i < TENANTS; i++)
        om_id_text(OM_ID_TENANT, (uint8_t)(i + 1), load.tenants[i]);
    if (om_client_create(&link, &load.client, &why) != OM_OK)
        record_die("chaos_load: %s", why);
    signal(SIGTERM, on_signal);
    int64_t begin_ms = om_clock_mono_ms(), rate = atoll(argv[4]);
    while (!stopping || load.cancel_count || om_client_pending(load.client)) {
        int wait_ms = turn(&load, begin_ms, rate), fds[2];
        om_link_fds(om_client_link(load.client), fds);
        struct pollfd polled[] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
        poll(polled, 2, wait_ms);
    }
    record_sync(&load.record);
    om_client_destroy(&load.client);
    return 0;
}

// A worker whose outcomes nobody acknowledges takes no more jobs than it can keep.
#include "clock.h"
#include "worker_fixture.h"
#include "worker_state.h"

enum { CREDIT = 64 }; // of a worker without slots

static void
name_job(int number)
{
    memset(token_bytes, 0, sizeof(token_bytes));
    memcpy(token_bytes, &number, sizeof(number));
}

// Send jobs as long as the worker grants credit, acknowledge none, and say how many.
static int
fill(struct fixture *f, const char *payload)
{
    int sent = 0;
    int64_t limit = f->broker.msg.limit, end_ms = om_clock_mono_ms() + 1000;
    while (om_clock_mono_ms() < end_ms && sent < 2 * KEPT_MAX) {
        for (; sent < limit; sent++) {
            name_job(sent);
            broker_send_job(&f->broker, "echo", payload);
        }
        if (!broker_recv(&f->broker, 100) || f->broker.msg.type != WIRE_CREDIT)
            continue;
        limit = f->broker.msg.limit;
        end_ms = om_clock_mono_ms() + 1000;
    }
    return sent;
}

static void
acknowledge(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        name_job(i);
        broker_send_token(&f->broker, WIRE_DONE_ACK);
    }
}

Test(worker_full, takes_no_more_jobs_than_outcomes_it_keeps)
{
    struct fixture f = { 0 };
    open_worker(&f, 0);
    int sent = fill(&f, "x");
    cr_expect(sent >= KEPT_MAX && sent < KEPT_MAX + CREDIT, "%d", sent);
    acknowledge(&f, sent);
    broker_expect(&f.broker, WIRE_CREDIT);
    cr_expect_gt(f.broker.msg.limit, sent);
    close_worker(&f);
}

Test(worker_full, takes_no_more_jobs_than_bytes_it_keeps)
{
    static char payload[60 * 1024];
    struct fixture f = { 0 };
    memset(payload, 'x', sizeof(payload) - 1);
    open_worker(&f, 0);
    int sent = fill(&f, payload), room = KEPT_BYTES_MAX / (int)sizeof(payload);
    cr_expect(sent >= room - 100 && sent <= room + CREDIT, "%d of %d", sent, room);
    acknowledge(&f, sent);
    broker_expect(&f.broker, WIRE_CREDIT);
    cr_expect_gt(f.broker.msg.limit, sent);
    close_worker(&f);
}

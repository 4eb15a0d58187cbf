#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "offload.h"

enum { JOBS = 200, WAIT_MS = 20000 };

struct job {
    struct om_offload_job job;
    pthread_t ran_in;
    sem_t *gate; // waits for it, if it is there
    int runs, dones;
};

static void
run(struct om_offload_job *job)
{
    struct job *self = (struct job *)job;
    if (self->gate)
        sem_wait(self->gate);
    self->ran_in = pthread_self();
    self->runs++;
}

static void
done(struct om_offload_job *job)
{
    ((struct job *)job)->dones++;
}

static struct job
make(sem_t *gate)
{
    return (struct job){ .job = { .run = run, .done = done }, .gate = gate };
}

static void
wait_back(struct om_offload_box *box)
{
    struct pollfd polled = { om_offload_box_fd(box), POLLIN, 0 };
    cr_assert_eq(poll(&polled, 1, WAIT_MS), 1, "nothing came back");
    om_offload_box_run(box);
}

Test(offload, runs_jobs_elsewhere_and_has_them_done_here, .timeout = 60)
{
    struct om_offload *offload = om_offload_create(3, JOBS);
    struct om_offload_box *box = om_offload_box_create(offload);
    static struct job jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = make(NULL);
        cr_assert(om_offload_start(box, &jobs[i].job));
    }
    for (size_t i = 0; i < JOBS; i++) {
        while (jobs[i].dones == 0)
            wait_back(box);
        cr_expect_eq(jobs[i].runs, 1);
        cr_expect_eq(jobs[i].dones, 1);
        cr_expect_not(pthread_equal(jobs[i].ran_in, pthread_self()));
    }
    om_offload_box_destroy(&box);
    om_offload_destroy(&offload);
}

Test(offload, refuses_more_than_may_wait, .timeout = 60)
{
    sem_t gate;
    sem_init(&gate, 0, 0);
    struct om_offload *offload = om_offload_create(1, 2);
    struct om_offload_box *box = om_offload_box_create(offload);
    struct job jobs[5];
    size_t started = 0;
    for (size_t i = 0; i < 5; i++) {
        jobs[i] = make(&gate);
        if (!om_offload_start(box, &jobs[started].job))
            break;
        started++;
    }
    cr_expect(started == 2 || started == 3, "%zu: one may have begun", started);
    for (size_t i = 0; i < started; i++)
        sem_post(&gate);
    while (jobs[started - 1].dones == 0)
        wait_back(box);
    struct job again = make(NULL);
    cr_expect(om_offload_start(box, &again.job), "there is room again");
    om_offload_box_destroy(&box);
    cr_expect_eq(again.dones, 1);
    om_offload_destroy(&offload);
    sem_destroy(&gate);
}

Test(offload, waits_for_the_jobs_of_a_box_that_goes, .timeout = 60)
{
    sem_t gate;
    sem_init(&gate, 0, 0);
    struct om_offload *offload = om_offload_create(2, JOBS);
    struct om_offload_box *box = om_offload_box_create(offload),
                          *other = om_offload_box_create(offload);
    struct job mine[10], theirs = make(&gate);
    cr_assert(om_offload_start(other, &theirs.job));
    for (size_t i = 0; i < OM_COUNT(mine); i++) {
        mine[i] = make(NULL);
        cr_assert(om_offload_start(box, &mine[i].job));
    }
    om_offload_box_destroy(&box);
    for (size_t i = 0; i < OM_COUNT(mine); i++)
        cr_expect_eq(mine[i].dones, 1);
    cr_expect_eq(theirs.dones, 0);
    sem_post(&gate);
    om_offload_box_destroy(&other);
    cr_expect_eq(theirs.dones, 1);
    om_offload_destroy(&offload);
    sem_destroy(&gate);
}

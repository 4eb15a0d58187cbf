#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench.h"
#include "limit_bench.h"
#include "seqs.h"

enum { JOBS = 6 };

// A bench whose flows keep two jobs in memory, and what is on its disk.
struct shelf {
    struct bench bench;
    struct stored_task rows[JOBS];
    size_t count;
    bool payloads;        // come with their jobs
    size_t payload_reads; // that were asked for
};

static void
open_shelf(struct shelf *self)
{
    struct core_conf conf = bench_conf();
    conf.window_flow = conf.window_total = 2;
    conf.window_ahead_ms = 1000;
    *self = (struct shelf){ 0 };
    bench_init_conf(&self->bench, &conf);
    bench_hello(&self->bench, BENCH_CLIENT, "ingest", "i1");
    bench_hello(&self->bench, BENCH_WORKER, "inference", "w1");
}

static void
close_shelf(struct shelf *self)
{
    for (size_t i = 0; i < self->count; i++)
        free((char *)self->rows[i].header.data);
    bench_finish(&self->bench);
}

static void
keep(struct shelf *self, const struct change_task *task)
{
    char *header = malloc(task->header.size);
    cr_assert(header && self->count < JOBS);
    memcpy(header, task->header.data, task->header.size);
    self->rows[self->count++] = (struct stored_task){
        .seq = task->seq,
        .id = task->id,
        .tenant = task->tenant,
        .queue = OM_LIT("omni.inference"),
        .kind = OM_LIT("test"),
        .header = { header, task->header.size },
        .created_ms = task->created_ms,
    };
}

// Commit what there is; results end their rows.
static void
commit(struct shelf *self)
{
    struct batch *batch;
    while ((batch = core_take_batch(self->bench.core))) {
        for (size_t i = 0; i < batch->count; i++) {
            const struct change *change = &batch->changes[i];
            if (change->kind == CHANGE_TASK)
                keep(self, &change->task);
            for (size_t j = 0; change->kind == CHANGE_RESULT && j < self->count; j++)
                if (self->rows[j].seq == change->result.task_seq)
                    self->rows[j].state = change->result.state;
        }
        core_committed(self->bench.core, self->bench.now, &batch, OM_OK);
        bench_drop(&self->bench);
    }
}

static void
submit_at(struct shelf *self, int64_t priority, int64_t due_ms, int64_t expires_ms)
{
    struct om_uuid id = bench_task(&self->bench, 1);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("m1"));
    WIRE_SET(&msg, task, bench_task_text(&id));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, queue, OM_LIT("omni.inference"));
    WIRE_SET(&msg, kind, OM_LIT("test"));
    WIRE_SET(&msg, priority, priority);
    if (due_ms)
        WIRE_SET(&msg, due_ms, self->bench.now.wall_ms + due_ms);
    if (expires_ms)
        WIRE_SET(&msg, expires_ms, self->bench.now.wall_ms + expires_ms);
    bench_send(&self->bench, BENCH_CLIENT, &bench_local, WIRE_SUBMIT, &msg, NULL);
    commit(self);
}

static void
submit(struct shelf *self, int64_t due_ms, int64_t expires_ms)
{
    submit_at(self, 5, due_ms, expires_ms);
}

static void
fill(struct shelf *self, struct read *read)
{
    read->rc = OM_OK;
    read->tasks = calloc(JOBS + 1, sizeof(*read->tasks));
    cr_assert(read->tasks);
    for (size_t i = 0; i < self->count; i++) {
        const struct stored_task *row = &self->rows[self->count - 1 - i];
        if (read->kind == READ_OPEN ? row->state == STATE_NONE
                                    : om_uuid_eq(&row->id, &read->id))
            read->tasks[read->count++] = *row;
    }
    for (size_t i = 0; i < read->seq_count; i++)
        for (size_t j = 0; j < self->count; j++)
            if (self->rows[j].seq == read->seqs[i]) {
                struct stored_task *row = &read->tasks[read->count++];
                *row = self->rows[j];
                row->payload = self->payloads ? payload_copy(OM_LIT("work")) : NULL;
            }
    self->payload_reads += read->kind == READ_PAYLOAD;
}

// Answer what is asked, from the shelf or with `rc`. Returns how many reads.
static size_t
answer(struct shelf *self, enum om_rc rc)
{
    size_t count = 0;
    for (struct read *read; (read = core_next_read(self->bench.core)); count++) {
        if (rc == OM_OK)
            fill(self, read);
        read->rc = rc;
        core_read_done(self->bench.core, self->bench.now, &read);
    }
    return count;
}

// The place of the next job sent among those submitted; JOBS: none is.
static size_t
next_job(struct shelf *self)
{
    struct wire_token token;
    answer(self, OM_OK);
    if (!core_next_send(self->bench.core, &self->bench.sent) ||
        wire_decode(self->bench.sent.header, &self->bench.msg) != OM_OK ||
        self->bench.msg.type != WIRE_JOB)
        return JOBS;
    cr_assert_eq(wire_token_decode(self->bench.msg.token, &token), OM_OK);
    for (size_t i = 0; i < self->count; i++)
        if (om_uuid_eq(&self->rows[i].id, &token.task))
            return i;
    return JOBS;
}

Test(spill, keeps_the_order_of_the_jobs_that_were_away)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < JOBS; i++)
        submit(&shelf, 0, 0);
    struct core_stats stats = core_stats(shelf.bench.core);
    cr_expect_eq(stats.away, JOBS - 2);
    cr_expect_eq(stats.ready, JOBS);
    cr_expect_eq(stats.open_tasks, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", (int64_t)i + 1);
        cr_expect_eq(next_job(&shelf), i, "place %zu", i);
    }
    cr_expect_eq(core_stats(shelf.bench.core).away, 0);
    close_shelf(&shelf);
}

Test(spill, asks_for_no_payload_that_came_with_its_job)
{
    for (int with = 0; with < 2; with++) {
        struct shelf shelf;
        open_shelf(&shelf);
        shelf.payloads = with;
        for (int i = 0; i < JOBS; i++)
            submit(&shelf, 0, 0);
        bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", JOBS);
        for (size_t i = 0; i < JOBS; i++) {
            cr_expect_eq(next_job(&shelf), i);
            struct om_str sent = payload_bytes(shelf.bench.sent.payload);
            if (with && i >= 2)
                cr_expect(om_str_eq(sent, OM_LIT("work")));
        }
        cr_expect_eq(shelf.payload_reads, with ? 0 : JOBS - 2, "%zu reads",
                     shelf.payload_reads);
        close_shelf(&shelf);
    }
}

Test(spill, asks_again_when_jobs_could_not_be_read)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 3; i++)
        submit(&shelf, 0, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 3);
    bench_drop(&shelf.bench);
    cr_expect_eq(answer(&shelf, OM_EDB), 1);
    cr_expect_eq(answer(&shelf, OM_OK), 0);
    bench_pass(&shelf.bench, 2000);
    bench_drop(&shelf.bench);
    cr_expect_eq(next_job(&shelf), 2);
    close_shelf(&shelf);
}

Test(spill, lets_jobs_of_less_priority_start_when_others_cannot_be_read)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 3; i++)
        submit(&shelf, 0, 0);
    submit_at(&shelf, 9, 0, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 3);
    bench_drop(&shelf.bench); // the third is being read
    cr_expect_eq(answer(&shelf, OM_EDB), 1);
    cr_expect_eq(next_job(&shelf), 3);
    close_shelf(&shelf);
}

Test(spill, cancels_a_job_that_is_away_and_a_late_answer_does_not_bring_it_back)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 3; i++)
        submit(&shelf, 0, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 2);
    bench_drop(&shelf.bench);
    struct read *late = core_next_read(shelf.bench.core); // of the third
    cr_assert(late);
    fill(&shelf, late);
    bench_ask(&shelf.bench, WIRE_CANCEL, &shelf.rows[2].id);
    cr_expect_eq(answer(&shelf, OM_OK), 1);
    commit(&shelf);
    cr_expect_eq(shelf.rows[2].state, STATE_CANCELLED);
    core_read_done(shelf.bench.core, shelf.bench.now, &late);
    cr_expect_eq(core_stats(shelf.bench.core).open_tasks, 2);
    close_shelf(&shelf);
}

Test(spill, retries_no_job_that_is_away_but_says_again_that_it_was_retried)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < JOBS; i++)
        submit(&shelf, 0, 0);
    shelf.rows[4].reopened = true; // and left memory again
    bench_ask(&shelf.bench, WIRE_RETRY, &shelf.rows[3].id);
    answer(&shelf, OM_OK);
    cr_expect(om_str_eq(bench_refusal(&shelf.bench, BENCH_CLIENT, WIRE_ERROR),
                        OM_LIT("conflict")));
    bench_ask(&shelf.bench, WIRE_RETRY, &shelf.rows[4].id);
    answer(&shelf, OM_OK);
    bench_expect(&shelf.bench, BENCH_CLIENT, WIRE_SUBMITTED);
    cr_expect_null(core_take_batch(shelf.bench.core));
    cr_expect_eq(core_stats(shelf.bench.core).away, JOBS - 2);
    close_shelf(&shelf);
}

Test(spill, starts_what_is_away_when_it_is_due)
{
    struct shelf shelf;
    open_shelf(&shelf);
    submit(&shelf, 60000, 0);
    cr_expect_eq(core_stats(shelf.bench.core).away, 1);
    cr_expect_eq(core_stats(shelf.bench.core).ready, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 1);
    bench_pass(&shelf.bench, 1000);
    cr_expect_eq(answer(&shelf, OM_OK), 0);
    shelf.bench.now.wall_ms += 59000; // no worker falls silent
    core_tick(shelf.bench.core, shelf.bench.now);
    cr_expect_eq(core_stats(shelf.bench.core).ready, 1);
    cr_expect_eq(next_job(&shelf), 0);
    close_shelf(&shelf);
}

Test(spill, ends_what_is_away_when_it_expires)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 3; i++)
        submit(&shelf, 0, i == 2 ? 5000 : 0);
    bench_pass(&shelf.bench, 5001);
    answer(&shelf, OM_OK);
    commit(&shelf);
    cr_expect_eq(shelf.rows[2].state, STATE_EXPIRED);
    cr_expect_eq(core_stats(shelf.bench.core).away, 0);
    close_shelf(&shelf);
}

// Let a purge take its steps.
static void
go_on(struct shelf *self)
{
    for (int i = 0; i < 8; i++) {
        commit(self);
        answer(self, OM_OK);
        bench_pass(&self->bench, 1);
        bench_drop(&self->bench);
    }
}

Test(spill, lets_what_a_purge_leaves_keep_its_place)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 5; i++)
        submit(&shelf, 0, 0);
    shelf.rows[2].attempts = shelf.rows[4].attempts = 1; // they were given back
    limit_steer(&shelf.bench, "purge", "omni.inference", NULL, NULL);
    commit(&shelf);
    bench_pass(&shelf.bench, 1);
    submit(&shelf, 0, 0); // while the others are being looked at
    go_on(&shelf);
    cr_expect_eq(core_stats(shelf.bench.core).cancelled, 3);
    cr_expect_eq(core_stats(shelf.bench.core).ready, 3);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 3);
    static const size_t left[] = { 2, 4, 5 };
    for (size_t i = 0; i < OM_COUNT(left); i++)
        cr_expect_eq(next_job(&shelf), left[i], "place %zu", i);
    close_shelf(&shelf);
}

Test(spill, lets_a_purge_wait_for_what_is_being_read)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < JOBS; i++)
        submit(&shelf, 0, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 1);
    bench_drop(&shelf.bench);
    struct read *next = core_next_read(shelf.bench.core); // of the third
    cr_assert(next);
    limit_steer(&shelf.bench, "purge", "omni.inference", NULL, NULL);
    go_on(&shelf);
    cr_expect_eq(core_stats(shelf.bench.core).open_tasks, 2);
    next->rc = OM_EDB; // it stands in front again
    core_read_done(shelf.bench.core, shelf.bench.now, &next);
    go_on(&shelf);
    cr_expect_eq(core_stats(shelf.bench.core).cancelled, JOBS - 1);
    cr_expect_eq(core_stats(shelf.bench.core).open_tasks, 1);
    close_shelf(&shelf);
}

Test(spill, lets_a_watched_job_keep_its_place)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < JOBS; i++)
        submit(&shelf, 0, 0);
    bench_ask(&shelf.bench, WIRE_WATCH, &shelf.rows[JOBS - 1].id);
    answer(&shelf, OM_OK);
    bench_expect(&shelf.bench, BENCH_CLIENT, WIRE_EVENT);
    cr_expect_eq(core_stats(shelf.bench.core).away, JOBS - 3);
    cr_expect_eq(core_stats(shelf.bench.core).ready, JOBS);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 3);
    bench_drop(&shelf.bench);
    cr_expect_eq(next_job(&shelf), 2);
    bench_pass(&shelf.bench, 5001); // the watch is over
    bench_drop(&shelf.bench);
    cr_expect_eq(core_stats(shelf.bench.core).open_tasks, JOBS);
    close_shelf(&shelf);
}

Test(spill, lists_jobs_that_are_away_with_the_others)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 4; i++)
        submit(&shelf, 0, 0);
    submit(&shelf, 60000, 0);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("l1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, limit, 100);
    WIRE_SET(&msg, status, OM_LIT("submitted"));
    bench_send(&shelf.bench, BENCH_CLIENT, &bench_local, WIRE_LIST, &msg, NULL);
    cr_expect_eq(answer(&shelf, OM_OK), 1);
    bench_expect(&shelf.bench, BENCH_CLIENT, WIRE_TASKS);
    cr_expect_eq(rec_iter(payload_bytes(shelf.bench.sent.payload)).left, 4);
    close_shelf(&shelf);
}

Test(spill, finds_the_few_that_wait_for_a_time_without_going_through_all)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < 5; i++)
        submit(&shelf, i == 3 ? 60000 : 0, 0);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("l1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, status, OM_LIT("scheduled"));
    WIRE_SET(&msg, limit, 10);
    bench_send(&shelf.bench, BENCH_CLIENT, &bench_local, WIRE_LIST, &msg, NULL);
    struct read *read = core_next_read(shelf.bench.core);
    cr_assert(read && read->kind == READ_TASKS);
    cr_assert_eq(read->seq_count, 1);
    cr_expect_eq(read->seqs[0], shelf.rows[3].seq);
    fill(&shelf, read);
    core_read_done(shelf.bench.core, shelf.bench.now, &read);
    bench_expect(&shelf.bench, BENCH_CLIENT, WIRE_TASKS);
    struct rec_iter iter = rec_iter(payload_bytes(shelf.bench.sent.payload));
    cr_expect_eq(iter.left, 1);
    close_shelf(&shelf);
}

Test(spill, costs_a_list_of_what_is_never_away_nothing)
{
    struct shelf shelf;
    open_shelf(&shelf);
    for (int i = 0; i < JOBS; i++)
        submit(&shelf, 0, 0);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, id, OM_LIT("l1"));
    WIRE_SET(&msg, tenant, BENCH_TENANT);
    WIRE_SET(&msg, status, OM_LIT("retrying"));
    WIRE_SET(&msg, limit, 10);
    bench_send(&shelf.bench, BENCH_CLIENT, &bench_local, WIRE_LIST, &msg, NULL);
    bench_expect(&shelf.bench, BENCH_CLIENT, WIRE_TASKS);
    cr_expect_eq(answer(&shelf, OM_OK), 0);
    close_shelf(&shelf);
}

Test(spill, lets_a_job_leave_when_its_last_change_is_durable_and_not_before)
{
    struct shelf shelf;
    char token[WIRE_TOKEN_BYTES];
    open_shelf(&shelf);
    submit(&shelf, 0, 0);
    bench_credit(&shelf.bench, BENCH_WORKER, "omni.inference", 1);
    bench_take_job(&shelf.bench, BENCH_WORKER, token);
    commit(&shelf);
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, token, ((struct om_str){ token, sizeof(token) }));
    WIRE_SET(&msg, code, OM_LIT("unavailable"));
    WIRE_SET(&msg, retry_ms, 60000);
    bench_send(&shelf.bench, BENCH_WORKER, &bench_local, WIRE_FAIL, &msg, NULL);
    struct batch *batch = core_take_batch(shelf.bench.core);
    cr_assert(batch);
    cr_expect_eq(core_stats(shelf.bench.core).away, 0);
    core_committed(shelf.bench.core, shelf.bench.now, &batch, OM_EDB);
    cr_expect_eq(core_stats(shelf.bench.core).away, 0);
    bench_pass(&shelf.bench, 2000); // then it is tried again
    commit(&shelf);
    cr_expect_eq(core_stats(shelf.bench.core).away, 1);
    cr_expect_eq(core_stats(shelf.bench.core).open_tasks, 1);
    close_shelf(&shelf);
}

Test(spill, begins_with_all_that_wait_away)
{
    struct core_conf conf = bench_conf();
    struct core *core = core_create(&conf);
    for (int64_t seq = 1; seq <= 100000; seq++) {
        struct stored_waiting waiting = { .seq = seq,
                                          .tenant = { { 1, [15] = 1 } },
                                          .queue = OM_LIT("own"),
                                          .priority = 5,
                                          .due_ms = seq % 10 == 0 ? seq : 0 };
        cr_assert_eq(core_load_waiting(core, &waiting), OM_OK);
    }
    core_serve(core, (struct core_now){ 1000, 1, 0 });
    struct core_stats stats = core_stats(core);
    cr_expect_eq(stats.away, 100000);
    cr_expect_eq(stats.ready, 90000);
    cr_expect_eq(stats.open_tasks, 100000);
    core_destroy(&core);
}

Test(seqs, leave_a_deque_in_the_order_they_came)
{
    struct seq_deque deque = { 0 };
    for (int64_t seq = 3; seq <= 5000; seq++)
        seq_deque_push(&deque, seq);
    seq_deque_push_front(&deque, (int64_t[]){ 1, 2 }, 2);
    for (int64_t seq = 1; seq <= 5000; seq++)
        cr_assert_eq(seq_deque_take(&deque), seq);
    cr_expect_eq(seq_deque_take(&deque), 0);
    cr_expect_eq(deque.count, 0);
    seq_deque_finish(&deque);
}

Test(seqs, are_walked_through_in_their_places_whatever_comes_and_goes)
{
    struct seq_deque deque = { 0 };
    for (int64_t seq = 1; seq <= 100; seq++)
        seq_deque_push(&deque, seq);
    seq_deque_walk(&deque);
    for (int64_t seq = 1; seq <= 20; seq++)
        cr_assert_eq(seq_deque_next(&deque), seq);
    for (int64_t seq = 1; seq <= 50; seq++)
        cr_assert_eq(seq_deque_take(&deque), seq);
    cr_expect_eq(seq_deque_first(&deque), 51);
    for (int64_t seq = 51; seq <= 100; seq++)
        cr_assert_eq(seq_deque_next(&deque), seq);
    cr_expect_eq(seq_deque_next(&deque), 0);
    seq_deque_push(&deque, 101);
    cr_expect_eq(seq_deque_next(&deque), 101);
    cr_expect_eq(deque.count, 51);
    seq_deque_push_front(&deque, (int64_t[]){ 49, 50 }, 2);
    cr_expect_eq(seq_deque_next(&deque), 49);
    while (seq_deque_take(&deque))
        ;
    cr_expect_eq(seq_deque_next(&deque), 0);
    cr_expect_eq(seq_deque_first(&deque), 0);
    seq_deque_push(&deque, 102);
    cr_expect_eq(seq_deque_next(&deque), 102);
    seq_deque_finish(&deque);
}

Test(seqs, are_in_a_set_once)
{
    struct seq_set set = { 0 };
    cr_expect(seq_set_add(&set, 4096));
    cr_expect_not(seq_set_add(&set, 4096));
    cr_expect_not(seq_set_has(&set, 4095));
    cr_expect(seq_set_remove(&set, 4096));
    cr_expect_not(seq_set_remove(&set, 4096));
    cr_expect_eq(set.count, 0);
    seq_set_finish(&set);
}

Test(seqs, leave_a_heap_by_their_time)
{
    struct seq_heap heap = { 0 };
    for (int64_t seq = 1; seq <= 1000; seq++)
        seq_heap_push(&heap, seq * 7919 % 1000, seq, WAKE_RETRY);
    int64_t seq, last_ms = 0;
    enum wake kind;
    while (seq_heap_take(&heap, 1000, &seq, &kind)) {
        cr_assert_geq(seq * 7919 % 1000, last_ms);
        cr_assert_eq(kind, WAKE_RETRY);
        last_ms = seq * 7919 % 1000;
    }
    cr_expect_eq(heap.count, 0);
    seq_heap_finish(&heap);
}

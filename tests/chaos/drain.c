// drain.c - asks for every task until all have ended, and lists what else there is.
//
// usage: chaos_drain ENDPOINT LOG SECONDS <TASKS
// TASKS has a line "TASK TENANT" for each task. What has not ended after so many seconds
// is noted with the state it is in.
#include <poll.h>
#include <stdlib.h>

#include "client.h"
#include "id.h"
#include "record.h"

enum { ANSWER_MS = 10 * 1000, WINDOW = 512, PAGE = 100, PAUSE_MS = 50 };

struct task {
    char id[OM_TYPEID_MAX], tenant[OM_TYPEID_MAX];
    bool ended;
};

struct drain {
    struct om_client *client;
    struct record record;
    struct task *tasks;
    size_t count, open, asked;
    int64_t end_ms;
};

static struct drain drain;

static void
read_tasks(struct drain *self)
{
    struct task task = { 0 };
    size_t capacity = 0;
    while (scanf("%44s %44s", task.id, task.tenant) == 2) {
        if (self->count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            self->tasks = realloc(self->tasks, capacity * sizeof(task));
            if (!self->tasks)
                record_die("no memory");
        }
        self->tasks[self->count++] = task;
    }
    self->open = self->count;
}

static void
wait_a_little(struct drain *self, int wait_ms)
{
    int fds[2];
    om_client_process(self->client);
    om_link_fds(om_client_link(self->client), fds);
    struct pollfd polled[] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
    poll(polled, 2, wait_ms);
    om_client_process(self->client);
}

static void
note(struct drain *self, const struct task *task, const struct wire_task *seen,
     struct om_str result)
{
    struct om_str code = seen->code.size ? seen->code : OM_LIT("-");
    if (!result.size)
        result = OM_LIT("-");
    record_line(&self->record, 'F', "%s %s %lld %lld %.*s %.*s", task->id,
                state_info(seen->state)->name, (long long)seen->attempts,
                (long long)seen->lost, (int)code.size, code.data, (int)result.size,
                result.data);
}

static void
on_task(void *context, const struct om_answer *answer)
{
    struct drain *self = &drain;
    struct task *task = context;
    struct wire_task seen = { 0 };
    bool late = om_clock_mono_ms() >= self->end_ms;
    self->asked--;
    if (answer->rc == OM_OK &&
        rec_decode(&wire_task_rec, answer->msg->info, &seen, NULL) != OM_OK)
        record_die("the state of %s cannot be read", task->id);
    bool known = answer->rc == OM_OK;
    if (known && (state_info(seen.state)->ended || late))
        note(self, task, &seen, answer->payload);
    else if (answer->rc == OM_ENOTFOUND || late)
        record_line(&self->record, 'F', "%s %s 0 0 - -", task->id,
                    om_rc_info(answer->rc)->code);
    else
        return; // asked again in the next pass
    task->ended = true;
    self->open--;
}

// Ask once for each task that has not ended.
static void
pass(struct drain *self)
{
    for (size_t i = 0; i < self->count; i++) {
        struct task *task = &self->tasks[i];
        if (task->ended)
            continue;
        struct wire_msg msg = { 0 };
        WIRE_SET(&msg, task, om_str(task->id));
        WIRE_SET(&msg, tenant, om_str(task->tenant));
        if (!om_client_send(self->client, WIRE_GET, &msg, (struct om_str){ 0 }, ANSWER_MS,
                            on_task, task))
            record_die("too many questions");
        self->asked++;
        while (self->asked >= WINDOW)
            wait_a_little(self, PAUSE_MS);
    }
    while (self->asked)
        wait_a_little(self, PAUSE_MS);
}

// ---- the list

// Note a page of a tenant's tasks; the last one's id is in `after`. False: it was the
// last page.
static bool
list_page(struct drain *self, const char *tenant, char after[OM_TYPEID_MAX])
{
    struct wire_msg msg = { 0 };
    WIRE_SET(&msg, tenant, om_str(tenant));
    WIRE_SET(&msg, limit, PAGE);
    if (*after)
        WIRE_SET(&msg, after, om_str(after));
    struct om_answer answer =
        om_client_request(self->client, WIRE_LIST, &msg, (struct om_str){ 0 }, ANSWER_MS);
    if (answer.rc != OM_OK)
        record_die("the tasks of %s cannot be listed: %s", tenant,
                   om_rc_info(answer.rc)->code);
    struct rec_iter iter = rec_iter(answer.payload);
    struct om_str bytes;
    size_t count = 0;
    for (; rec_next_raw(&iter, &bytes); count++) {
        struct wire_task seen;
        if (rec_decode(&wire_task_rec, bytes, &seen, NULL) != OM_OK)
            record_die("a listed task cannot be read");
        snprintf(after, OM_TYPEID_MAX, "%.*s", (int)seen.task.size, seen.task.data);
        record_line(&self->record, 'L', "%s %s", after, state_info(seen.state)->name);
    }
    return count == PAGE;
}

static void
list_all(struct drain *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const char *tenant = self->tasks[i].tenant;
        bool listed = false;
        for (size_t k = 0; k < i && !listed; k++)
            listed = strcmp(self->tasks[k].tenant, tenant) == 0;
        char after[OM_TYPEID_MAX] = "";
        while (!listed && list_page(self, tenant, after))
            ;
    }
}

int
main(int argc, char **argv)
{
    if (argc != 4)
        record_die("usage: chaos_drain ENDPOINT LOG SECONDS <TASKS");
    struct om_link_conf link = { .endpoint = argv[1],
                                 .node = "chaos-drain",
                                 .role = ROLE_INGEST };
    const char *why;
    record_open(&drain.record, argv[2]);
    read_tasks(&drain);
    if (om_client_create(&link, &drain.client, &why) != OM_OK)
        record_die("chaos_drain: %s", why);
    drain.end_ms = om_clock_mono_ms() + atoll(argv[3]) * 1000;
    while (drain.open)
        pass(&drain);
    list_all(&drain);
    om_client_destroy(&drain.client);
    free(drain.tasks);
    return 0;
}

#include "depend.h"

#include <stdio.h>

#include "query.h"
#include "task_inner.h"

enum {
    SLICE = 1024, // tasks placed at a time
    SLICE_PAUSE_MS = 1,
};

struct awaited_key {
    struct om_uuid tenant, id;
};

// A task that others wait for, whether it is in memory or not.
struct awaited {
    struct awaited_key key;
    struct link *links; // those that wait for the answer to `question` first
    int64_t question;   // the store is asked whether it has ended; 0: it has not
    UT_hash_handle hh;
};

// One parent of one child.
struct link {
    struct depend *depend;
    struct awaited *awaited; // NULL: it has ended
    bool unread;             // counts in the child's submission->unread
    struct link *prev, *next;
};

// ---- who waits for whom

static struct awaited *
awaited_find(const struct core *self, const struct awaited_key *key)
{
    struct awaited *awaited = NULL;
    HASH_FIND(hh, self->awaited, key, sizeof(*key), awaited);
    return awaited;
}

static struct awaited *
awaited_get(struct core *self, const struct awaited_key *key)
{
    struct awaited *awaited = awaited_find(self, key);
    if (awaited)
        return awaited;
    awaited = core_alloc(sizeof(*awaited));
    awaited->key = *key;
    HASH_ADD(hh, self->awaited, key, sizeof(awaited->key), awaited);
    return awaited;
}

static void
link_set(struct link *link, struct awaited *awaited)
{
    link->awaited = awaited;
    link->depend->open++;
    if (awaited->question) {
        link->unread = true;
        link->depend->task->submission->unread++;
        DL_PREPEND(awaited->links, link);
    } else {
        DL_APPEND(awaited->links, link);
    }
}

// The child waits for this parent no more.
static void
link_clear(struct core *self, struct link *link)
{
    struct awaited *awaited = link->awaited;
    if (!awaited)
        return;
    DL_DELETE(awaited->links, link);
    link->awaited = NULL;
    link->depend->open--;
    if (awaited->links)
        return;
    HASH_DEL(self->awaited, awaited);
    free(awaited);
}

static struct depend *
depend_create(struct core *self, struct task *task, size_t count)
{
    struct depend *depend = core_alloc(sizeof(*depend));
    depend->links = core_alloc((count + 1) * sizeof(*depend->links));
    depend->task = task;
    for (size_t i = 0; i < count; i++)
        depend->links[i].depend = depend;
    task->depend = depend;
    task->tenant->blocked++;
    self->blocked++;
    return depend;
}

void
depend_destroy(struct core *self, struct task *task)
{
    struct depend *depend = task->depend;
    if (!depend)
        return;
    task->depend = NULL;
    if (depend->is_loose)
        DL_DELETE(self->loose, depend);
    for (size_t i = 0; i < depend->count; i++)
        link_clear(self, &depend->links[i]);
    task->tenant->blocked--;
    self->blocked--;
    free(depend->links);
    free(depend);
}

bool
depend_room(const struct core *self, const struct tenant_state *tenant)
{
    return self->blocked < self->conf.max_blocked &&
           (!tenant || tenant->blocked < self->conf.max_blocked_per_tenant);
}

// ---- a new child

static enum om_rc
say(char why[SUBMIT_WHY_MAX], enum om_rc rc, const struct om_uuid *id, const char *text)
{
    char task[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TASK, id, task);
    snprintf(why, SUBMIT_WHY_MAX, "depends_on names %s, which %s", task, text);
    return rc;
}

// A parent that is not in memory is asked for once, however many wait for the answer.
static enum om_rc
await_unknown(struct core *self, const struct awaited_key *key, struct link *link,
              char why[SUBMIT_WHY_MAX])
{
    struct awaited *awaited = awaited_find(self, key);
    if (!awaited) {
        if (!query_room(self)) {
            snprintf(why, SUBMIT_WHY_MAX, "too many questions are open");
            return OM_EUNAVAILABLE;
        }
        awaited = awaited_get(self, key);
        awaited->question = ++self->last_question;
        query_parent(self, &key->tenant, &key->id, awaited->question);
    }
    link_set(link, awaited);
    return OM_OK;
}

static enum om_rc
link_parent(struct core *self, struct task *task, const struct om_uuid *id,
            struct link *link, char why[SUBMIT_WHY_MAX])
{
    struct awaited_key key = { task->tenant->id, *id };
    const struct task *parent = task_find_any(self, id);
    if (parent == task)
        return say(why, OM_EINVAL, id, "is the task itself");
    if (!parent)
        return await_unknown(self, &key, link, why);
    if (parent->tenant != task->tenant)
        return say(why, OM_EINVAL, id, "does not exist");
    bool known = parent->committed || parent->reopened;
    const struct intake *set = task->submission->set;
    bool with_it = set && parent->submission && parent->submission->set == set;
    if (!known && !with_it)
        return say(why, OM_EUNAVAILABLE, id, "is not acknowledged yet");
    task->submission->unsorted += !known;
    link_set(link, awaited_get(self, &key));
    return OM_OK;
}

enum om_rc
depend_link(struct core *self, struct task *task, const struct wire_msg *msg,
            char why[SUBMIT_WHY_MAX])
{
    struct rec_iter iter = rec_iter(msg->depends_on);
    if (iter.left == 0)
        return OM_OK;
    struct depend *depend = depend_create(self, task, iter.left);
    depend->run_anyway = msg->run_anyway;
    enum om_rc rc = OM_OK;
    for (struct om_str text; rc == OM_OK && rec_next_str(&iter, &text);) {
        struct om_uuid id;
        if (om_typeid_decode(OM_ID_TASK, text, &id) == OM_OK) {
            rc = link_parent(self, task, &id, &depend->links[depend->count++], why);
        } else {
            snprintf(why, SUBMIT_WHY_MAX, "depends_on names what is no task id");
            rc = OM_EINVAL;
        }
    }
    return rc;
}

void
depend_restore(struct core *self, struct task *task, const struct stored_task *stored)
{
    struct wire_msg msg;
    struct rec_iter iter = rec_iter(task->depends_on);
    bool started =
        stored->attempts > 0 || stored->lost > 0 || stored->leased || stored->reopened;
    if (iter.left == 0 || started || stored_task_header(stored, &msg) != OM_OK)
        return;
    struct depend *depend = depend_create(self, task, iter.left);
    depend->run_anyway = msg.run_anyway;
    depend->failed = stored->parent_failed;
    struct awaited_key key = { .tenant = task->tenant->id };
    for (struct om_str text; rec_next_str(&iter, &text); depend->count++) {
        bool open = stored->parents_open[depend->count / 64] >> depend->count % 64 & 1;
        if (open && om_typeid_decode(OM_ID_TASK, text, &key.id) == OM_OK)
            link_set(&depend->links[depend->count], awaited_get(self, &key));
    }
}

bool
depend_sort(struct core *self, struct task *const *tasks, size_t count,
            struct task **found)
{
    struct task **sorted = core_alloc((count + 1) * sizeof(*sorted));
    size_t added = 0;
    for (size_t i = 0; i < count; i++)
        if (tasks[i]->submission->unsorted == 0)
            sorted[added++] = tasks[i];
    for (size_t i = 0; i < added; i++) {
        struct awaited_key key = { sorted[i]->tenant->id, sorted[i]->id };
        const struct awaited *awaited = awaited_find(self, &key);
        const struct intake *set = sorted[i]->submission->set;
        for (struct link *link = awaited ? awaited->links : NULL; link;
             link = link->next) {
            // A child of before waits for the one this is said again of.
            struct task *child = link->depend->task;
            bool with_it = child->submission && child->submission->set == set;
            if (with_it && --child->submission->unsorted == 0)
                sorted[added++] = child;
        }
    }
    free(sorted);
    *found = NULL;
    for (size_t i = 0; i < count && !*found; i++)
        if (tasks[i]->submission->unsorted > 0)
            *found = tasks[i];
    return added == count;
}

// ---- the store's answer

// The children that were held until the answer: each has one answer less to wait for.
// What follows may refuse any of them, and with the last the parent is awaited no more.
static void
let_in(struct core *self, const struct awaited_key *key)
{
    struct awaited *awaited;
    while ((awaited = awaited_find(self, key)) && awaited->links->unread) {
        struct link *link = awaited->links;
        link->unread = false;
        DL_DELETE(awaited->links, link);
        DL_APPEND(awaited->links, link);
        submit_answered(self, link->depend->task);
    }
}

static void
turn_away(struct core *self, const struct awaited_key *key, enum om_rc rc)
{
    char why[SUBMIT_WHY_MAX];
    const struct awaited *awaited;
    say(why, rc, &key->id, rc == OM_EINVAL ? "does not exist" : "cannot be read now");
    while ((awaited = awaited_find(self, key)) && awaited->links->unread)
        submit_refuse(self, awaited->links->depend->task, rc, why);
}

void
depend_read_done(struct core *self, const struct om_uuid *tenant,
                 const struct om_uuid *id, int64_t question, const struct read *read)
{
    struct awaited_key key = { *tenant, *id };
    struct awaited *awaited = awaited_find(self, &key);
    if (!awaited || awaited->question != question)
        return; // nobody waits for the answer any more
    if (read->rc != OM_OK) {
        turn_away(self, &key, read->rc == OM_ENOTFOUND ? OM_EINVAL : OM_EDB);
        return;
    }
    // One that came back to memory since will tell of its end; one that is only submitted
    // again will not.
    enum task_state state = read->tasks[0].state;
    const struct task *there = task_find_any(self, id);
    bool will_tell = there && (there->committed || there->reopened);
    if (state_info(state)->ended && !will_tell) {
        depend_ended(self, tenant, id, state);
        return;
    }
    awaited->question = 0;
    let_in(self, &key);
}

// ---- a parent's end

bool
depend_has_failed(const struct task *task)
{
    return task->depend && task->depend->failed && !task->depend->run_anyway;
}

bool
depend_must_wait(struct core *self, struct task *task)
{
    if (task->depend && task->depend->open == 0)
        depend_destroy(self, task);
    return task->depend != NULL;
}

static void
loosen(struct core *self, struct depend *depend)
{
    struct task *task = depend->task;
    bool may_go = depend->open == 0 || depend_has_failed(task);
    if (!may_go || !task->committed || task->ending || depend->is_loose)
        return;
    depend->is_loose = true;
    DL_APPEND(self->loose, depend);
}

void
depend_ending(struct core *self, const struct task *task, enum task_state state)
{
    struct awaited_key key = { task->tenant->id, task->id };
    const struct awaited *awaited = awaited_find(self, &key);
    if (!awaited || state == STATE_SUCCEEDED)
        return;
    // Those that run anyway have to know that it is durable.
    for (struct link *link = awaited->links; link; link = link->next) {
        link->depend->failed = true;
        if (!link->depend->run_anyway)
            loosen(self, link->depend);
    }
}

void
depend_ended(struct core *self, const struct om_uuid *tenant, const struct om_uuid *id,
             enum task_state state)
{
    struct awaited_key key = { *tenant, *id };
    struct awaited *awaited;
    while ((awaited = awaited_find(self, &key))) {
        struct link *link = awaited->links;
        struct depend *depend = link->depend;
        bool unread = link->unread;
        link->unread = false;
        link_clear(self, link);
        depend->failed = depend->failed || state != STATE_SUCCEEDED;
        loosen(self, depend);
        if (unread)
            submit_answered(self, depend->task);
    }
}

static void
on_loose(struct core *self, struct timer *timer)
{
    (void)self, (void)timer; // depend_settle() follows every input
}

void
depend_settle(struct core *self)
{
    struct depend *depend;
    for (size_t n = 0; n < SLICE && (depend = self->loose); n++) {
        if (commit_congested(self))
            break;
        DL_DELETE(self->loose, depend);
        depend->is_loose = false;
        if (!depend->task->ending)
            task_place(self, depend->task);
    }
    if (self->loose)
        timer_set(&self->mono, &self->loose_timer, self->now.mono_ms + SLICE_PAUSE_MS,
                  on_loose);
}

// ---- PARENT

bool
depend_names(struct om_str list, const struct om_uuid *id)
{
    struct om_uuid one;
    struct rec_iter iter = rec_iter(list);
    for (struct om_str text; rec_next_str(&iter, &text);)
        if (om_typeid_decode(OM_ID_TASK, text, &one) == OM_OK && om_uuid_eq(&one, id))
            return true;
    return false;
}

void
on_parent(struct core *self, const struct input *in)
{
    struct om_uuid id;
    struct lease *lease = lease_said(self, in);
    if (!lease)
        return;
    const struct task *task =
        lease->kind == &task_kind ? task_find_any(self, &lease->token.task) : NULL;
    if (!task || om_typeid_decode(OM_ID_TASK, in->msg->task, &id) != OM_OK ||
        !depend_names(task->depends_on, &id))
        out_error(self, in->conn, in->msg->id, OM_ENOTFOUND,
                  "the job does not depend on that task");
    else
        query_result(self, in, &task->tenant->id, &id);
}

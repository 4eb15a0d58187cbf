// Workflows: chain, group, chord and graphs of jobs, as one atomic batch.
#include <stdio.h>

#include "id.h"
#include "jobs.h"
#include "json.h"

REC_DEFINE(workflow_task, WORKFLOW_TASK);
REC_DEFINE(workflow_create, WORKFLOW_CREATE);
REC_DEFINE(workflow_chord, WORKFLOW_CHORD);
REC_DEFINE(workflow_name, WORKFLOW_NAME);
REC_DEFINE(workflow_member, WORKFLOW_MEMBER);
REC_DEFINE(workflow_accepted, WORKFLOW_ACCEPTED);

enum { PARENTS_MAX = 256 };

// ---- who waits for whom

// Have the job depend on `parents` of the batch too, besides those its record names.
static bool
add_parents(struct exchange *x, struct batch_request *batch, size_t place,
            const size_t *parents, size_t count)
{
    struct task_create *record = &batch->jobs[place].record;
    struct rec_iter own = rec_iter(record->depends_on);
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    if (own.left + count > PARENTS_MAX) {
        exchange_fail(x, OM_EINVAL, batch->field,
                      "\"%s[%zu]\" must not wait for more than %d others", batch->field,
                      place, PARENTS_MAX);
        return false;
    }
    om_pack_array(&list, own.left + count);
    for (struct om_str text; rec_next_str(&own, &text);)
        om_pack_str(&list, text);
    for (size_t i = 0; i < count; i++)
        om_pack_str(&list, om_str(batch->jobs[parents[i]].task));
    if (list.failed) {
        exchange_fail(x, OM_EUNAVAILABLE, NULL, "there is no memory for the workflow");
        return false;
    }
    if (own.left + count == 0)
        return true;
    char *copy = om_arena_alloc(&x->arena, list.size);
    memcpy(copy, list.data, list.size);
    REC_SET(record, task_create, depends_on, ((struct om_str){ copy, list.size }));
    return true;
}

static void
reply_workflow(struct exchange *x, struct batch_request *batch)
{
    struct om_buf *out = &x->edge->out;
    om_json_put(out, "{\"object\":\"workflow\",\"id\":");
    om_json_put_str(out, om_str(batch->jobs[batch->count - 1].task));
    om_json_put(out, ",\"tasks\":[");
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_job *job = &batch->jobs[i];
        om_json_put(out, i ? ",{\"name\":" : "{\"name\":");
        om_json_put_str(out, om_str(job->name));
        om_json_put(out, ",\"task_id\":");
        om_json_put_str(out, om_str(job->task));
        om_json_put(out, "}");
        x->replayed = x->replayed || job->replayed;
    }
    om_json_put(out, "]}");
    struct om_http_response response = { .status = 202 };
    exchange_reply_json(x, &response);
}

// A workflow of so many jobs, each with an id.
static struct batch_request *
create(struct exchange *x, const char *field, size_t count)
{
    const struct workflow_create *record = x->record;
    OM_AUTO(om_buf_finish) struct om_buf content = { 0 };
    rec_encode(&workflow_create_rec, record, &content);
    char *copy = om_arena_alloc(&x->arena, content.size + 1);
    memcpy(copy, content.data, content.size);
    struct batch_request *batch = batch_create(x, count);
    batch->field = field;
    batch->content = (struct om_str){ copy, content.size };
    batch->atomic = true;
    batch->reply = reply_workflow;
    for (size_t i = 0; i < count; i++) {
        om_id_text(OM_ID_TASK, om_uuid_shard(&x->caller.tenant), batch->jobs[i].task);
        batch->jobs[i].name = om_arena_printf(&x->arena, "%zu", i + 1);
    }
    return batch;
}

// Read the jobs of a list into the batch.
static void
read_jobs(struct om_str list, struct batch_request *batch)
{
    struct rec_iter iter = rec_iter(list);
    struct om_str bytes;
    for (size_t i = 0;
         rec_next_rec(&iter, &task_create_rec, &batch->jobs[i].record, &bytes);)
        i++;
}

static void
send(struct exchange *x, struct batch_request *batch)
{
    snprintf(x->resource, sizeof(x->resource), "%s", batch->jobs[batch->count - 1].task);
    batch_send(x, batch);
}

// ---- chain, group, chord

static void
send_chain(struct exchange *x, struct om_str list)
{
    struct batch_request *batch = create(x, "chain", rec_iter(list).left);
    read_jobs(list, batch);
    for (size_t i = 1; i < batch->count; i++) {
        size_t before = i - 1;
        if (!add_parents(x, batch, i, &before, 1))
            return;
    }
    send(x, batch);
}

static void
send_group(struct exchange *x, struct om_str list)
{
    struct batch_request *batch = create(x, "group", rec_iter(list).left);
    read_jobs(list, batch);
    send(x, batch);
}

// A map that was read as such, as a record. False: replied.
static bool
read_map(struct exchange *x, const struct rec *type, const char *name, struct om_str map,
         void *out)
{
    struct om_json_error error = { 0 };
    char param[OM_JSON_PARAM_MAX + 16];
    OM_AUTO(om_buf_finish) struct om_buf text = { 0 };
    if (om_json_put_msgpack(&text, map) &&
        om_json_to_record(type, om_buf_str(&text), &x->arena, out, &error) == OM_OK)
        return true;
    snprintf(param, sizeof(param), "%s%s%s", name, *error.param ? "." : "", error.param);
    exchange_fail(x, OM_EINVAL, param, "%s",
                  *error.text ? error.text : "it cannot be read");
    return false;
}

static void
send_chord(struct exchange *x, struct om_str map)
{
    struct workflow_chord chord;
    struct task_create then;
    size_t group[PARENTS_MAX];
    if (!read_map(x, &workflow_chord_rec, "chord", map, &chord) ||
        !read_map(x, &task_create_rec, "chord.then", chord.then, &then))
        return;
    size_t count = rec_iter(chord.group).left;
    struct batch_request *batch = create(x, "chord", count + 1);
    read_jobs(chord.group, batch);
    for (size_t i = 0; i < count; i++)
        group[i] = i;
    batch->jobs[count].record = then;
    batch->jobs[count].name = "then";
    if (add_parents(x, batch, count, group, count))
        send(x, batch);
}

// ---- a graph by names

// The place of the job of that name; SIZE_MAX: none.
static size_t
find_name(const struct batch_request *batch, size_t count, struct om_str name)
{
    for (size_t i = 0; i < count; i++)
        if (om_str_eq(om_str(batch->jobs[i].name), name))
            return i;
    return SIZE_MAX;
}

static bool
read_name(struct exchange *x, struct batch_request *batch, size_t place,
          struct om_str bytes)
{
    struct workflow_name named;
    if (rec_decode(&workflow_name_rec, bytes, &named, NULL) != OM_OK ||
        rec_decode(&task_create_rec, bytes, &batch->jobs[place].record, NULL) != OM_OK) {
        exchange_fail(x, OM_EINVAL, "tasks", "\"tasks[%zu]\" cannot be read", place);
        return false;
    }
    if (find_name(batch, place, named.name) != SIZE_MAX) {
        exchange_fail(x, OM_EINVAL, "tasks",
                      "the name \"%.*s\" of \"tasks[%zu]\" is taken",
                      (int)named.name.size, named.name.data, place);
        return false;
    }
    batch->jobs[place].name = om_arena_strdup(&x->arena, named.name);
    return true;
}

static bool
link_names(struct exchange *x, struct batch_request *batch, size_t place,
           struct om_str bytes)
{
    struct workflow_name named;
    size_t parents[PARENTS_MAX], count = 0;
    if (rec_decode(&workflow_name_rec, bytes, &named, NULL) != OM_OK)
        return false; // it was read before
    struct rec_iter after = rec_iter(named.after);
    for (struct om_str name; count < PARENTS_MAX && rec_next_str(&after, &name);) {
        parents[count] = find_name(batch, batch->count, name);
        if (parents[count++] != SIZE_MAX)
            continue;
        exchange_fail(
            x, OM_EINVAL, "tasks",
            "\"tasks[%zu].after\" names \"%.*s\", which is no task of the workflow",
            place, (int)name.size, name.data);
        return false;
    }
    return add_parents(x, batch, place, parents, count);
}

static void
send_graph(struct exchange *x, struct om_str list)
{
    struct rec_iter iter = rec_iter(list);
    struct batch_request *batch = create(x, "tasks", iter.left);
    struct om_str bytes;
    for (size_t i = 0; rec_next_raw(&iter, &bytes); i++)
        if (!read_name(x, batch, i, bytes))
            return;
    iter = rec_iter(list);
    for (size_t i = 0; rec_next_raw(&iter, &bytes); i++)
        if (!link_names(x, batch, i, bytes))
            return;
    send(x, batch);
}

void
workflow_submit(struct exchange *x)
{
    const struct workflow_create *record = exchange_read(x, &workflow_create_rec);
    if (!record)
        return;
    x->record = (void *)record;
    int kinds = !!record->chain.data + !!record->group.data + !!record->chord.data +
                !!record->tasks.data;
    if (kinds != 1)
        exchange_fail(x, OM_EINVAL, NULL,
                      "give one of \"chain\", \"group\", \"chord\" and \"tasks\"");
    else if (record->chain.data)
        send_chain(x, record->chain);
    else if (record->group.data)
        send_group(x, record->group);
    else if (record->chord.data)
        send_chord(x, record->chord);
    else
        send_graph(x, record->tasks);
}

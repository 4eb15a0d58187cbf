// call.h - calls a service's handler as the serve loop does, without a broker.
//
// Request and reply go through the operation's record types, so a test fails when a
// handler leaves out a required field or exceeds a bound.
#pragma once
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "db.h"
#include "service.h"
#include "work.h"

struct call {
    struct om_client *client; // set by the test: the handler's own, NULL for none
    enum role from;           // set by the test: who calls; 0 for the edge
    bool now;                 // set by the test: it is to be answered at once
    int64_t deadline_ms; // set by the test: mono, when the work is cancelled; 0: never
    int64_t parts; // set by the test: so much is taken of an answer in parts; 0: whole
    struct om_arena arena;
    union {
        struct work work; // what om_job_usage() and om_job_progress() write into
        struct om_job job;
    };
    struct wire_msg msg;
    struct om_buf request, reply; // decoded values point into them
    char tenant[OM_TYPEID_MAX], id[OM_TYPEID_MAX];
    struct om_call call;
};

static inline void
call_finish(struct call *self)
{
    work_drop_chunks(&self->work);
    om_arena_finish(&self->arena);
    om_buf_finish(&self->request);
    om_buf_finish(&self->reply);
}

// Call `op` for `tenant` with the message id `id` ("" for none).
static inline enum om_rc
call_op(struct call *self, const struct om_route *routes, void *service, enum op op,
        struct om_uuid tenant, const char *id, const void *request, void *reply)
{
    call_finish(self);
    *self = (struct call){ .client = self->client,
                           .from = self->from,
                           .now = self->now,
                           .deadline_ms = self->deadline_ms,
                           .parts = self->parts };
    self->work.chunk_fd = -1; // nobody sends them
    self->work.chunks_end = &self->work.chunks;
    self->work.streams = self->parts > 0;
    self->work.chunk_limit = self->parts;
    pthread_mutex_init(&self->work.lock, NULL);
    self->job.slot = self->client;
    om_typeid_encode(OM_ID_TENANT, &tenant, self->tenant);
    snprintf(self->id, sizeof(self->id), "%s", id);
    self->job.arena = &self->arena;
    self->job.msg = &self->msg;
    self->job.deadline_ms = self->deadline_ms ? self->deadline_ms : INT64_MAX;
    self->call = (struct om_call){
        .op = &ops[op],
        .tenant = om_str(self->tenant),
        .tenant_id = tenant,
        .id = *id ? om_str(self->id) : (struct om_str){ 0 },
        .from = self->from ? self->from : ROLE_INGEST,
        .job = &self->job,
        .now = self->now,
    };
    void *decoded = om_arena_alloc(&self->arena, ops[op].request->size);
    rec_encode(ops[op].request, request, &self->request);
    enum om_rc rc =
        rec_decode(ops[op].request, om_buf_str(&self->request), decoded, NULL);
    cr_assert(rc == OM_OK, "the request of %s", ops[op].name);

    const struct om_route *route = routes;
    while (route->handle && route->op != op)
        route++;
    cr_assert(route->handle, "no route for %s", ops[op].name);
    void *made = om_arena_alloc(&self->arena, ops[op].reply->size);
    rc = route->handle(service, &self->call, decoded, made);
    if (rc)
        return rc;
    rec_encode(ops[op].reply, made, &self->reply);
    const struct rec_field *field = NULL;
    rc = rec_decode(ops[op].reply, om_buf_str(&self->reply), reply, &field);
    cr_assert(rc == OM_OK, "%s in the reply of %s", field ? field->name : "something",
              ops[op].name);
    return OM_OK;
}

// Every operation of the queue has a route.
static inline void
call_expect_routes(const struct om_route *routes, enum queue queue)
{
    for (size_t i = 0; i < OP_COUNT; i++) {
        if (ops[i].queue != queue)
            continue;
        const struct om_route *route = routes;
        while (route->handle && (size_t)route->op != i)
            route++;
        cr_expect(route->handle, "no route for %s", ops[i].name);
    }
}

// An array of names, for a STRS field.
static inline struct om_str
call_names(struct om_buf *buf, const char *const *names)
{
    size_t count = 0;
    while (names[count])
        count++;
    om_buf_reset(buf);
    om_pack_array(buf, count);
    for (size_t i = 0; i < count; i++)
        om_pack_str(buf, om_str(names[i]));
    return om_buf_str(buf);
}

// A folder for the databases of one test.
struct call_folder {
    char path[64], url[80];
};

static inline struct call_folder
call_folder_make(void)
{
    struct call_folder folder;
    snprintf(folder.path, sizeof(folder.path), "/tmp/omni-test-XXXXXX");
    cr_assert(mkdtemp(folder.path));
    snprintf(folder.url, sizeof(folder.url), "sqlite:%s", folder.path);
    return folder;
}

static inline void
call_folder_remove(const struct call_folder *folder)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder->path);
    cr_assert(system(command) == 0);
}

static inline struct om_db *
call_open_db(const struct call_folder *folder, const char *service,
             const struct om_migration *schema)
{
    char why[512];
    struct om_db *db;
    enum om_rc rc = om_db_open(folder->url, service, schema, &db, why, sizeof(why));
    cr_assert(rc == OM_OK, "%s", why);
    return db;
}

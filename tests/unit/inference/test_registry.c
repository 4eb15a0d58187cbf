#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "registry.h"

static struct call_folder folder;
static struct registry registry;
static struct call call;
static struct om_uuid ours, theirs;
static struct om_buf metrics;

static void
open_all(void)
{
    char url[128], why[256];
    folder = call_folder_make();
    registry.db = call_open_db(&folder, "registry", registry_schema);
    snprintf(url, sizeof(url), "dir:%s/blobs", folder.path);
    cr_assert(om_blob_store_create(url, &registry.blobs, why, sizeof(why)) == OM_OK, "%s",
              why);
    ours = om_id_new(7);
    theirs = om_id_new(7);
    om_pack_map(&metrics, 1);
    om_pack_str(&metrics, OM_LIT("mase"));
    om_pack_f64(&metrics, 0.5);
}

static void
close_all(void)
{
    call_finish(&call);
    om_buf_finish(&metrics);
    om_blob_walk_destroy(&registry.walk);
    om_blob_store_destroy(&registry.blobs);
    om_db_close(&registry.db);
    call_folder_remove(&folder);
}

TestSuite(registry, .init = open_all, .fini = close_all);

// A stored blob and what a message says of it.
struct stored {
    struct om_blob_ref ref;
    struct om_blob_info info;
    char text[OM_BLOB_REF_MAX];
};

static struct stored
store(struct om_uuid tenant, const char *bytes)
{
    struct stored stored = { .ref = om_blob_ref_new(ROLE_REGISTRY, &tenant) };
    cr_assert(om_blob_put(registry.blobs, NULL, &stored.ref, om_str(bytes),
                          &stored.info) == OM_OK);
    om_blob_ref_text(&stored.ref, stored.text);
    return stored;
}

static bool
is_stored(const struct stored *stored)
{
    int64_t bytes;
    return om_blob_stat(registry.blobs, &stored->ref, &bytes) == OM_OK;
}

static struct file_create_request
file_request(const char *id, const struct stored *stored)
{
    struct file_create_request request = { 0 };
    REC_SET(&request, file_create_request, id, om_str(id));
    REC_SET(&request, file_create_request, purpose, OM_LIT("dataset"));
    REC_SET(&request, file_create_request, filename, OM_LIT("data.csv"));
    REC_SET(&request, file_create_request, bytes, stored->info.bytes);
    REC_SET(&request, file_create_request, sha256, om_str(stored->info.sha256));
    REC_SET(&request, file_create_request, blob, om_str(stored->text));
    return request;
}

static struct model_create_request
model_request(const char *task, const char *name, const struct stored *stored)
{
    struct model_create_request request = { 0 };
    REC_SET(&request, model_create_request, task_id, om_str(task));
    REC_SET(&request, model_create_request, name, om_str(name));
    REC_SET(&request, model_create_request, model_type, OM_LIT("revenue-lstm"));
    REC_SET(&request, model_create_request, metrics, om_buf_str(&metrics));
    REC_SET(&request, model_create_request, bytes, stored->info.bytes);
    REC_SET(&request, model_create_request, sha256, om_str(stored->info.sha256));
    REC_SET(&request, model_create_request, blob, om_str(stored->text));
    return request;
}

static enum om_rc
run(enum op op, struct om_uuid tenant, const void *request, void *reply)
{
    return call_op(&call, registry_routes, &registry, op, tenant, "", request, reply);
}

// A file of a tenant; its id is written to `id`.
static struct stored
make_file(struct om_uuid tenant, char id[OM_TYPEID_MAX], const char *bytes)
{
    struct stored stored = store(tenant, bytes);
    struct file_create_reply reply;
    om_id_text(OM_ID_FILE, om_uuid_shard(&tenant), id);
    struct file_create_request request = file_request(id, &stored);
    cr_assert(run(OP_file_create, tenant, &request, &reply) == OM_OK, "%s",
              call.job.text);
    return stored;
}

static struct model_create_reply
make_model(struct om_uuid tenant, const char *task, const char *name, const char *bytes)
{
    struct stored stored = store(tenant, bytes);
    struct model_create_reply reply;
    struct model_create_request request = model_request(task, name, &stored);
    cr_assert(run(OP_model_create, tenant, &request, &reply) == OM_OK, "%s",
              call.job.text);
    return reply;
}

static char *
new_task(char text[OM_TYPEID_MAX])
{
    om_id_text(OM_ID_TASK, 7, text);
    return text;
}

Test(registry, answers_every_operation_it_owns)
{
    call_expect_routes(registry_routes, QUEUE_REGISTRY);
}

// ---- files

Test(registry, keeps_a_file_as_it_was_registered)
{
    char id[OM_TYPEID_MAX];
    struct stored stored = make_file(ours, id, "a,b\n1,2\n");
    struct file_get_request request = { 0 };
    struct file_get_reply reply;
    REC_SET(&request, file_get_request, id, om_str(id));
    cr_assert(run(OP_file_get, ours, &request, &reply) == OM_OK);
    cr_expect(om_str_eq(reply.id, om_str(id)));
    cr_expect(om_str_eq(reply.object, OM_LIT("file")));
    cr_expect(om_str_eq(reply.purpose, OM_LIT("dataset")));
    cr_expect(om_str_eq(reply.filename, OM_LIT("data.csv")));
    cr_expect(reply.bytes == 8);
    cr_expect(om_str_eq(reply.sha256, om_str(stored.info.sha256)));
    cr_expect(om_str_eq(reply.blob, om_str(stored.text)));
    cr_expect(llabs(reply.created_at - om_clock_wall_ms() / 1000) < 60);
}

Test(registry, makes_one_file_of_a_request_that_comes_twice)
{
    struct stored first = store(ours, "same"), second = store(ours, "same");
    struct file_create_reply reply, again;
    char id[OM_TYPEID_MAX];
    om_id_text(OM_ID_FILE, 7, id);
    struct file_create_request request = file_request(id, &first);
    cr_assert(run(OP_file_create, ours, &request, &reply) == OM_OK);
    cr_expect(run(OP_file_create, ours, &request, &again) == OM_OK);
    request = file_request(id, &second);
    cr_expect(run(OP_file_create, ours, &request, &again) == OM_OK);
    cr_expect(om_str_eq(again.blob, om_str(first.text)), "the first one's bytes stay");
}

Test(registry, refuses_an_id_or_a_blob_that_another_file_has)
{
    char id[OM_TYPEID_MAX], other[OM_TYPEID_MAX];
    struct stored stored = make_file(ours, id, "one"), more = store(ours, "two");
    struct file_create_reply reply;
    struct file_create_request request = file_request(id, &more);
    cr_expect(run(OP_file_create, ours, &request, &reply) == OM_EREUSED);
    cr_expect_str_eq(call.job.param, "id");
    request = file_request(id, &stored);
    REC_SET(&request, file_create_request, filename, OM_LIT("other.csv"));
    cr_expect(run(OP_file_create, ours, &request, &reply) == OM_EREUSED);
    om_id_text(OM_ID_FILE, 7, other);
    request = file_request(other, &stored);
    cr_expect(run(OP_file_create, ours, &request, &reply) == OM_EREUSED);
    cr_expect_str_eq(call.job.param, "blob");
}

Test(registry, says_which_field_of_a_new_file_is_wrong)
{
    struct stored good = store(ours, "x"), foreign = store(theirs, "x");
    struct stored gone = store(ours, "y");
    struct om_blob_ref billing = { ROLE_BILLING, ours, good.ref.id };
    char id[OM_TYPEID_MAX], shard[OM_TYPEID_MAX], billing_text[OM_BLOB_REF_MAX];
    om_id_text(OM_ID_FILE, 7, id);
    om_id_text(OM_ID_FILE, 8, shard);
    om_blob_ref_text(&billing, billing_text);
    cr_assert(om_blob_delete(registry.blobs, &gone.ref) == OM_OK);

    struct file_create_request rows[9];
    static const char *const params[] = { "id",   "id",   "purpose", "sha256", "sha256",
                                          "blob", "blob", "blob",    "bytes" };
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        rows[i] = file_request(id, &good);
    rows[0].id = OM_LIT("file_x");
    rows[1].id = om_str(shard);
    rows[2].purpose = OM_LIT("fun");
    rows[3].sha256.data =
        "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";
    rows[4].sha256.data =
        "g cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982";
    rows[5].blob = om_str(foreign.text);
    rows[6].blob = om_str(gone.text);
    rows[7].blob = om_str(billing_text);
    rows[8].bytes = 2;
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct file_create_reply reply;
        cr_expect(run(OP_file_create, ours, &rows[i], &reply) == OM_EINVAL, "row %zu", i);
        cr_expect_str_eq(call.job.param, params[i], "row %zu", i);
    }
    struct file_create_reply reply;
    cr_expect(run(OP_file_create, ours, &rows[2], &reply) == OM_EINVAL);
    cr_expect_str_eq(call.job.text, "purpose: must be one of: dataset");
}

Test(registry, lists_files_in_pages_from_the_newest)
{
    char ids[5][OM_TYPEID_MAX], bytes[2] = "0";
    for (int i = 0; i < 5; i++, bytes[0]++)
        make_file(ours, ids[i], bytes);
    // Ids of one millisecond have no order of their own.
    for (int i = 0; i < 5; i++)
        for (int j = i + 1; j < 5; j++)
            if (strcmp(ids[i], ids[j]) < 0) {
                char swap[OM_TYPEID_MAX];
                memcpy(swap, ids[i], sizeof(swap));
                memcpy(ids[i], ids[j], sizeof(swap));
                memcpy(ids[j], swap, sizeof(swap));
            }

    char after[OM_TYPEID_MAX] = "";
    for (size_t at = 0; at < 5;) {
        struct file_list_request request = { 0 };
        struct file_list_reply reply;
        REC_SET(&request, file_list_request, limit, 2);
        if (*after)
            REC_SET(&request, file_list_request, after, om_str(after));
        cr_assert(run(OP_file_list, ours, &request, &reply) == OM_OK);
        struct rec_iter items = rec_iter(reply.data);
        cr_expect(items.left == (at < 4 ? 2 : 1));
        cr_expect(reply.has_more == (at < 4));
        struct om_str raw;
        while (rec_next_raw(&items, &raw)) {
            struct file_item item;
            cr_assert(rec_decode(&file_item_rec, raw, &item, NULL) == OM_OK);
            cr_expect(om_str_eq(item.id, om_str(ids[at])), "place %zu", at);
            at++;
        }
        snprintf(after, sizeof(after), "%.*s", (int)reply.last_id.size,
                 reply.last_id.data);
    }

    struct file_list_request wrong = { 0 };
    struct file_list_reply reply;
    REC_SET(&wrong, file_list_request, after, OM_LIT("model_01h455vb4pex5vsknk084sn02q"));
    cr_expect(run(OP_file_list, ours, &wrong, &reply) == OM_EINVAL);
    cr_expect_str_eq(call.job.param, "after");
}

Test(registry, deletes_a_file_with_its_bytes)
{
    char id[OM_TYPEID_MAX];
    struct stored stored = make_file(ours, id, "bytes");
    struct file_delete_request request = { 0 };
    struct file_delete_reply reply;
    REC_SET(&request, file_delete_request, id, om_str(id));
    cr_assert(run(OP_file_delete, ours, &request, &reply) == OM_OK);
    cr_expect(reply.deleted && om_str_eq(reply.id, om_str(id)));
    cr_expect_not(is_stored(&stored));
    cr_expect(run(OP_file_delete, ours, &request, &reply) == OM_ENOTFOUND);
    struct file_create_request create = file_request(id, &stored);
    struct file_create_reply created;
    cr_expect(run(OP_file_create, ours, &create, &created) == OM_EINVAL,
              "a late repeat does not bring it back");
}

// ---- models

Test(registry, keeps_a_model_as_it_was_registered)
{
    char task[OM_TYPEID_MAX], id[OM_TYPEID_MAX], file[OM_TYPEID_MAX];
    struct stored stored = store(ours, "weights");
    struct model_create_request create = model_request(new_task(task), "sales", &stored);
    struct model_create_reply made;
    om_id_text(OM_ID_FILE, 7, file);
    REC_SET(&create, model_create_request, training_file, om_str(file));
    cr_assert(run(OP_model_create, ours, &create, &made) == OM_OK, "%s", call.job.text);
    cr_expect(made.version == 1);
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);

    struct model_get_request request = { 0 };
    struct model_get_reply reply;
    REC_SET(&request, model_get_request, id, om_str(id));
    cr_assert(run(OP_model_get, ours, &request, &reply) == OM_OK);
    cr_expect(om_str_eq(reply.id, om_str(id)));
    cr_expect(om_str_eq(reply.name, OM_LIT("sales")));
    cr_expect(om_str_eq(reply.model_type, OM_LIT("revenue-lstm")));
    cr_expect(om_str_eq(reply.task_id, om_str(task)));
    cr_expect(om_str_eq(reply.training_file, om_str(file)));
    cr_expect(om_str_eq(reply.metrics, om_buf_str(&metrics)));
    cr_expect(om_str_eq(reply.blob, om_str(stored.text)));
    cr_expect(om_str_eq(reply.sha256, om_str(stored.info.sha256)));
    cr_expect(reply.bytes == 7);
}

Test(registry, makes_one_version_of_a_task_that_comes_twice)
{
    char task[OM_TYPEID_MAX], first[64];
    struct model_create_reply made = make_model(ours, new_task(task), "sales", "weights");
    snprintf(first, sizeof(first), "%.*s", (int)made.id.size, made.id.data);
    // The second attempt has trained anew and come to other weights.
    made = make_model(ours, task, "sales", "other weights");
    cr_expect(om_str_eq(made.id, om_str(first)));
    cr_expect(made.version == 1);
    cr_expect(made.bytes == 7);
}

Test(registry, counts_versions_within_a_tenant_and_a_name)
{
    static const struct {
        bool ours;
        const char *name;
        int64_t version;
    } rows[] = {
        { true, "a", 1 }, { true, "a", 2 },  { true, "b", 1 },
        { true, "a", 3 }, { false, "a", 1 }, { true, "b", 2 },
    };
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        char task[OM_TYPEID_MAX];
        struct model_create_reply made =
            make_model(rows[i].ours ? ours : theirs, new_task(task), rows[i].name, "w");
        cr_expect(made.version == rows[i].version, "row %zu: %lld", i,
                  (long long)made.version);
    }
}

Test(registry, says_which_field_of_a_new_model_is_wrong)
{
    struct stored good = store(ours, "x"), foreign = store(theirs, "x");
    OM_AUTO(om_buf_finish) struct om_buf large = { 0 };
    char task[OM_TYPEID_MAX], text[5000];
    memset(text, 'x', sizeof(text));
    om_pack_map(&large, 1);
    om_pack_str(&large, OM_LIT("long"));
    om_pack_str(&large, (struct om_str){ text, sizeof(text) });

    struct model_create_request rows[6];
    static const char *const params[] = { "task_id", "training_file", "metrics",
                                          "sha256",  "blob",          "bytes" };
    new_task(task);
    for (size_t i = 0; i < OM_COUNT(rows); i++)
        rows[i] = model_request(task, "sales", &good);
    rows[0].task_id = OM_LIT("task_");
    REC_SET(&rows[1], model_create_request, training_file, OM_LIT("data.csv"));
    rows[2].metrics = om_buf_str(&large);
    rows[3].sha256.data =
        "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";
    rows[4].blob = om_str(foreign.text);
    rows[5].bytes = 2;
    for (size_t i = 0; i < OM_COUNT(rows); i++) {
        struct model_create_reply reply;
        cr_expect(run(OP_model_create, ours, &rows[i], &reply) == OM_EINVAL, "row %zu",
                  i);
        cr_expect_str_eq(call.job.param, params[i], "row %zu", i);
    }

    struct model_create_reply reply;
    char other[OM_TYPEID_MAX];
    struct model_create_request request = model_request(task, "sales", &good);
    cr_assert(run(OP_model_create, ours, &request, &reply) == OM_OK);
    request = model_request(new_task(other), "sales", &good);
    cr_expect(run(OP_model_create, ours, &request, &reply) == OM_EREUSED);
    cr_expect_str_eq(call.job.param, "blob");
}

Test(registry, lists_models_in_pages)
{
    char task[OM_TYPEID_MAX];
    for (int i = 0; i < 3; i++)
        make_model(ours, new_task(task), "sales", i ? i > 1 ? "3" : "2" : "1");
    struct model_list_request request = { 0 };
    struct model_list_reply reply;
    REC_SET(&request, model_list_request, limit, 2);
    cr_assert(run(OP_model_list, ours, &request, &reply) == OM_OK);
    cr_expect(reply.has_more && rec_iter(reply.data).left == 2);
    char after[64];
    snprintf(after, sizeof(after), "%.*s", (int)reply.last_id.size, reply.last_id.data);
    REC_SET(&request, model_list_request, after, om_str(after));
    cr_assert(run(OP_model_list, ours, &request, &reply) == OM_OK);
    cr_expect(!reply.has_more && rec_iter(reply.data).left == 1);
}

// ---- between tenants

Test(registry, shows_no_tenant_what_another_has)
{
    char file[OM_TYPEID_MAX], task[OM_TYPEID_MAX], model[OM_TYPEID_MAX];
    struct stored stored = make_file(theirs, file, "theirs");
    struct model_create_reply made = make_model(theirs, new_task(task), "sales", "w");
    snprintf(model, sizeof(model), "%.*s", (int)made.id.size, made.id.data);

    struct file_get_request get = { 0 };
    struct file_get_reply got;
    REC_SET(&get, file_get_request, id, om_str(file));
    cr_expect(run(OP_file_get, ours, &get, &got) == OM_ENOTFOUND);
    struct file_delete_request delete = { 0 };
    struct file_delete_reply deleted;
    REC_SET(&delete, file_delete_request, id, om_str(file));
    cr_expect(run(OP_file_delete, ours, &delete, &deleted) == OM_ENOTFOUND);
    cr_expect(is_stored(&stored));
    cr_expect(run(OP_file_get, theirs, &get, &got) == OM_OK);
    struct file_list_request list = { 0 };
    struct file_list_reply listed;
    cr_assert(run(OP_file_list, ours, &list, &listed) == OM_OK);
    cr_expect(rec_iter(listed.data).left == 0);

    struct model_get_request get_model = { 0 };
    struct model_get_reply got_model;
    REC_SET(&get_model, model_get_request, id, om_str(model));
    cr_expect(run(OP_model_get, ours, &get_model, &got_model) == OM_ENOTFOUND);
    cr_expect(run(OP_model_get, theirs, &get_model, &got_model) == OM_OK);
    struct model_list_request list_models = { 0 };
    struct model_list_reply listed_models;
    cr_assert(run(OP_model_list, ours, &list_models, &listed_models) == OM_OK);
    cr_expect(rec_iter(listed_models.data).left == 0);

    // Another tenant's ids are free for this one: they are not the same objects.
    struct stored mine = store(ours, "mine");
    struct file_create_request create = file_request(file, &mine);
    struct file_create_reply created;
    cr_expect(run(OP_file_create, ours, &create, &created) == OM_OK);
    made = make_model(ours, task, "sales", "mine too");
    cr_expect_not(om_str_eq(made.id, om_str(model)));
}

// ---- sweeping

static void
make_old(const struct stored *stored)
{
    char path[256];
    struct timespec times[2] = { { time(NULL) - 25 * 3600, 0 },
                                 { time(NULL) - 25 * 3600, 0 } };
    snprintf(path, sizeof(path), "%s/blobs/%s", folder.path, stored->text);
    cr_assert(utimensat(AT_FDCWD, path, times, 0) == 0);
}

Test(registry, sweeps_only_old_blobs_that_nobody_refers_to)
{
    char id[OM_TYPEID_MAX], task[OM_TYPEID_MAX];
    struct stored file = make_file(ours, id, "file"), fresh = store(ours, "fresh");
    struct stored orphan = store(ours, "orphan"), other = store(theirs, "orphan");
    struct stored model = store(ours, "model");
    struct model_create_request create = model_request(new_task(task), "sales", &model);
    struct model_create_reply made;
    cr_assert(run(OP_model_create, ours, &create, &made) == OM_OK);
    make_old(&file);
    make_old(&model);
    make_old(&orphan);
    make_old(&other);

    cr_expect(registry_sweep(&registry, 1000) == 1000 + 3600 * 1000);
    cr_expect(is_stored(&file) && is_stored(&model) && is_stored(&fresh));
    cr_expect(!is_stored(&orphan) && !is_stored(&other));
}

Test(registry, sweeps_in_steps_and_then_waits)
{
    struct stored last = { 0 };
    char bytes[16];
    for (int i = 0; i < 250; i++) {
        snprintf(bytes, sizeof(bytes), "%d", i);
        last = store(ours, bytes);
        make_old(&last);
    }
    int64_t next_ms = registry_sweep(&registry, 1000);
    cr_expect(next_ms == 1020, "%lld", (long long)next_ms);
    next_ms = registry_sweep(&registry, next_ms);
    cr_expect(next_ms == 1020 + 3600 * 1000);
    cr_expect_not(is_stored(&last));
    last = store(ours, "later");
    make_old(&last);
    cr_expect(registry_sweep(&registry, 5000) == next_ms);
    cr_expect(is_stored(&last));
    registry_sweep(&registry, next_ms);
    cr_expect_not(is_stored(&last));
}

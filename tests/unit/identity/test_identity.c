#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "identity.h"
#include "scope.h"
#include "secret.h"

#define BROUGHT "omni_live_0123456789abcdefghijABCDEFGHIJxyz"

static struct call_folder folder;
static struct identity identity;
static struct call call;
static struct om_buf names, granted;
static char admin_file[128], why[512];
static struct identity_conf conf;

static void
open_all(void)
{
    folder = call_folder_make();
    identity.db = call_open_db(&folder, "identity", identity_schema);
    snprintf(admin_file, sizeof(admin_file), "%s/admin.key", folder.path);
    conf.admin_key_file = admin_file;
    conf.bootstrap_key_file = "";
}

static void
close_all(void)
{
    om_db_close(&identity.db);
    call_finish(&call);
    om_buf_finish(&names);
    om_buf_finish(&granted);
    call_folder_remove(&folder);
}

TestSuite(identity, .init = open_all, .fini = close_all);

OM_SQL(first_tenant, "SELECT id FROM tenant WHERE name = 'default'");
OM_SQL(expire_all, "UPDATE api_key SET expires_ms = 1");
OM_SQL(tenant_add,
       "INSERT INTO tenant (id, slug, name, created_ms) VALUES ($1, $2, $2, 0)");
OM_SQL(everything, "SELECT hash || prefix || name FROM api_key");

static void
bootstrap(void)
{
    enum om_rc rc = identity_bootstrap(&identity, &conf, why, sizeof(why));
    cr_assert(rc == OM_OK, "%s", why);
}

static struct om_uuid
default_tenant(void)
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_first_tenant);
    cr_assert(om_rows_next(rows));
    return om_row_uuid(rows, 0);
}

static enum om_rc
resolve(const char *key, struct key_resolve_reply *reply)
{
    uint8_t hash[32];
    struct key_resolve_request request = { 0 };
    om_sha256(om_str(key), hash);
    REC_SET(&request, key_resolve_request, hash, ((struct om_str){ (char *)hash, 32 }));
    return call_op(&call, identity_routes, &identity, OP_key_resolve,
                   (struct om_uuid){ 0 }, "", &request, reply);
}

// Make a key in `tenant`, asking for `scopes` (NULL for none) with a key that has `has`.
static enum om_rc
create(struct om_uuid tenant, const char *id, const char *const *scopes,
       const char *const *has, struct key_create_reply *reply)
{
    struct key_create_request request = { 0 };
    REC_SET(&request, key_create_request, name, OM_LIT("test"));
    REC_SET(&request, key_create_request, granted, call_names(&granted, has));
    if (scopes)
        REC_SET(&request, key_create_request, scopes, call_names(&names, scopes));
    return call_op(&call, identity_routes, &identity, OP_key_create, tenant, id, &request,
                   reply);
}

static const char *const two[] = { "predict", "train", NULL };
static const char *const one[] = { "predict", NULL };

static uint64_t
mask_of(struct om_str list)
{
    uint64_t mask;
    cr_assert(scopes_decode(list, &mask, NULL) == OM_OK);
    return mask;
}

static void
read_file(const char *path, char out[256])
{
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0, "%s", path);
    ssize_t size = read(fd, out, 255);
    close(fd);
    cr_assert(size > 0 && out[size - 1] == '\n');
    out[size - 1] = '\0';
}

static void
write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
}

Test(identity, has_a_route_for_every_operation_it_owns)
{
    call_expect_routes(identity_routes, QUEUE_IDENTITY);
}

OM_SQL(old_tenant, "INSERT INTO tenant (id, name, created_ms) VALUES ($1, 'default', 7)");
OM_SQL(old_key,
       "INSERT INTO api_key (id, tenant, name, prefix, hash, scopes, created_ms) "
       "VALUES ($1, $2, 'old', 'omni_live_abcd', $3, $4, 7)");
OM_SQL(old_change, "INSERT INTO key_change (hash) VALUES ($1)");

Test(identity, takes_over_what_the_first_schema_has)
{
    struct om_migration first[2] = { identity_schema[0] };
    struct om_uuid tenant = om_id_new(7), key = om_id_new(7);
    struct key_resolve_reply reply;
    uint8_t hash[32];
    char text[OM_TYPEID_MAX];
    om_sha256(OM_LIT(BROUGHT), hash);
    om_db_close(&identity.db);
    call_folder_remove(&folder);
    folder = call_folder_make();
    identity.db = call_open_db(&folder, "identity", first);
    struct om_txn *txn = om_db_begin(identity.db);
    om_db_exec(txn, &sql_old_tenant, DB_UUID(&tenant));
    om_db_exec(txn, &sql_old_key, DB_UUID(&key), DB_UUID(&tenant), DB_HASH(hash),
               DB_I64(SCOPE_BIT(PREDICT)));
    om_db_exec(txn, &sql_old_change, DB_HASH(hash));
    cr_assert(om_db_commit(&txn) == OM_OK);
    om_db_close(&identity.db);
    identity.db = call_open_db(&folder, "identity", identity_schema);
    cr_assert(resolve(BROUGHT, &reply) == OM_OK);
    om_typeid_encode(OM_ID_TENANT, &tenant, text);
    cr_expect(om_str_eq(reply.tenant, om_str(text)));
    cr_expect(mask_of(reply.scopes) == SCOPE_BIT(PREDICT));
    cr_expect(om_str_eq(reply.plan, OM_LIT("enterprise")));
}

Test(identity, makes_a_first_key_that_may_do_everything_for_its_user_only)
{
    bootstrap();
    char key[256];
    struct stat info;
    struct key_resolve_reply reply;
    read_file(admin_file, key);
    cr_expect(secret_valid(om_str(key)));
    cr_assert(stat(admin_file, &info) == 0);
    cr_expect((info.st_mode & 0777) == 0600);
    cr_assert(resolve(key, &reply) == OM_OK);
    cr_expect(mask_of(reply.scopes) == (UINT64_C(1) << SCOPE_COUNT) - 1);

    bootstrap(); // a second start changes nothing
    char again[256];
    read_file(admin_file, again);
    cr_expect(strcmp(key, again) == 0);
}

Test(identity, takes_the_key_an_interrupted_first_start_has_written)
{
    write_file(admin_file, BROUGHT "\n");
    struct key_resolve_reply reply;
    bootstrap();
    cr_expect(resolve(BROUGHT, &reply) == OM_OK);
}

Test(identity, takes_its_first_key_from_a_file_in_containers)
{
    char path[128];
    struct key_resolve_reply reply;
    snprintf(path, sizeof(path), "%s/secret", folder.path);
    write_file(path, BROUGHT);
    conf.bootstrap_key_file = path;
    bootstrap();
    cr_expect(resolve(BROUGHT, &reply) == OM_OK);
    cr_expect(access(admin_file, F_OK) != 0, "nothing is written");
}

Test(identity, refuses_to_start_with_a_bad_first_key)
{
    const char *bad[] = {
        "",
        "omni_live_",
        "omni_live_tooshort",
        "omni_test_0123456789abcdefghijABCDEFGHIJxyz",
        "omni_live_0123456789abcdefghijABCDEFG-IJxyz",
        ("omni_live_"
         "0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ0123456789"
         "abcdefghijABCDEFGHIJ0123456789abcdefghijABCDEFGHIJ"),
    };
    for (size_t i = 0; i < OM_COUNT(bad); i++) {
        write_file(admin_file, bad[i]);
        cr_expect(identity_bootstrap(&identity, &conf, why, sizeof(why)) == OM_EINVAL,
                  "%s", bad[i]);
        cr_expect(strstr(why, admin_file) && strstr(why, "holds no key"), "%s", why);
        cr_expect(!strstr(why, "0123456789"), "the text is not repeated");
    }
    conf.bootstrap_key_file = "/nowhere/key";
    cr_expect(identity_bootstrap(&identity, &conf, why, sizeof(why)) == OM_EINVAL);
    cr_expect(strstr(why, "cannot open /nowhere/key"), "%s", why);
}

Test(identity, resolves_the_key_it_made_and_no_other)
{
    bootstrap();
    struct key_create_reply made;
    struct key_resolve_reply reply;
    struct om_uuid tenant = default_tenant();
    cr_assert(create(tenant, "req_1", one, two, &made) == OM_OK);
    char key[128], id[OM_TYPEID_MAX];
    snprintf(key, sizeof(key), "%.*s", (int)made.key.size, made.key.data);
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    cr_expect(secret_valid(made.key));
    cr_expect(made.prefix.size == SECRET_SHOWN);
    cr_expect(strncmp(key, made.prefix.data, made.prefix.size) == 0);

    cr_assert(resolve(key, &reply) == OM_OK);
    char tenant_text[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &tenant, tenant_text);
    cr_expect(om_str_eq(reply.id, om_str(id)));
    cr_expect(om_str_eq(reply.tenant, om_str(tenant_text)));
    cr_expect(mask_of(reply.scopes) == SCOPE_BIT(PREDICT));
    struct om_uuid decoded;
    cr_assert(om_typeid_decode(OM_ID_KEY, om_str(id), &decoded) == OM_OK);
    cr_expect(om_uuid_shard(&decoded) == om_uuid_shard(&tenant));
    key[20] ^= 1;
    cr_expect(resolve(key, &reply) == OM_EAUTH);
}

Test(identity, stores_nothing_a_key_could_be_made_from)
{
    bootstrap();
    struct key_create_reply made;
    cr_assert(create(default_tenant(), "req_1", one, two, &made) == OM_OK);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_everything);
    while (om_rows_next(rows)) {
        struct om_str row = om_row_str(rows, 0);
        cr_expect(!memmem(row.data, row.size, made.key.data + SECRET_SHOWN, 8));
    }
}

Test(identity, grants_no_more_than_the_caller_has)
{
    bootstrap();
    struct om_uuid tenant = default_tenant();
    struct key_create_reply made;
    static const char *const all[] = { "files:read", "predict", "worker", NULL };
    static const char *const owner[] = { "*", NULL };
    static const char *const unknown[] = { "predict", "fly", NULL };
    static const char *const none[] = { NULL };
    cr_expect(create(tenant, "", two, one, &made) == OM_EFORBIDDEN);
    cr_expect(strstr(call.job.text, "\"train\""), "%s", call.job.text);
    cr_expect_str_eq(call.job.param, "scopes");
    cr_expect(create(tenant, "", one, none, &made) == OM_EFORBIDDEN);
    cr_expect(create(tenant, "", unknown, all, &made) == OM_EINVAL);
    cr_expect(strstr(call.job.text, "\"fly\""), "%s", call.job.text);
    cr_assert(create(tenant, "", NULL, all, &made) == OM_OK);
    cr_expect(mask_of(made.scopes) == (SCOPE_BIT(FILES_READ) | SCOPE_BIT(PREDICT)),
              "not worker without being asked");
    cr_assert(create(tenant, "", NULL, owner, &made) == OM_OK);
    cr_expect(mask_of(made.scopes) == SCOPES_DEFAULT, "neither * nor worker");
}

Test(identity, makes_one_key_for_a_request_that_comes_twice)
{
    bootstrap();
    struct om_uuid tenant = default_tenant();
    struct key_create_reply made;
    cr_assert(create(tenant, "req_1", one, two, &made) == OM_OK);
    char id[OM_TYPEID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    cr_expect(create(tenant, "req_1", one, two, &made) == OM_ECONFLICT);
    cr_expect(strstr(call.job.text, id), "%s", call.job.text);
    cr_expect(create(tenant, "req_2", one, two, &made) == OM_OK);
    cr_expect(create(tenant, "", one, two, &made) == OM_OK);
    cr_expect(create(tenant, "", one, two, &made) == OM_OK);
}

Test(identity, refuses_a_key_that_would_have_ended_before_it_began)
{
    bootstrap();
    struct key_create_request request = { 0 };
    struct key_create_reply made;
    REC_SET(&request, key_create_request, name, OM_LIT("old"));
    REC_SET(&request, key_create_request, expires_ms, om_clock_wall_ms() - 1);
    cr_expect(call_op(&call, identity_routes, &identity, OP_key_create, default_tenant(),
                      "", &request, &made) == OM_EINVAL);
    cr_expect_str_eq(call.job.param, "expires_ms");
}

Test(identity, does_not_resolve_what_has_expired)
{
    bootstrap();
    char key[256];
    struct key_resolve_reply reply;
    read_file(admin_file, key);
    struct om_txn *txn = om_db_begin(identity.db);
    om_db_exec(txn, &sql_expire_all);
    cr_assert(om_db_commit(&txn) == OM_OK);
    cr_expect(resolve(key, &reply) == OM_EAUTH);
    cr_expect(strstr(call.job.text, "expired"));
}

static enum om_rc
revoke_key(struct om_uuid tenant, const char *id, struct key_revoke_reply *reply)
{
    struct key_revoke_request request = { 0 };
    REC_SET(&request, key_revoke_request, id, om_str(id));
    return call_op(&call, identity_routes, &identity, OP_key_revoke, tenant, "", &request,
                   reply);
}

static struct key_changes_reply
changes_since(int64_t since)
{
    struct key_changes_request request = { 0 };
    struct key_changes_reply reply;
    REC_SET(&request, key_changes_request, since, since);
    cr_assert(call_op(&call, identity_routes, &identity, OP_key_changes,
                      (struct om_uuid){ 0 }, "", &request, &reply) == OM_OK);
    return reply;
}

Test(identity, tells_edges_once_of_a_key_that_was_revoked)
{
    bootstrap();
    struct om_uuid tenant = default_tenant();
    struct key_create_reply made;
    struct key_revoke_reply revoked;
    struct key_resolve_reply resolved;
    cr_assert(create(tenant, "", one, two, &made) == OM_OK);
    char id[OM_TYPEID_MAX], key[128];
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    snprintf(key, sizeof(key), "%.*s", (int)made.key.size, made.key.data);
    cr_expect(changes_since(0).last == 0);

    cr_assert(revoke_key(tenant, id, &revoked) == OM_OK);
    int64_t when_ms = revoked.revoked_ms;
    cr_expect(when_ms > 0);
    cr_assert(revoke_key(tenant, id, &revoked) == OM_OK, "again is no failure");
    cr_expect(revoked.revoked_ms == when_ms);
    cr_expect(resolve(key, &resolved) == OM_EAUTH);

    struct key_changes_reply changes = changes_since(0);
    struct rec_iter iter = rec_iter(changes.data);
    struct om_str raw;
    struct key_change_item item;
    uint8_t hash[32];
    cr_expect(changes.last == 1 && iter.left == 1);
    cr_assert(rec_next_raw(&iter, &raw));
    cr_assert(rec_decode(&key_change_item_rec, raw, &item, NULL) == OM_OK);
    om_sha256(om_str(key), hash);
    cr_expect(memcmp(item.hash.data, hash, 32) == 0);
    changes = changes_since(1);
    cr_expect(changes.last == 1 && rec_iter(changes.data).left == 0);
}

Test(identity, keeps_tenants_apart)
{
    bootstrap();
    struct om_uuid tenant = default_tenant(), other = om_id_new(7);
    struct om_txn *txn = om_db_begin(identity.db);
    om_db_exec(txn, &sql_tenant_add, DB_UUID(&other), DB_STR(OM_LIT("other")));
    cr_assert(om_db_commit(&txn) == OM_OK);
    struct key_create_reply made;
    struct key_revoke_reply revoked;
    cr_assert(create(other, "req_1", one, two, &made) == OM_OK);
    char id[OM_TYPEID_MAX];
    snprintf(id, sizeof(id), "%.*s", (int)made.id.size, made.id.data);
    cr_expect(create(tenant, "req_1", one, two, &made) == OM_OK);
    cr_expect(revoke_key(tenant, id, &revoked) == OM_ENOTFOUND);
    cr_expect(revoke_key(tenant, "key_nonsense", &revoked) == OM_ENOTFOUND);
    struct key_list_request request = { 0 };
    struct key_list_reply list;
    cr_assert(call_op(&call, identity_routes, &identity, OP_key_list, other, "", &request,
                      &list) == OM_OK);
    cr_expect(rec_iter(list.data).left == 1);
    cr_expect(om_str_eq(list.first_id, om_str(id)));
}

Test(identity, lists_keys_in_pages_newest_first)
{
    bootstrap();
    struct om_uuid tenant = default_tenant();
    struct key_create_reply made;
    char ids[5][OM_TYPEID_MAX], after[OM_TYPEID_MAX] = "";
    for (int i = 0; i < 5; i++) {
        cr_assert(create(tenant, "", one, two, &made) == OM_OK);
        snprintf(ids[i], sizeof(ids[i]), "%.*s", (int)made.id.size, made.id.data);
    }
    size_t seen = 0;
    bool more = true;
    for (int page = 0; more; page++) {
        struct key_list_request request = { 0 };
        struct key_list_reply reply;
        REC_SET(&request, key_list_request, limit, 2);
        if (*after)
            REC_SET(&request, key_list_request, after, om_str(after));
        cr_assert(call_op(&call, identity_routes, &identity, OP_key_list, tenant, "",
                          &request, &reply) == OM_OK);
        seen += rec_iter(reply.data).left;
        more = reply.has_more;
        cr_expect(rec_iter(reply.data).left == 2);
        snprintf(after, sizeof(after), "%.*s", (int)reply.last_id.size,
                 reply.last_id.data);
    }
    cr_expect(seen == 6, "five and the first key");
    struct key_list_request request = { 0 };
    struct key_list_reply reply;
    REC_SET(&request, key_list_request, after, OM_LIT("file_1"));
    cr_expect(call_op(&call, identity_routes, &identity, OP_key_list, tenant, "",
                      &request, &reply) == OM_EINVAL);
}

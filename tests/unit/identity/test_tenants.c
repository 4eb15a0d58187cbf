// Tenants, users, roles and the keys they bound, through the handlers: requests as JSON,
// as the edge reads them, with what the edge adds.
#include <jansson.h>

#include "../services/call.h"
#include "clock.h"
#include "id.h"
#include "identity.h"
#include "json.h"
#include "scope.h"

enum { RECORD_MAX = 1024 };

static struct call_folder folder;
static struct identity identity;
static struct call call;
static struct om_buf text, granted_names;
static json_t *answer;

// Who asks: the tenant, its key, and what that may do.
static struct om_uuid tenant;
static uint64_t granted;
static char by[OM_TYPEID_MAX];

OM_SQL(first_tenant, "SELECT id FROM tenant WHERE slug = 'default'");
OM_SQL(rows_of_all,
       "SELECT (SELECT count(*) FROM tenant), (SELECT count(*) FROM person), "
       "(SELECT count(*) FROM membership), (SELECT count(*) FROM role), "
       "(SELECT count(*) FROM role_permission), (SELECT count(*) FROM role_binding), "
       "(SELECT count(*) FROM team), (SELECT count(*) FROM api_key), "
       "(SELECT count(*) FROM key_change), (SELECT count(*) FROM tenant_config), "
       "(SELECT sum(version) FROM tenant)");

static void
open_all(void)
{
    char file[128], why[512];
    folder = call_folder_make();
    identity.db = call_open_db(&folder, "identity", identity_schema);
    snprintf(file, sizeof(file), "%s/admin.key", folder.path);
    struct identity_conf conf = { .admin_key_file = file, .bootstrap_key_file = "" };
    cr_assert_eq(identity_bootstrap(&identity, &conf, why, sizeof(why)), OM_OK, "%s",
                 why);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_first_tenant);
    cr_assert(om_rows_next(rows));
    tenant = om_row_uuid(rows, 0);
    granted = SCOPES_OWNER;
    *by = '\0';
}

static void
close_all(void)
{
    om_db_close(&identity.db);
    call_finish(&call);
    om_buf_finish(&text);
    om_buf_finish(&granted_names);
    json_decref(answer);
    call_folder_remove(&folder);
}

TestSuite(tenants, .init = open_all, .fini = close_all);

// ---- asking

static void
set_internal(const struct rec *type, void *record, const char *name, struct om_str value)
{
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *field = &type->fields[i];
        if (strcmp(field->name, name) != 0 || !value.data)
            continue;
        *(struct om_str *)((char *)record + field->offset) = value;
        *(uint64_t *)record |= UINT64_C(1) << i;
    }
}

// Call `op` with `json` as its body and `id` (NULL for none) from the path. The reply is
// in `answer`.
static enum om_rc
ask_version(enum op op, const char *id, const char *json, int64_t if_version)
{
    const struct rec *type = ops[op].request;
    _Alignas(8) char request[RECORD_MAX] = { 0 }, reply[RECORD_MAX] = { 0 };
    struct om_arena arena = { 0 };
    struct om_json_error error;
    cr_assert(type->size <= sizeof(request) && ops[op].reply->size <= sizeof(reply));
    enum om_rc rc = om_json_to_record(type, om_str(json), &arena, request, &error);
    bool only_id = rc != OM_OK && strcmp(error.param, "id") == 0;
    cr_assert(rc == OM_OK || only_id, "%s: %s", json, error.text);
    om_buf_reset(&granted_names);
    scopes_encode(granted, &granted_names);
    set_internal(type, request, "id", om_str(id));
    set_internal(type, request, "granted", om_buf_str(&granted_names));
    set_internal(type, request, "by", *by ? om_str(by) : (struct om_str){ 0 });
    for (size_t i = 0; if_version >= 0 && i < type->count; i++)
        if (strcmp(type->fields[i].name, "if_version") == 0) {
            memcpy(request + type->fields[i].offset, &if_version, sizeof(if_version));
            *(uint64_t *)(void *)request |= UINT64_C(1) << i;
        }
    rc = call_op(&call, identity_routes, &identity, op, tenant, "", request, reply);
    om_arena_finish(&arena);
    om_buf_reset(&text);
    json_decref(answer);
    answer = NULL;
    if (rc == OM_OK) {
        om_json_put_record(&text, ops[op].reply, reply);
        answer = json_loadb(text.data, text.size, 0, NULL);
        cr_assert(answer, "%.*s", (int)text.size, text.data);
    }
    return rc;
}

static enum om_rc
ask(enum op op, const char *id, const char *json)
{
    return ask_version(op, id, json, -1);
}

static const char *
get(const char *name)
{
    const char *value = json_string_value(json_object_get(answer, name));
    return value ? value : "";
}

static json_int_t
get_number(const char *name)
{
    return json_integer_value(json_object_get(answer, name));
}

static bool
lists(const char *name, const char *value)
{
    json_t *list = json_object_get(answer, name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), value) == 0)
            return true;
    return false;
}

#define OK(...)                                                                          \
    cr_assert_eq(ask(__VA_ARGS__), OM_OK, "%s: %s", call.job.param, call.job.text)

static void
keep(char out[128], const char *name)
{
    snprintf(out, 128, "%s", get(name));
}

static enum om_rc
resolve(const char *key)
{
    uint8_t hash[32];
    struct key_resolve_request request = { 0 };
    struct key_resolve_reply reply;
    om_sha256(om_str(key), hash);
    REC_SET(&request, key_resolve_request, hash, ((struct om_str){ (char *)hash, 32 }));
    enum om_rc rc = call_op(&call, identity_routes, &identity, OP_key_resolve,
                            (struct om_uuid){ 0 }, "", &request, &reply);
    om_buf_reset(&text);
    json_decref(answer);
    answer = NULL;
    if (rc)
        return rc;
    om_json_put_record(&text, &key_resolve_reply_rec, &reply);
    answer = json_loadb(text.data, text.size, 0, NULL);
    return rc;
}

// All that is stored, counted; a refused request changes none of it.
static void
count_rows(int64_t counts[11])
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_rows_of_all);
    cr_assert(om_rows_next(rows));
    for (int i = 0; i < 11; i++)
        counts[i] = om_row_i64(rows, i);
}

static int64_t
last_change(void)
{
    struct key_changes_request request = { 0 };
    struct key_changes_reply reply;
    REC_SET(&request, key_changes_request, since, 0);
    cr_assert_eq(call_op(&call, identity_routes, &identity, OP_key_changes,
                         (struct om_uuid){ 0 }, "", &request, &reply),
                 OM_OK);
    return reply.last;
}

// ---- bad input

Test(tenants, refuses_what_is_wrong_and_changes_nothing)
{
    static const struct {
        enum op op;
        const char *id, *json;
        enum om_rc rc;
        const char *param;
    } cases[] = {
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"A\"}", OM_EINVAL, "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"9a\"}", OM_EINVAL, "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a-\"}", OM_EINVAL, "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a b\"}", OM_EINVAL,
          "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a-sandbox\"}", OM_EINVAL,
          "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"default\"}", OM_ECONFLICT,
          "slug" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a\",\"plan\":\"Pro!\"}",
          OM_EINVAL, "plan" },
        { OP_tenant_create, NULL,
          "{\"name\":\"A\",\"slug\":\"a\",\"sensitivity\":\"some\"}", OM_EINVAL,
          "sensitivity" },
        { OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a\",\"region\":\"EU\"}",
          OM_EINVAL, "region" },
        { OP_tenant_create, NULL,
          "{\"name\":\"A\",\"slug\":\"a\",\"owner_email\":\"ada\"}", OM_EINVAL,
          "owner_email" },
        { OP_tenant_update, "ten_x", "{\"name\":\"A\"}", OM_ENOTFOUND, "id" },
        { OP_tenant_update, "SELF", "{\"state\":\"dead\"}", OM_EINVAL, "state" },
        { OP_tenant_update, "SELF", "{\"state\":\"suspended\"}", OM_ECONFLICT, "state" },
        { OP_tenant_update, "SELF", "{}", OM_EINVAL, "" },
        { OP_tenant_close, "SELF", "{}", OM_ECONFLICT, "state" },
        { OP_tenant_patch, NULL, "{}", OM_EINVAL, "" },
        { OP_tenant_patch, NULL, "{\"clock_ms\":1}", OM_EINVAL, "clock_ms" },
        { OP_tenant_patch, NULL, "{\"config\":{\"colour\":1}}", OM_EINVAL, "colour" },
        { OP_tenant_patch, NULL, "{\"config\":{\"cache\":true,\"default_model\":1}}",
          OM_EINVAL, "default_model" },
        { OP_config_put, NULL, "{\"settings\":{\"cache\":true,\"x\":1}}", OM_EINVAL,
          "x" },
        { OP_user_create, NULL, "{\"email\":\"a@b\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a b@c.de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a@b@c.de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"@c.de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a@c..de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a@.de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a@c.de.\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a\\u0007@c.de\"}", OM_EINVAL, "email" },
        { OP_user_create, NULL, "{\"email\":\"a@c.de\",\"roles\":[\"king\"]}", OM_EINVAL,
          "role" },
        { OP_user_create, NULL, "{\"email\":\"a@c.de\",\"roles\":[\"viewer\",\"king\"]}",
          OM_EINVAL, "role" },
        { OP_user_create, NULL, "{\"email\":\"a@c.de\",\"team\":\"team_x\"}", OM_EINVAL,
          "team" },
        { OP_user_get, "user_x", "{}", OM_ENOTFOUND, "id" },
        { OP_user_delete, "key_00000000000000000000000000", "{}", OM_ENOTFOUND, "id" },
        { OP_role_create, NULL,
          "{\"name\":\"Boss\",\"permissions\":[{\"permission\":\"*\"}]}", OM_EINVAL,
          "name" },
        { OP_role_create, NULL,
          "{\"name\":\"owner\",\"permissions\":[{\"permission\":\"*\"}]}", OM_ECONFLICT,
          "name" },
        { OP_role_create, NULL,
          "{\"name\":\"r\",\"permissions\":[{\"permission\":\"train\"},"
          "{\"permission\":\"fly\"}]}",
          OM_EINVAL, "permissions" },
        { OP_role_create, NULL,
          "{\"name\":\"r\",\"permissions\":[{\"permission\":\"train\","
          "\"effect\":\"maybe\"}]}",
          OM_EINVAL, "permissions" },
        { OP_role_create, NULL,
          "{\"name\":\"r\",\"permissions\":[{\"permission\":\"operator\"}]}",
          OM_EFORBIDDEN, "permissions" },
        { OP_role_update, "owner", "{\"permissions\":[{\"permission\":\"train\"}]}",
          OM_ECONFLICT, "id" },
        { OP_role_delete, "viewer", "{}", OM_ECONFLICT, "id" },
        { OP_role_delete, "nobody", "{}", OM_ENOTFOUND, "id" },
        { OP_binding_create, NULL, "{\"user\":\"user_x\",\"role\":\"viewer\"}", OM_EINVAL,
          "user" },
        { OP_binding_delete, "bind_x", "{}", OM_ENOTFOUND, "id" },
        { OP_team_get, "team_x", "{}", OM_ENOTFOUND, "id" },
        { OP_key_get, "key_x", "{}", OM_ENOTFOUND, "id" },
        { OP_key_rotate, "key_x", "{}", OM_ENOTFOUND, "id" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"env\":\"prod\"}", OM_EINVAL, "env" },
        { OP_key_create, NULL,
          "{\"name\":\"k\",\"env\":\"test\",\"scopes\":[\"keys:write\"]}", OM_EINVAL,
          "scopes" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"env\":\"test\",\"scopes\":[\"*\"]}",
          OM_EINVAL, "scopes" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"scopes\":[\"operator\"]}",
          OM_EFORBIDDEN, "scopes" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"cidrs\":[\"10.0.0.1/8\"]}", OM_EINVAL,
          "cidrs" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"cidrs\":[\"10.0.0.0/33\"]}", OM_EINVAL,
          "cidrs" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"cidrs\":[\"010.0.0.0/8\"]}", OM_EINVAL,
          "cidrs" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"cidrs\":[\"::/0\",\"\"]}", OM_EINVAL,
          "cidrs" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"models\":[\"\"]}", OM_EINVAL,
          "models" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"version\":\"2026-13-01\"}", OM_EINVAL,
          "version" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"version\":\"2026/11/01\"}", OM_EINVAL,
          "version" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"user\":\"user_x\"}", OM_EINVAL,
          "user" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"team\":\"team_x\"}", OM_EINVAL,
          "team" },
        { OP_key_create, NULL, "{\"name\":\"k\",\"expires_ms\":1}", OM_EINVAL,
          "expires_ms" },
    };
    char self[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &tenant, self);
    int64_t before[11], after[11];
    count_rows(before);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        const char *id =
            cases[i].id && strcmp(cases[i].id, "SELF") == 0 ? self : cases[i].id;
        enum om_rc rc = ask(cases[i].op, id, cases[i].json);
        cr_expect_eq(rc, cases[i].rc, "%s %s: %d %s", ops[cases[i].op].name,
                     cases[i].json, rc, call.job.text);
        cr_expect_str_eq(call.job.param, cases[i].param, "%s %s: %s",
                         ops[cases[i].op].name, cases[i].json, call.job.text);
        cr_expect(*call.job.text, "%s %s says nothing", ops[cases[i].op].name,
                  cases[i].json);
        count_rows(after);
        cr_expect_arr_eq(before, after, sizeof(before), "%s %s changed something",
                         ops[cases[i].op].name, cases[i].json);
    }
}

// ---- tenants

Test(tenants, are_made_with_a_first_key_that_may_do_all_but_operate)
{
    char id[128], key[128];
    OK(OP_tenant_create, NULL,
       "{\"name\":\"Acme\",\"slug\":\"acme\",\"plan\":\"pro\",\"region\":\"eu-west\","
       "\"prepaid\":true,\"owner_email\":\"Ada@Example.com\"}");
    keep(id, "id");
    keep(key, "key");
    cr_assert_eq(resolve(key), OM_OK, "%s", call.job.text);
    cr_expect_str_eq(get("tenant"), id);
    cr_expect_str_eq(get("plan"), "pro");
    cr_expect(json_is_true(json_object_get(answer, "prepaid")));
    cr_expect(lists("scopes", "*") && !lists("scopes", "operator"));
    OK(OP_tenant_get, id, "{}");
    cr_expect_str_eq(get("key"), "", "shown only once");
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(id), &tenant), OM_OK);
    OK(OP_user_list, NULL, "{}");
    json_t *list = answer;
    answer = json_incref(json_array_get(json_object_get(list, "data"), 0));
    json_decref(list);
    cr_expect_str_eq(get("email"), "ada@example.com");
    cr_expect(lists("roles", "owner"));
}

Test(tenants, that_were_closed_stay_closed)
{
    char id[128], key[128];
    OK(OP_tenant_create, NULL, "{\"name\":\"Acme\",\"slug\":\"acme\"}");
    keep(id, "id");
    keep(key, "key");
    OK(OP_tenant_update, id, "{\"state\":\"past_due\"}");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_str_eq(get("state"), "past_due");
    OK(OP_tenant_update, id, "{\"state\":\"active\"}");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_str_eq(get("state"), "", "active is not said");
    OK(OP_tenant_close, id, "{}");
    cr_assert_eq(resolve(key), OM_OK, "the edge says why it refuses");
    cr_expect_str_eq(get("state"), "closed");
    cr_expect_eq(ask(OP_tenant_update, id, "{\"state\":\"active\"}"), OM_ECONFLICT);
}

Test(tenants, are_changed_only_in_the_version_that_was_read)
{
    OK(OP_config_get, NULL, "{}");
    json_int_t version = get_number("version");
    cr_expect_eq(
        ask_version(OP_config_put, NULL, "{\"settings\":{\"cache\":false}}", version + 1),
        OM_EMATCH);
    cr_assert_eq(
        ask_version(OP_config_put, NULL, "{\"settings\":{\"cache\":false}}", version),
        OM_OK);
    cr_expect_eq(get_number("version"), version + 1);
    cr_expect_eq(ask_version(OP_tenant_patch, NULL, "{\"name\":\"new\"}", version),
                 OM_EMATCH);
    cr_expect(strstr(call.job.text, "read it again"), "%s", call.job.text);
}

Test(tenants, settings_are_put_whole_and_patched_one_by_one)
{
    OK(OP_config_put, NULL,
       "{\"settings\":{\"cache\":false,\"requests_per_minute\":60,"
       "\"cors_origins\":[\"https://a.example\"]}}");
    OK(OP_tenant_patch, NULL, "{\"config\":{\"cache\":null,\"tokens_per_minute\":9}}");
    json_t *config = json_object_get(answer, "config");
    cr_expect_eq(json_object_size(config), 3, "%.*s", (int)text.size, text.data);
    cr_expect_null(json_object_get(config, "cache"));
    OK(OP_key_create, NULL, "{\"name\":\"k\",\"scopes\":[\"predict\"]}");
    char key[128];
    keep(key, "key");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect(lists("origins", "https://a.example"));
    json_t *limit = json_array_get(json_object_get(answer, "limits"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(limit, "scope")), "tenant");
    cr_expect_eq(json_integer_value(json_object_get(limit, "requests")), 60);
    cr_expect_eq(json_integer_value(json_object_get(limit, "tokens")), 9);
    OK(OP_config_put, NULL, "{\"settings\":{}}");
    cr_expect_eq(json_object_size(json_object_get(answer, "settings")), 0);
}

// ---- users and roles

static void
make_user(const char *email, const char *role, char id[128])
{
    char json[256];
    snprintf(json, sizeof(json), "{\"email\":\"%s\",\"roles\":[\"%s\"]}", email, role);
    OK(OP_user_create, NULL, json);
    keep(id, "id");
}

static void
make_key_for(const char *user, char key[128])
{
    char json[256];
    snprintf(json, sizeof(json), "{\"name\":\"k\",\"user\":\"%s\",\"scopes\":[\"*\"]}",
             user);
    OK(OP_key_create, NULL, json);
    keep(key, "key");
}

Test(tenants, a_key_may_do_no_more_than_its_user)
{
    char user[128], key[128], json[256], binding[128];
    make_user("dev@example.com", "viewer", user);
    make_key_for(user, key);
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_str_eq(get("user"), user);
    cr_expect(lists("scopes", "files:read") && !lists("scopes", "predict"));
    int64_t seq = last_change();
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"developer\"}", user);
    OK(OP_binding_create, NULL, json);
    keep(binding, "id");
    cr_expect_gt(last_change(), seq, "edges are told");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect(lists("scopes", "predict"));
    cr_expect_not(lists("scopes", "keys:read"), "what viewer denies stays denied");
    OK(OP_binding_delete, binding, "{}");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_not(lists("scopes", "predict"));
}

Test(tenants, a_suspended_users_keys_are_refused_and_a_deleted_users_are_revoked)
{
    char user[128], key[128];
    make_user("dev@example.com", "developer", user);
    make_key_for(user, key);
    OK(OP_user_update, user, "{\"state\":\"suspended\"}");
    cr_expect_eq(resolve(key), OM_EAUTH);
    cr_expect(strstr(call.job.text, "suspended"), "%s", call.job.text);
    OK(OP_user_update, user, "{\"state\":\"active\"}");
    cr_expect_eq(resolve(key), OM_OK);
    int64_t seq = last_change();
    OK(OP_user_delete, user, "{}");
    cr_expect_gt(last_change(), seq);
    cr_expect_eq(resolve(key), OM_EAUTH);
    cr_expect_eq(ask(OP_user_get, user, "{}"), OM_ENOTFOUND);
    make_user("dev@example.com", "viewer", user);
}

Test(tenants, one_person_may_be_in_two_and_each_sees_only_its_own)
{
    char user[128], other[128], id[128];
    struct om_uuid first = tenant;
    OK(OP_user_create, NULL, "{\"email\":\"ada@example.com\",\"name\":\"Ada (secret)\"}");
    keep(user, "id");
    OK(OP_tenant_create, NULL, "{\"name\":\"B\",\"slug\":\"b\"}");
    keep(id, "id");
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(id), &tenant), OM_OK);
    cr_expect_eq(ask(OP_user_get, user, "{}"), OM_ENOTFOUND, "not a user of B yet");
    OK(OP_user_create, NULL, "{\"email\":\"ADA@example.com\",\"roles\":[\"viewer\"]}");
    keep(other, "id");
    cr_expect_str_eq(other, user, "the same person");
    cr_expect_str_eq(get("name"), "", "what A calls her is A's");
    OK(OP_user_delete, user, "{}");
    tenant = first;
    OK(OP_user_get, user, "{}");
    cr_expect_str_eq(get("name"), "Ada (secret)", "A's membership is untouched");
}

Test(tenants, a_role_that_ends_is_taken_away_and_edges_are_told)
{
    char user[128], key[128], json[256];
    int64_t end_ms = om_clock_wall_ms() + 3600000;
    make_user("dev@example.com", "viewer", user);
    make_key_for(user, key);
    snprintf(json, sizeof(json),
             "{\"user\":\"%s\",\"role\":\"developer\",\"expires_ms\":%lld}", user,
             (long long)end_ms);
    OK(OP_binding_create, NULL, json);
    int64_t seq = last_change();
    cr_assert_eq(identity_end_roles(&identity, end_ms - 1), OM_OK);
    cr_expect_eq(last_change(), seq, "not yet");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect(lists("scopes", "predict"));
    cr_assert_eq(identity_end_roles(&identity, end_ms), OM_OK);
    cr_expect_gt(last_change(), seq);
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_not(lists("scopes", "predict"));
    OK(OP_user_get, user, "{}");
    cr_expect(lists("roles", "viewer") && !lists("roles", "developer"));
}

// ---- no way up

Test(tenants, nobody_gives_or_takes_more_than_they_have)
{
    char owner[128], developer[128], binding[128], json[256];
    make_user("owner@example.com", "owner", owner);
    make_user("dev@example.com", "developer", developer);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"owner\"}", owner);
    OK(OP_binding_create, NULL, json);
    keep(binding, "id");

    granted = SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(TENANTS_WRITE); // an admin
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"owner\"}", developer);
    cr_expect_eq(ask(OP_binding_create, NULL, json), OM_EFORBIDDEN);
    cr_expect_eq(
        ask(OP_user_create, NULL, "{\"email\":\"x@example.com\",\"roles\":[\"owner\"]}"),
        OM_EFORBIDDEN);
    cr_expect_eq(ask(OP_role_create, NULL,
                     "{\"name\":\"r\",\"permissions\":[{\"permission\":\"*\"}]}"),
                 OM_EFORBIDDEN);
    cr_expect_eq(ask(OP_user_update, owner, "{\"state\":\"suspended\"}"), OM_EFORBIDDEN);
    cr_expect_eq(ask(OP_user_delete, owner, "{}"), OM_EFORBIDDEN);
    cr_expect_eq(ask(OP_binding_delete, binding, "{}"), OM_EFORBIDDEN);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"admin\"}", developer);
    OK(OP_binding_create, NULL, json);
}

Test(tenants, lifting_what_a_role_denies_needs_what_it_denied)
{
    char user[128], json[256];
    OK(OP_role_create, NULL,
       "{\"name\":\"no-files\",\"permissions\":[{\"permission\":\"files:*\","
       "\"effect\":\"deny\"}]}");
    make_user("dev@example.com", "developer", user);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"no-files\"}", user);
    OK(OP_binding_create, NULL, json);
    OK(OP_user_get, user, "{}");
    cr_expect_not(lists("scopes", "files:read"));
    cr_expect_eq(ask(OP_role_delete, "no-files", "{}"), OM_ECONFLICT, "someone has it");
    granted = SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(FILES_READ);
    cr_expect_eq(
        ask(OP_role_update, "no-files", "{\"permissions\":[{\"permission\":\"train\"}]}"),
        OM_EFORBIDDEN);
    // To let the denial end in a while is to lift it.
    snprintf(json, sizeof(json),
             "{\"user\":\"%s\",\"role\":\"no-files\",\"expires_ms\":9000000000000}",
             user);
    cr_expect_eq(ask(OP_binding_create, NULL, json), OM_EFORBIDDEN);
}

Test(tenants, a_key_is_no_way_out_of_what_binds_the_key_that_makes_it)
{
    char json[400], other[128];
    OK(OP_key_create, NULL,
       "{\"name\":\"bound\",\"models\":[\"a\",\"b\"],\"cidrs\":[\"10.0.0.0/8\"],"
       "\"requests\":10,\"expires_ms\":9000000000000,\"scopes\":[\"keys:write\"]}");
    snprintf(by, sizeof(by), "%s", get("id"));
    static const struct {
        const char *json, *param;
    } cases[] = {
        { "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"models\":[\"c\"]}", "models" },
        { "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"cidrs\":[\"11.0.0.0/8\"]}",
          "cidrs" },
        { "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"cidrs\":[\"10.0.0.0/7\"]}",
          "cidrs" },
        { "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"requests\":11}", "requests" },
        { "{\"name\":\"k\",\"scopes\":[\"keys:write\"],"
          "\"expires_ms\":9000000000001}",
          "expires_ms" },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        cr_expect_eq(ask(OP_key_create, NULL, cases[i].json), OM_EFORBIDDEN, "%s",
                     cases[i].json);
        cr_expect_str_eq(call.job.param, cases[i].param, "%s", cases[i].json);
    }
    OK(OP_key_create, NULL,
       "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"cidrs\":[\"10.1.0.0/16\"]}");
    cr_expect(lists("models", "a") && lists("cidrs", "10.1.0.0/16"));
    cr_expect_eq(get_number("requests"), 10);
    cr_expect_eq(get_number("expires_ms"), 9000000000000);
    *by = '\0';
    OK(OP_key_create, NULL, "{\"name\":\"free\",\"scopes\":[\"predict\"]}");
    keep(other, "id");
    OK(OP_key_list, NULL, "{}");
    json_t *bound = json_array_get(json_object_get(answer, "data"), 2);
    snprintf(by, sizeof(by), "%s", json_string_value(json_object_get(bound, "id")));
    cr_expect_eq(ask(OP_key_rotate, other, "{}"), OM_EFORBIDDEN, "nor is a rotation");
    (void)json;
}

// ---- keys

Test(tenants, a_rotated_key_works_until_the_overlap_is_over)
{
    char old_id[128], old_key[128], new_id[128], new_key[128];
    OK(OP_key_create, NULL,
       "{\"name\":\"k\",\"scopes\":[\"predict\"],\"models\":[\"a\"],\"tokens\":5,"
       "\"cidrs\":[\"2001:DB8::/32\"],\"version\":\"2026-11-01\"}");
    keep(old_id, "id");
    keep(old_key, "key");
    cr_expect(lists("cidrs", "2001:db8::/32"), "in the usual form");
    int64_t seq = last_change(), before_ms = om_clock_wall_ms();
    OK(OP_key_rotate, old_id, "{\"overlap_s\":60}");
    keep(new_id, "id");
    keep(new_key, "key");
    cr_expect_gt(last_change(), seq, "edges learn when the old one ends");
    cr_expect_str_neq(new_key, old_key);
    cr_expect(lists("models", "a") && lists("scopes", "predict"));
    cr_expect_eq(get_number("tokens"), 5);
    cr_expect_str_eq(get("version"), "2026-11-01");
    cr_expect_eq(resolve(new_key), OM_OK);
    cr_expect_eq(get_number("expires_ms"), 0, "the new one has no end");
    cr_expect_eq(resolve(old_key), OM_OK, "both work meanwhile");
    cr_expect_geq(get_number("expires_ms"), before_ms + 60000);
    cr_expect_lt(get_number("expires_ms"), before_ms + 90000);
    OK(OP_key_get, old_id, "{}");
    cr_expect_str_eq(get("successor"), new_id);
    cr_expect_eq(ask(OP_key_rotate, old_id, "{}"), OM_ECONFLICT);
    cr_expect(strstr(call.job.text, new_id), "%s", call.job.text);
    OK(OP_key_rotate, new_id, "{\"overlap_s\":0}");
    cr_expect_eq(resolve(new_key), OM_EAUTH, "without overlap it ends at once");
}

Test(tenants, nobody_rotates_a_key_to_get_what_it_may_do)
{
    char id[128];
    OK(OP_key_create, NULL, "{\"name\":\"k\",\"scopes\":[\"predict\"]}");
    keep(id, "id");
    granted = SCOPE_BIT(KEYS_WRITE);
    cr_expect_eq(ask(OP_key_rotate, id, "{}"), OM_EFORBIDDEN);
    cr_expect(strstr(call.job.text, "\"predict\""), "%s", call.job.text);
}

Test(tenants, test_keys_share_one_sandbox_which_is_another_tenant)
{
    char first[128], second[128], sandbox[128], self[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &tenant, self);
    OK(OP_key_create, NULL, "{\"name\":\"t1\",\"env\":\"test\"}");
    cr_expect_eq(strncmp(get("key"), "omni_test_", 10), 0, "%s", get("key"));
    cr_expect_not(lists("scopes", "keys:write"));
    keep(first, "key");
    OK(OP_key_create, NULL, "{\"name\":\"t2\",\"env\":\"test\"}");
    keep(second, "key");
    OK(OP_tenant_patch, NULL, "{\"config\":{\"cors_origins\":[\"https://a.example\"]}}");
    cr_assert_eq(resolve(first), OM_OK);
    keep(sandbox, "tenant");
    cr_expect_str_neq(sandbox, self);
    cr_expect(json_is_true(json_object_get(answer, "sandbox")));
    cr_expect(lists("origins", "https://a.example"), "the settings are its tenant's");
    cr_assert_eq(resolve(second), OM_OK);
    cr_expect_str_eq(get("tenant"), sandbox);
    OK(OP_tenant_list, NULL, "{}");
    cr_expect_eq(json_array_size(json_object_get(answer, "data")), 1, "not listed");
    cr_expect_eq(ask(OP_tenant_update, sandbox, "{\"plan\":\"pro\"}"), OM_ECONFLICT);

    // As the holder of a test key: the clock can be set, and nothing else.
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(sandbox), &tenant), OM_OK);
    OK(OP_tenant_patch, NULL, "{\"clock_ms\":86400000}");
    cr_expect_str_eq(get("parent"), self);
    cr_expect_eq(ask(OP_tenant_patch, NULL, "{\"name\":\"x\"}"), OM_EINVAL);
    cr_expect_eq(ask(OP_config_put, NULL, "{\"settings\":{}}"), OM_EINVAL);
    OK(OP_key_list, NULL, "{}");
    cr_expect_eq(json_array_size(json_object_get(answer, "data")), 0);
    cr_assert_eq(resolve(first), OM_OK);
    cr_expect_eq(get_number("clock_ms"), 86400000);
}

Test(tenants, the_feed_has_one_row_a_key_and_tenant_however_often_they_change)
{
    char user[128];
    make_user("dev@example.com", "viewer", user);
    for (int i = 0; i < 20; i++) {
        OK(OP_user_update, user, "{\"name\":\"n\"}");
        OK(OP_tenant_patch, NULL, "{\"name\":\"n\"}");
    }
    struct key_changes_request request = { 0 };
    struct key_changes_reply reply;
    REC_SET(&request, key_changes_request, since, 0);
    cr_assert_eq(call_op(&call, identity_routes, &identity, OP_key_changes,
                         (struct om_uuid){ 0 }, "", &request, &reply),
                 OM_OK);
    cr_expect_eq(rec_iter(reply.data).left, 1);
    cr_expect_geq(reply.last, 40);
}

Test(tenants, limits_of_key_user_team_and_tenant_are_all_told)
{
    char team[128], user[128], key[128], json[256];
    OK(OP_team_create, NULL, "{\"name\":\"ml\",\"requests\":30}");
    keep(team, "id");
    cr_expect_eq(ask(OP_team_create, NULL, "{\"name\":\"ml\"}"), OM_ECONFLICT);
    snprintf(json, sizeof(json),
             "{\"email\":\"a@example.com\",\"team\":\"%s\",\"requests\":20}", team);
    OK(OP_user_create, NULL, json);
    keep(user, "id");
    snprintf(json, sizeof(json), "{\"name\":\"k\",\"user\":\"%s\",\"requests\":10}",
             user);
    OK(OP_key_create, NULL, json);
    keep(key, "key");
    OK(OP_tenant_patch, NULL, "{\"config\":{\"requests_per_minute\":40}}");
    cr_assert_eq(resolve(key), OM_OK);
    static const char *const scopes[] = { "key", "user", "team", "tenant" };
    json_t *limits = json_object_get(answer, "limits");
    cr_assert_eq(json_array_size(limits), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *limit = json_array_get(limits, i);
        cr_expect_str_eq(json_string_value(json_object_get(limit, "scope")), scopes[i]);
        cr_expect_eq(json_integer_value(json_object_get(limit, "requests")),
                     10 * (json_int_t)(i + 1));
    }
    cr_expect_eq(ask(OP_team_delete, team, "{}"), OM_ECONFLICT, "someone is in it");
    OK(OP_team_update, team, "{\"requests\":0}");
    OK(OP_user_update, user, "{\"team\":\"\"}");
    cr_assert_eq(resolve(key), OM_OK);
    cr_expect_eq(json_array_size(json_object_get(answer, "limits")), 3);
    OK(OP_team_delete, team, "{}");
}

Test(tenants, workers_of_a_suspended_one_and_with_keys_bound_to_networks_are_refused)
{
    char id[128], key[128];
    OK(OP_tenant_create, NULL, "{\"name\":\"Acme\",\"slug\":\"acme\"}");
    keep(id, "id");
    keep(key, "key");
    call.from = ROLE_BROKER;
    cr_expect_eq(resolve(key), OM_OK);
    call.from = ROLE_INGEST;
    OK(OP_tenant_update, id, "{\"state\":\"suspended\"}");
    cr_expect_eq(resolve(key), OM_OK, "the edge says why it refuses");
    call.from = ROLE_BROKER;
    cr_expect_eq(resolve(key), OM_EFORBIDDEN);
    call.from = ROLE_INGEST;
    OK(OP_key_create, NULL,
       "{\"name\":\"k\",\"scopes\":[\"worker\"],\"cidrs\":[\"10.0.0.0/8\"]}");
    keep(key, "key");
    call.from = ROLE_BROKER;
    cr_expect_eq(resolve(key), OM_EFORBIDDEN, "the broker sees no addresses");
}

Test(tenants, last_use_is_shown_once_it_was_reported)
{
    char id[128], json[256];
    OK(OP_key_create, NULL, "{\"name\":\"k\"}");
    keep(id, "id");
    cr_expect_eq(get_number("used_ms"), 0);
    snprintf(json, sizeof(json), "{\"ids\":[\"%s\",\"nonsense\"]}", id);
    OK(OP_key_used, NULL, json);
    OK(OP_key_get, id, "{}");
    cr_expect_gt(get_number("used_ms"), 0);
}

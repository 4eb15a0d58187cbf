#include "fixture.h"
#include "clock.h"
#include "id.h"

enum { RECORD_MAX = 1024 };

struct fixture fix;

OM_SQL(first_tenant, "SELECT id FROM tenant WHERE slug = 'default'");
OM_SQL(rows_of_all,
       "SELECT (SELECT count(*) FROM tenant), (SELECT count(*) FROM person), "
       "(SELECT count(*) FROM membership), (SELECT count(*) FROM role), "
       "(SELECT count(*) FROM role_permission), (SELECT count(*) FROM role_binding), "
       "(SELECT count(*) FROM team), (SELECT count(*) FROM api_key), "
       "(SELECT count(*) FROM key_change), (SELECT count(*) FROM tenant_config), "
       "(SELECT sum(version) FROM tenant)");

void
fix_open(void)
{
    char file[128], why[512];
    fix.folder = call_folder_make();
    fix.identity.db = call_open_db(&fix.folder, "identity", identity_schema);
    snprintf(file, sizeof(file), "%s/admin.key", fix.folder.path);
    struct identity_conf conf = { .admin_key_file = file, .bootstrap_key_file = "" };
    cr_assert_eq(identity_bootstrap(&fix.identity, &conf, why, sizeof(why)), OM_OK, "%s",
                 why);
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(fix.identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_first_tenant);
    cr_assert(om_rows_next(rows));
    fix.tenant = om_row_uuid(rows, 0);
    fix.granted = SCOPES_OWNER;
    *fix.by = '\0';
}

void
fix_close(void)
{
    om_db_close(&fix.identity.db);
    call_finish(&fix.call);
    om_buf_finish(&fix.text);
    om_buf_finish(&fix.granted_names);
    json_decref(fix.answer);
    call_folder_remove(&fix.folder);
}

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
// in `fix.answer`.
enum om_rc
fix_ask_version(enum op op, const char *id, const char *json, int64_t if_version)
{
    const struct rec *type = ops[op].request;
    _Alignas(8) char request[RECORD_MAX] = { 0 }, reply[RECORD_MAX] = { 0 };
    struct om_arena arena = { 0 };
    struct om_json_error error;
    cr_assert(type->size <= sizeof(request) && ops[op].reply->size <= sizeof(reply));
    enum om_rc rc = om_json_to_record(type, om_str(json), &arena, request, &error);
    bool only_id = rc != OM_OK && strcmp(error.param, "id") == 0;
    cr_assert(rc == OM_OK || only_id, "%s: %s", json, error.text);
    om_buf_reset(&fix.granted_names);
    scopes_encode(fix.granted, &fix.granted_names);
    set_internal(type, request, "id", om_str(id));
    set_internal(type, request, "granted", om_buf_str(&fix.granted_names));
    set_internal(type, request, "by", *fix.by ? om_str(fix.by) : (struct om_str){ 0 });
    for (size_t i = 0; if_version >= 0 && i < type->count; i++)
        if (strcmp(type->fields[i].name, "if_version") == 0) {
            memcpy(request + type->fields[i].offset, &if_version, sizeof(if_version));
            *(uint64_t *)(void *)request |= UINT64_C(1) << i;
        }
    rc = call_op(&fix.call, identity_routes, &fix.identity, op, fix.tenant, "", request,
                 reply);
    om_arena_finish(&arena);
    om_buf_reset(&fix.text);
    json_decref(fix.answer);
    fix.answer = NULL;
    if (rc == OM_OK) {
        om_json_put_record(&fix.text, ops[op].reply, reply);
        fix.answer = json_loadb(fix.text.data, fix.text.size, 0, NULL);
        cr_assert(fix.answer, "%.*s", (int)fix.text.size, fix.text.data);
    }
    return rc;
}

enum om_rc
fix_ask(enum op op, const char *id, const char *json)
{
    return fix_ask_version(op, id, json, -1);
}

const char *
fix_get(const char *name)
{
    const char *value = json_string_value(json_object_get(fix.answer, name));
    return value ? value : "";
}

json_int_t
fix_number(const char *name)
{
    return json_integer_value(json_object_get(fix.answer, name));
}

bool
fix_lists(const char *name, const char *value)
{
    json_t *list = json_object_get(fix.answer, name);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), value) == 0)
            return true;
    return false;
}

void
fix_keep(char out[128], const char *name)
{
    snprintf(out, 128, "%s", fix_get(name));
}

static enum om_rc
resolve(const char *key, bool sandbox)
{
    uint8_t hash[32];
    struct key_resolve_request request = { 0 };
    struct key_resolve_reply reply;
    om_sha256(om_str(key), hash);
    REC_SET(&request, key_resolve_request, hash, ((struct om_str){ (char *)hash, 32 }));
    if (sandbox)
        REC_SET(&request, key_resolve_request, sandbox, true);
    enum om_rc rc = call_op(&fix.call, identity_routes, &fix.identity, OP_key_resolve,
                            (struct om_uuid){ 0 }, "", &request, &reply);
    om_buf_reset(&fix.text);
    json_decref(fix.answer);
    fix.answer = NULL;
    if (rc)
        return rc;
    om_json_put_record(&fix.text, &key_resolve_reply_rec, &reply);
    fix.answer = json_loadb(fix.text.data, fix.text.size, 0, NULL);
    return rc;
}

enum om_rc
fix_resolve(const char *key)
{
    return resolve(key, false);
}

enum om_rc
fix_resolve_sandbox(const char *key)
{
    return resolve(key, true);
}

// All that is stored, counted; a refused request changes none of it.
void
fix_count_rows(int64_t counts[11])
{
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(fix.identity.db);
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_rows_of_all);
    cr_assert(om_rows_next(rows));
    for (int i = 0; i < 11; i++)
        counts[i] = om_row_i64(rows, i);
}

int64_t
fix_last_change(void)
{
    struct key_changes_request request = { 0 };
    struct key_changes_reply reply;
    REC_SET(&request, key_changes_request, since, 0);
    cr_assert_eq(call_op(&fix.call, identity_routes, &fix.identity, OP_key_changes,
                         (struct om_uuid){ 0 }, "", &request, &reply),
                 OM_OK);
    return reply.last;
}

void
fix_make_user(const char *email, const char *role, char id[128])
{
    char json[256];
    snprintf(json, sizeof(json), "{\"email\":\"%s\",\"roles\":[\"%s\"]}", email, role);
    FIX_OK(OP_user_create, NULL, json);
    fix_keep(id, "id");
}

void
fix_make_key(const char *user, char key[128])
{
    char json[256];
    snprintf(json, sizeof(json), "{\"name\":\"k\",\"user\":\"%s\",\"scopes\":[\"*\"]}",
             user);
    FIX_OK(OP_key_create, NULL, json);
    fix_keep(key, "key");
}

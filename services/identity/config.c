// What a tenant has set: typed by setting.c, stored as msgpack.
#include <stdio.h>

#include "inner.h"
#include "setting.h"

OM_SQL(config_list,
       "SELECT name, value FROM tenant_config WHERE tenant = $1 ORDER BY name");
OM_SQL(config_clear, "DELETE FROM tenant_config WHERE tenant = $1");
OM_SQL(config_unset, "DELETE FROM tenant_config WHERE tenant = $1 AND name = $2");
OM_SQL(config_set,
       "INSERT INTO tenant_config (tenant, name, value, version) VALUES ($1, $2, $3, $4) "
       "ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value, "
       "version = excluded.version");
OM_SQL(config_version, "SELECT version FROM tenant WHERE id = $1");

static bool
is_nil(struct om_str bytes)
{
    struct rec_value value;
    return rec_next_value(&bytes, &value) && value.kind == REC_VALUE_NIL;
}

static enum om_rc
set_one(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant,
        struct om_str name, struct om_str value, int64_t version)
{
    char why[SETTING_WHY_MAX], param[64];
    const struct setting *setting = setting_find(name);
    int shown = (int)(name.size < sizeof(param) ? name.size : sizeof(param) - 1);
    snprintf(param, sizeof(param), "%.*s", shown, name.size ? name.data : "");
    if (!setting)
        return om_job_fail(call->job, OM_EINVAL, param,
                           "there is no setting \"%s\"; GET /api/v1/tenants/me/config "
                           "lists those there are",
                           param);
    if (is_nil(value))
        return om_db_exec(txn, &sql_config_unset, DB_UUID(tenant), DB_STR(name));
    if (setting_check(setting, value, why) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, param, "%s: %s", why, setting->doc);
    return om_db_exec(txn, &sql_config_set, DB_UUID(tenant), DB_STR(name), DB_BIN(value),
                      DB_I64(version));
}

enum om_rc
config_change(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant,
              struct om_str map, bool whole, int64_t version)
{
    struct rec_value head;
    struct om_str name, value;
    if (!rec_next_value(&map, &head) || head.kind != REC_VALUE_MAP)
        return om_job_fail(call->job, OM_EINVAL, "settings", "settings: not a map");
    if (whole)
        om_db_exec(txn, &sql_config_clear, DB_UUID(tenant));
    struct rec_iter iter = { map, 2 * head.count };
    while (iter.left > 0) {
        if (!rec_next_str(&iter, &name) || !rec_next_raw(&iter, &value))
            return om_job_fail(call->job, OM_EINVAL, "settings", "settings: not a map");
        enum om_rc rc = set_one(call, txn, tenant, name, value, version);
        if (rc)
            return rc;
    }
    return om_db_rc(txn);
}

struct om_str
config_load(struct om_call *call, struct om_txn *txn, const struct om_uuid *tenant)
{
    OM_AUTO(om_buf_finish) struct om_buf items = { 0 };
    OM_AUTO(om_buf_finish) struct om_buf map = { 0 };
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_config_list, DB_UUID(tenant));
    size_t count = 0;
    for (; om_rows_next(rows); count++) {
        struct om_str value = om_row_str(rows, 1);
        om_pack_str(&items, om_row_str(rows, 0));
        om_buf_put(&items, value.data, value.size);
    }
    om_pack_map(&map, count);
    om_buf_put(&map, items.data, items.size);
    return om_call_copy(call, om_buf_str(&map));
}

static struct om_str
list_known(struct om_call *call)
{
    OM_AUTO(om_buf_finish) struct om_buf list = { 0 };
    om_pack_array(&list, settings_known_count);
    for (size_t i = 0; i < settings_known_count; i++) {
        struct setting_item item = { 0 };
        REC_SET(&item, setting_item, name, om_str(settings_known[i].name));
        REC_SET(&item, setting_item, type,
                om_str(setting_type_name(settings_known[i].type)));
        REC_SET(&item, setting_item, doc, om_str(settings_known[i].doc));
        rec_encode(&setting_item_rec, &item, &list);
    }
    return om_call_copy(call, om_buf_str(&list));
}

static enum om_rc
reply_config(struct om_call *call, struct om_txn *txn, const struct om_uuid *owner,
             struct config_get_reply *reply)
{
    OM_AUTO(om_rows_close)
    struct om_rows *rows = om_db_query(txn, &sql_config_version, DB_UUID(owner));
    if (!om_rows_next(rows))
        return om_db_rc(txn) ? om_db_rc(txn) : OM_ENOTFOUND;
    REC_SET(reply, config_get_reply, object, OM_LIT("tenant_config"));
    REC_SET(reply, config_get_reply, version, om_row_i64(rows, 0));
    REC_SET(reply, config_get_reply, settings, config_load(call, txn, owner));
    REC_SET(reply, config_get_reply, known, list_known(call));
    return OM_OK;
}

enum om_rc
on_config_get(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    (void)message;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin_read(self->db);
    if (!txn)
        return OM_EDB;
    struct om_uuid owner = tenant_owner(txn, &call->tenant_id);
    enum om_rc rc = reply_config(call, txn, &owner, answer);
    return rc ? rc : om_db_commit(&txn);
}

enum om_rc
on_config_put(void *context, struct om_call *call, const void *message, void *answer)
{
    struct identity *self = context;
    const struct config_put_request *request = message;
    bool guarded = REC_HAS(request, config_put_request, if_version);
    int64_t version;
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    struct om_uuid owner = tenant_owner(txn, &call->tenant_id);
    if (!om_uuid_eq(&owner, &call->tenant_id))
        return om_job_fail(call->job, OM_EINVAL, "settings",
                           "a sandbox has the settings of its tenant; use a live key");
    enum om_rc rc =
        tenant_touch(call, txn, &owner, guarded ? request->if_version : -1, &version);
    if (!rc)
        rc = config_change(call, txn, &owner, request->settings, true, version);
    if (!rc)
        rc = reply_config(call, txn, &owner, answer);
    return rc ? rc : om_db_commit(&txn);
}

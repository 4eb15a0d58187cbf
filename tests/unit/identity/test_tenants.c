// Tenants, their settings, and what is refused of anything.
#include "clock.h"
#include "fixture.h"
#include "id.h"

TestSuite(tenants, .init = fix_open, .fini = fix_close);

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
    om_typeid_encode(OM_ID_TENANT, &fix.tenant, self);
    int64_t before[11], after[11];
    fix_count_rows(before);
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        const char *id =
            cases[i].id && strcmp(cases[i].id, "SELF") == 0 ? self : cases[i].id;
        enum om_rc rc = fix_ask(cases[i].op, id, cases[i].json);
        cr_expect_eq(rc, cases[i].rc, "%s %s: %d %s", ops[cases[i].op].name,
                     cases[i].json, rc, fix.call.job.text);
        cr_expect_str_eq(fix.call.job.param, cases[i].param, "%s %s: %s",
                         ops[cases[i].op].name, cases[i].json, fix.call.job.text);
        cr_expect(*fix.call.job.text, "%s %s says nothing", ops[cases[i].op].name,
                  cases[i].json);
        fix_count_rows(after);
        cr_expect_arr_eq(before, after, sizeof(before), "%s %s changed something",
                         ops[cases[i].op].name, cases[i].json);
    }
}

// ---- tenants

Test(tenants, are_made_with_a_first_key_that_may_do_all_but_operate)
{
    char id[128], key[128];
    FIX_OK(OP_tenant_create, NULL,
           "{\"name\":\"Acme\",\"slug\":\"acme\",\"plan\":\"pro\",\"region\":\"eu-west\","
           "\"prepaid\":true,\"owner_email\":\"Ada@Example.com\"}");
    fix_keep(id, "id");
    fix_keep(key, "key");
    cr_assert_eq(fix_resolve(key), OM_OK, "%s", fix.call.job.text);
    cr_expect_str_eq(fix_get("tenant"), id);
    cr_expect_str_eq(fix_get("plan"), "pro");
    cr_expect(json_is_true(json_object_get(fix.answer, "prepaid")));
    cr_expect(fix_lists("scopes", "*") && !fix_lists("scopes", "operator"));
    FIX_OK(OP_tenant_get, id, "{}");
    cr_expect_str_eq(fix_get("key"), "", "shown only once");
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(id), &fix.tenant), OM_OK);
    FIX_OK(OP_user_list, NULL, "{}");
    json_t *list = fix.answer;
    fix.answer = json_incref(json_array_get(json_object_get(list, "data"), 0));
    json_decref(list);
    cr_expect_str_eq(fix_get("email"), "ada@example.com");
    cr_expect(fix_lists("roles", "owner"));
}

Test(tenants, that_were_closed_stay_closed)
{
    char id[128], key[128];
    FIX_OK(OP_tenant_create, NULL, "{\"name\":\"Acme\",\"slug\":\"acme\"}");
    fix_keep(id, "id");
    fix_keep(key, "key");
    FIX_OK(OP_tenant_update, id, "{\"state\":\"past_due\"}");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_str_eq(fix_get("state"), "past_due");
    FIX_OK(OP_tenant_update, id, "{\"state\":\"active\"}");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_str_eq(fix_get("state"), "", "active is not said");
    FIX_OK(OP_tenant_close, id, "{}");
    cr_assert_eq(fix_resolve(key), OM_OK, "the edge says why it refuses");
    cr_expect_str_eq(fix_get("state"), "closed");
    cr_expect_eq(fix_ask(OP_tenant_update, id, "{\"state\":\"active\"}"), OM_ECONFLICT);
}

Test(tenants, are_changed_only_in_the_version_that_was_read)
{
    FIX_OK(OP_config_get, NULL, "{}");
    json_int_t version = fix_number("version");
    cr_expect_eq(fix_ask_version(OP_config_put, NULL, "{\"settings\":{\"cache\":false}}",
                                 version + 1),
                 OM_EMATCH);
    cr_assert_eq(
        fix_ask_version(OP_config_put, NULL, "{\"settings\":{\"cache\":false}}", version),
        OM_OK);
    cr_expect_eq(fix_number("version"), version + 1);
    cr_expect_eq(fix_ask_version(OP_tenant_patch, NULL, "{\"name\":\"new\"}", version),
                 OM_EMATCH);
    cr_expect(strstr(fix.call.job.text, "read it again"), "%s", fix.call.job.text);
}

Test(tenants, settings_are_put_whole_and_patched_one_by_one)
{
    FIX_OK(OP_config_put, NULL,
           "{\"settings\":{\"cache\":false,\"requests_per_minute\":60,"
           "\"cors_origins\":[\"https://a.example\"]}}");
    FIX_OK(OP_tenant_patch, NULL,
           "{\"config\":{\"cache\":null,\"tokens_per_minute\":9}}");
    json_t *config = json_object_get(fix.answer, "config");
    cr_expect_eq(json_object_size(config), 3, "%.*s", (int)fix.text.size, fix.text.data);
    cr_expect_null(json_object_get(config, "cache"));
    FIX_OK(OP_key_create, NULL, "{\"name\":\"k\",\"scopes\":[\"predict\"]}");
    char key[128];
    fix_keep(key, "key");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect(fix_lists("origins", "https://a.example"));
    json_t *limit = json_array_get(json_object_get(fix.answer, "limits"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(limit, "scope")), "tenant");
    cr_expect_eq(json_integer_value(json_object_get(limit, "requests")), 60);
    cr_expect_eq(json_integer_value(json_object_get(limit, "tokens")), 9);
    FIX_OK(OP_config_put, NULL, "{\"settings\":{}}");
    cr_expect_eq(json_object_size(json_object_get(fix.answer, "settings")), 0);
}

// Keys: rotated, of a sandbox, limited, used.
#include "clock.h"
#include "fixture.h"
#include "id.h"

TestSuite(issued, .init = fix_open, .fini = fix_close);

Test(issued, a_rotated_key_works_until_the_overlap_is_over)
{
    char old_id[128], old_key[128], new_id[128], new_key[128];
    FIX_OK(OP_key_create, NULL,
           "{\"name\":\"k\",\"scopes\":[\"predict\"],\"models\":[\"a\"],\"tokens\":5,"
           "\"cidrs\":[\"2001:DB8::/32\"],\"version\":\"2026-11-01\"}");
    fix_keep(old_id, "id");
    fix_keep(old_key, "key");
    cr_expect(fix_lists("cidrs", "2001:db8::/32"), "in the usual form");
    int64_t seq = fix_last_change(), before_ms = om_clock_wall_ms();
    FIX_OK(OP_key_rotate, old_id, "{\"overlap_s\":60}");
    fix_keep(new_id, "id");
    fix_keep(new_key, "key");
    cr_expect_gt(fix_last_change(), seq, "edges learn when the old one ends");
    cr_expect_str_neq(new_key, old_key);
    cr_expect(fix_lists("models", "a") && fix_lists("scopes", "predict"));
    cr_expect_eq(fix_number("tokens"), 5);
    cr_expect_str_eq(fix_get("version"), "2026-11-01");
    cr_expect_eq(fix_resolve(new_key), OM_OK);
    cr_expect_eq(fix_number("expires_ms"), 0, "the new one has no end");
    cr_expect_eq(fix_resolve(old_key), OM_OK, "both work meanwhile");
    cr_expect_geq(fix_number("expires_ms"), before_ms + 60000);
    cr_expect_lt(fix_number("expires_ms"), before_ms + 90000);
    FIX_OK(OP_key_get, old_id, "{}");
    cr_expect_str_eq(fix_get("successor"), new_id);
    cr_expect_eq(fix_ask(OP_key_rotate, old_id, "{}"), OM_ECONFLICT);
    cr_expect(strstr(fix.call.job.text, new_id), "%s", fix.call.job.text);
    FIX_OK(OP_key_rotate, new_id, "{\"overlap_s\":0}");
    cr_expect_eq(fix_resolve(new_key), OM_EAUTH, "without overlap it ends at once");
}

Test(issued, nobody_rotates_a_key_to_get_what_it_may_do)
{
    char id[128];
    FIX_OK(OP_key_create, NULL, "{\"name\":\"k\",\"scopes\":[\"predict\"]}");
    fix_keep(id, "id");
    fix.granted = SCOPE_BIT(KEYS_WRITE);
    cr_expect_eq(fix_ask(OP_key_rotate, id, "{}"), OM_EFORBIDDEN);
    cr_expect(strstr(fix.call.job.text, "\"predict\""), "%s", fix.call.job.text);
}

Test(issued, a_live_key_can_be_looked_at_as_if_it_were_a_test_key)
{
    char live[128], test[128], sandbox[128], self[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &fix.tenant, self);
    cr_assert_eq(fix_ask(OP_key_create, NULL,
                         "{\"name\":\"l\",\"scopes\":[\"predict\",\"keys:write\"],"
                         "\"models\":[\"ets\"]}"),
                 OM_OK);
    fix_keep(live, "key");
    // There is no sandbox yet: it is made.
    cr_assert_eq(fix_resolve_sandbox(live), OM_OK);
    fix_keep(sandbox, "tenant");
    cr_expect_str_neq(sandbox, self);
    cr_expect(json_is_true(json_object_get(fix.answer, "sandbox")));
    cr_expect(fix_lists("scopes", "predict") && !fix_lists("scopes", "keys:write"));
    cr_expect(fix_lists("models", "ets"));
    // Nothing about the key has changed, and the sandbox is that of test keys.
    cr_assert_eq(fix_resolve(live), OM_OK);
    cr_expect_str_eq(fix_get("tenant"), self);
    cr_expect(fix_lists("scopes", "keys:write"));
    cr_assert_eq(fix_ask(OP_key_create, NULL, "{\"name\":\"t\",\"env\":\"test\"}"),
                 OM_OK);
    fix_keep(test, "key");
    cr_assert_eq(fix_resolve(test), OM_OK);
    cr_expect_str_eq(fix_get("tenant"), sandbox);
    cr_expect_eq(fix_resolve_sandbox("omni_live_nobodys"), OM_EAUTH);
}

Test(issued, test_keys_share_one_sandbox_which_is_another_tenant)
{
    char first[128], second[128], sandbox[128], self[OM_TYPEID_MAX];
    om_typeid_encode(OM_ID_TENANT, &fix.tenant, self);
    FIX_OK(OP_key_create, NULL, "{\"name\":\"t1\",\"env\":\"test\"}");
    cr_expect_eq(strncmp(fix_get("key"), "omni_test_", 10), 0, "%s", fix_get("key"));
    cr_expect_not(fix_lists("scopes", "keys:write"));
    fix_keep(first, "key");
    FIX_OK(OP_key_create, NULL, "{\"name\":\"t2\",\"env\":\"test\"}");
    fix_keep(second, "key");
    FIX_OK(OP_tenant_patch, NULL,
           "{\"config\":{\"cors_origins\":[\"https://a.example\"]}}");
    cr_assert_eq(fix_resolve(first), OM_OK);
    fix_keep(sandbox, "tenant");
    cr_expect_str_neq(sandbox, self);
    cr_expect(json_is_true(json_object_get(fix.answer, "sandbox")));
    cr_expect(fix_lists("origins", "https://a.example"), "the settings are its tenant's");
    cr_assert_eq(fix_resolve(second), OM_OK);
    cr_expect_str_eq(fix_get("tenant"), sandbox);
    FIX_OK(OP_tenant_list, NULL, "{}");
    cr_expect_eq(json_array_size(json_object_get(fix.answer, "data")), 1, "not listed");
    cr_expect_eq(fix_ask(OP_tenant_update, sandbox, "{\"plan\":\"pro\"}"), OM_ECONFLICT);

    // As the holder of a test key: the clock can be set, and nothing else.
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(sandbox), &fix.tenant), OM_OK);
    FIX_OK(OP_tenant_patch, NULL, "{\"clock_ms\":86400000}");
    cr_expect_str_eq(fix_get("parent"), self);
    cr_expect_eq(fix_ask(OP_tenant_patch, NULL, "{\"name\":\"x\"}"), OM_EINVAL);
    cr_expect_eq(fix_ask(OP_config_put, NULL, "{\"settings\":{}}"), OM_EINVAL);
    FIX_OK(OP_key_list, NULL, "{}");
    cr_expect_eq(json_array_size(json_object_get(fix.answer, "data")), 0);
    cr_assert_eq(fix_resolve(first), OM_OK);
    cr_expect_eq(fix_number("clock_ms"), 86400000);
}

Test(issued, the_feed_has_one_row_a_key_and_tenant_however_often_they_change)
{
    char user[128];
    fix_make_user("dev@example.com", "viewer", user);
    for (int i = 0; i < 20; i++) {
        FIX_OK(OP_user_update, user, "{\"name\":\"n\"}");
        FIX_OK(OP_tenant_patch, NULL, "{\"name\":\"n\"}");
    }
    struct key_changes_request request = { 0 };
    struct key_changes_reply reply;
    REC_SET(&request, key_changes_request, since, 0);
    cr_assert_eq(call_op(&fix.call, identity_routes, &fix.identity, OP_key_changes,
                         (struct om_uuid){ 0 }, "", &request, &reply),
                 OM_OK);
    cr_expect_eq(rec_iter(reply.data).left, 1);
    cr_expect_geq(reply.last, 40);
}

Test(issued, limits_of_key_user_team_and_tenant_are_all_told)
{
    char team[128], user[128], key[128], json[256];
    FIX_OK(OP_team_create, NULL, "{\"name\":\"ml\",\"requests\":30}");
    fix_keep(team, "id");
    cr_expect_eq(fix_ask(OP_team_create, NULL, "{\"name\":\"ml\"}"), OM_ECONFLICT);
    snprintf(json, sizeof(json),
             "{\"email\":\"a@example.com\",\"team\":\"%s\",\"requests\":20}", team);
    FIX_OK(OP_user_create, NULL, json);
    fix_keep(user, "id");
    snprintf(json, sizeof(json), "{\"name\":\"k\",\"user\":\"%s\",\"requests\":10}",
             user);
    FIX_OK(OP_key_create, NULL, json);
    fix_keep(key, "key");
    FIX_OK(OP_tenant_patch, NULL, "{\"config\":{\"requests_per_minute\":40}}");
    cr_assert_eq(fix_resolve(key), OM_OK);
    static const char *const scopes[] = { "key", "user", "team", "tenant" };
    json_t *limits = json_object_get(fix.answer, "limits");
    cr_assert_eq(json_array_size(limits), 4);
    for (size_t i = 0; i < 4; i++) {
        json_t *limit = json_array_get(limits, i);
        cr_expect_str_eq(json_string_value(json_object_get(limit, "scope")), scopes[i]);
        cr_expect_eq(json_integer_value(json_object_get(limit, "requests")),
                     10 * (json_int_t)(i + 1));
    }
    cr_expect_eq(fix_ask(OP_team_delete, team, "{}"), OM_ECONFLICT, "someone is in it");
    FIX_OK(OP_team_update, team, "{\"requests\":0}");
    FIX_OK(OP_user_update, user, "{\"team\":\"\"}");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_eq(json_array_size(json_object_get(fix.answer, "limits")), 3);
    FIX_OK(OP_team_delete, team, "{}");
}

Test(issued, workers_of_a_suspended_one_and_with_keys_bound_to_networks_are_refused)
{
    char id[128], key[128];
    FIX_OK(OP_tenant_create, NULL, "{\"name\":\"Acme\",\"slug\":\"acme\"}");
    fix_keep(id, "id");
    fix_keep(key, "key");
    fix.call.from = ROLE_BROKER;
    cr_expect_eq(fix_resolve(key), OM_OK);
    fix.call.from = ROLE_INGEST;
    FIX_OK(OP_tenant_update, id, "{\"state\":\"suspended\"}");
    cr_expect_eq(fix_resolve(key), OM_OK, "the edge says why it refuses");
    fix.call.from = ROLE_BROKER;
    cr_expect_eq(fix_resolve(key), OM_EFORBIDDEN);
    fix.call.from = ROLE_INGEST;
    FIX_OK(OP_key_create, NULL,
           "{\"name\":\"k\",\"scopes\":[\"worker\"],\"cidrs\":[\"10.0.0.0/8\"]}");
    fix_keep(key, "key");
    fix.call.from = ROLE_BROKER;
    cr_expect_eq(fix_resolve(key), OM_EFORBIDDEN, "the broker sees no addresses");
}

Test(issued, last_use_is_shown_once_it_was_reported)
{
    char id[128], json[256];
    FIX_OK(OP_key_create, NULL, "{\"name\":\"k\"}");
    fix_keep(id, "id");
    cr_expect_eq(fix_number("used_ms"), 0);
    snprintf(json, sizeof(json), "{\"ids\":[\"%s\",\"nonsense\"]}", id);
    FIX_OK(OP_key_used, NULL, json);
    FIX_OK(OP_key_get, id, "{}");
    cr_expect_gt(fix_number("used_ms"), 0);
}

// Call it, and see that edges are told in the same breath.
static void
expect_told(enum op op, const char *id, const char *json)
{
    int64_t before = fix_last_change();
    FIX_OK(op, id, json);
    cr_expect_gt(fix_last_change(), before, "%s tells nobody", ops[op].name);
}

Test(issued, edges_are_told_of_whatever_bears_on_what_keys_may_do)
{
    char id[128], user[128], binding[128], json[256];
    expect_told(OP_tenant_patch, NULL, "{\"name\":\"n\"}");
    expect_told(OP_config_put, NULL, "{\"settings\":{\"cache\":true}}");
    FIX_OK(OP_key_create, NULL, "{\"name\":\"k\"}");
    fix_keep(id, "id");
    expect_told(OP_key_rotate, id, "{}");
    expect_told(OP_key_revoke, id, "{}");
    FIX_OK(OP_team_create, NULL, "{\"name\":\"t\"}");
    fix_keep(id, "id");
    expect_told(OP_team_update, id, "{\"requests\":1}");
    FIX_OK(OP_role_create, NULL,
           "{\"name\":\"r\",\"permissions\":[{\"permission\":\"train\"}]}");
    expect_told(OP_role_update, "r", "{\"permissions\":[{\"permission\":\"predict\"}]}");
    fix_make_user("dev@example.com", "viewer", user);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"r\"}", user);
    expect_told(OP_binding_create, NULL, json);
    fix_keep(binding, "id");
    expect_told(OP_binding_delete, binding, "{}");
    expect_told(OP_user_update, user, "{\"state\":\"suspended\"}");
    expect_told(OP_user_delete, user, "{}");
    FIX_OK(OP_tenant_create, NULL, "{\"name\":\"A\",\"slug\":\"a\"}");
    fix_keep(id, "id");
    expect_told(OP_tenant_update, id, "{\"plan\":\"pro\"}");
    expect_told(OP_tenant_close, id, "{}");
}

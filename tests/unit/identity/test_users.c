// Users and their roles: what their keys may do, and that there is no way up.
#include "clock.h"
#include "fixture.h"
#include "id.h"

TestSuite(users, .init = fix_open, .fini = fix_close);

Test(users, a_key_may_do_no_more_than_its_user)
{
    char user[128], key[128], json[256], binding[128];
    fix_make_user("dev@example.com", "viewer", user);
    fix_make_key(user, key);
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_str_eq(fix_get("user"), user);
    cr_expect(fix_lists("scopes", "files:read") && !fix_lists("scopes", "predict"));
    int64_t seq = fix_last_change();
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"developer\"}", user);
    FIX_OK(OP_binding_create, NULL, json);
    fix_keep(binding, "id");
    cr_expect_gt(fix_last_change(), seq, "edges are told");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect(fix_lists("scopes", "predict"));
    cr_expect_not(fix_lists("scopes", "keys:read"), "what viewer denies stays denied");
    FIX_OK(OP_binding_delete, binding, "{}");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_not(fix_lists("scopes", "predict"));
}

Test(users, a_suspended_users_keys_are_refused_and_a_deleted_users_are_revoked)
{
    char user[128], key[128];
    fix_make_user("dev@example.com", "developer", user);
    fix_make_key(user, key);
    FIX_OK(OP_user_update, user, "{\"state\":\"suspended\"}");
    cr_expect_eq(fix_resolve(key), OM_EAUTH);
    cr_expect(strstr(fix.call.job.text, "suspended"), "%s", fix.call.job.text);
    FIX_OK(OP_user_update, user, "{\"state\":\"active\"}");
    cr_expect_eq(fix_resolve(key), OM_OK);
    int64_t seq = fix_last_change();
    FIX_OK(OP_user_delete, user, "{}");
    cr_expect_gt(fix_last_change(), seq);
    cr_expect_eq(fix_resolve(key), OM_EAUTH);
    cr_expect_eq(fix_ask(OP_user_get, user, "{}"), OM_ENOTFOUND);
    fix_make_user("dev@example.com", "viewer", user);
}

Test(users, one_person_may_be_in_two_and_each_sees_only_its_own)
{
    char user[128], other[128], id[128];
    struct om_uuid first = fix.tenant;
    FIX_OK(OP_user_create, NULL,
           "{\"email\":\"ada@example.com\",\"name\":\"Ada (secret)\"}");
    fix_keep(user, "id");
    FIX_OK(OP_tenant_create, NULL, "{\"name\":\"B\",\"slug\":\"b\"}");
    fix_keep(id, "id");
    cr_assert_eq(om_typeid_decode(OM_ID_TENANT, om_str(id), &fix.tenant), OM_OK);
    cr_expect_eq(fix_ask(OP_user_get, user, "{}"), OM_ENOTFOUND, "not a user of B yet");
    FIX_OK(OP_user_create, NULL,
           "{\"email\":\"ADA@example.com\",\"roles\":[\"viewer\"]}");
    fix_keep(other, "id");
    cr_expect_str_eq(other, user, "the same person");
    cr_expect_str_eq(fix_get("name"), "", "what A calls her is A's");
    FIX_OK(OP_user_delete, user, "{}");
    fix.tenant = first;
    FIX_OK(OP_user_get, user, "{}");
    cr_expect_str_eq(fix_get("name"), "Ada (secret)", "A's membership is untouched");
}

Test(users, a_role_that_ends_is_taken_away_and_edges_are_told)
{
    char user[128], key[128], json[256];
    int64_t end_ms = om_clock_wall_ms() + 3600000;
    fix_make_user("dev@example.com", "viewer", user);
    fix_make_key(user, key);
    snprintf(json, sizeof(json),
             "{\"user\":\"%s\",\"role\":\"developer\",\"expires_ms\":%lld}", user,
             (long long)end_ms);
    FIX_OK(OP_binding_create, NULL, json);
    int64_t seq = fix_last_change();
    cr_assert_eq(identity_end_roles(&fix.identity, end_ms - 1), OM_OK);
    cr_expect_eq(fix_last_change(), seq, "not yet");
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect(fix_lists("scopes", "predict"));
    cr_assert_eq(identity_end_roles(&fix.identity, end_ms), OM_OK);
    cr_expect_gt(fix_last_change(), seq);
    cr_assert_eq(fix_resolve(key), OM_OK);
    cr_expect_not(fix_lists("scopes", "predict"));
    FIX_OK(OP_user_get, user, "{}");
    cr_expect(fix_lists("roles", "viewer") && !fix_lists("roles", "developer"));
}

// ---- no way up

Test(users, nobody_gives_or_takes_more_than_they_have)
{
    char owner[128], developer[128], binding[128], json[256];
    fix_make_user("owner@example.com", "owner", owner);
    fix_make_user("dev@example.com", "developer", developer);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"owner\"}", owner);
    FIX_OK(OP_binding_create, NULL, json);
    fix_keep(binding, "id");

    fix.granted = SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(TENANTS_WRITE); // an admin
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"owner\"}", developer);
    cr_expect_eq(fix_ask(OP_binding_create, NULL, json), OM_EFORBIDDEN);
    cr_expect_eq(fix_ask(OP_user_create, NULL,
                         "{\"email\":\"x@example.com\",\"roles\":[\"owner\"]}"),
                 OM_EFORBIDDEN);
    cr_expect_eq(fix_ask(OP_role_create, NULL,
                         "{\"name\":\"r\",\"permissions\":[{\"permission\":\"*\"}]}"),
                 OM_EFORBIDDEN);
    cr_expect_eq(fix_ask(OP_user_update, owner, "{\"state\":\"suspended\"}"),
                 OM_EFORBIDDEN);
    cr_expect_eq(fix_ask(OP_user_delete, owner, "{}"), OM_EFORBIDDEN);
    cr_expect_eq(fix_ask(OP_binding_delete, binding, "{}"), OM_EFORBIDDEN);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"admin\"}", developer);
    FIX_OK(OP_binding_create, NULL, json);
}

Test(users, lifting_what_a_role_denies_needs_what_it_denied)
{
    char user[128], json[256];
    FIX_OK(OP_role_create, NULL,
           "{\"name\":\"no-files\",\"permissions\":[{\"permission\":\"files:*\","
           "\"effect\":\"deny\"}]}");
    fix_make_user("dev@example.com", "developer", user);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"no-files\"}", user);
    FIX_OK(OP_binding_create, NULL, json);
    FIX_OK(OP_user_get, user, "{}");
    cr_expect_not(fix_lists("scopes", "files:read"));
    cr_expect_eq(fix_ask(OP_role_delete, "no-files", "{}"), OM_ECONFLICT,
                 "someone has it");
    fix.granted = SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(FILES_READ);
    cr_expect_eq(fix_ask(OP_role_update, "no-files",
                         "{\"permissions\":[{\"permission\":\"train\"}]}"),
                 OM_EFORBIDDEN);
    // To let the denial end in a while is to lift it.
    snprintf(json, sizeof(json),
             "{\"user\":\"%s\",\"role\":\"no-files\",\"expires_ms\":9000000000000}",
             user);
    cr_expect_eq(fix_ask(OP_binding_create, NULL, json), OM_EFORBIDDEN);
}

Test(users, a_key_is_no_way_out_of_what_binds_the_key_that_makes_it)
{
    char json[400], other[128];
    FIX_OK(OP_key_create, NULL,
           "{\"name\":\"bound\",\"models\":[\"a\",\"b\"],\"cidrs\":[\"10.0.0.0/8\"],"
           "\"requests\":10,\"expires_ms\":9000000000000,\"scopes\":[\"keys:write\"]}");
    snprintf(fix.by, sizeof(fix.by), "%s", fix_get("id"));
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
        cr_expect_eq(fix_ask(OP_key_create, NULL, cases[i].json), OM_EFORBIDDEN, "%s",
                     cases[i].json);
        cr_expect_str_eq(fix.call.job.param, cases[i].param, "%s", cases[i].json);
    }
    FIX_OK(OP_key_create, NULL,
           "{\"name\":\"k\",\"scopes\":[\"keys:write\"],\"cidrs\":[\"10.1.0.0/16\"]}");
    cr_expect(fix_lists("models", "a") && fix_lists("cidrs", "10.1.0.0/16"));
    cr_expect_eq(fix_number("requests"), 10);
    cr_expect_eq(fix_number("expires_ms"), 9000000000000);
    *fix.by = '\0';
    FIX_OK(OP_key_create, NULL, "{\"name\":\"free\",\"scopes\":[\"predict\"]}");
    fix_keep(other, "id");
    FIX_OK(OP_key_list, NULL, "{}");
    json_t *bound = json_array_get(json_object_get(fix.answer, "data"), 2);
    snprintf(fix.by, sizeof(fix.by), "%s",
             json_string_value(json_object_get(bound, "id")));
    cr_expect_eq(fix_ask(OP_key_rotate, other, "{}"), OM_EFORBIDDEN, "nor is a rotation");
    (void)json;
}

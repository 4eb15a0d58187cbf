// Tenants beside each other: nobody sees what is another's, a test key sees the sandbox
// only, and what is changed for a tenant holds at every thread of the edge within a
// second.
#include <poll.h>
#include <stdio.h>

#include "clock.h"
#include "omni.h"

enum { SEEN_MS = 1000, CONNECTIONS = 6, IDS_MAX = 16, WAIT_MS = 15000, AUDIT_MS = 250 };

// A key, with connections of its own.
struct party {
    char tenant[64], key[128];
    struct api *api;
    char ids[IDS_MAX][64]; // of what it made
    size_t count;
};

static struct omni omni;
static struct party a, b;

static void
party_open(struct party *self, const char *key)
{
    snprintf(self->key, sizeof(self->key), "%s", key);
    self->api = api_open_at(omni.url, self->key);
    cr_assert(self->api);
}

// Ask as `who`; NULL: as the operator.
static long
ask(struct party *who, const char *method, const char *json, const char *path)
{
    struct api *kept = omni.api;
    if (who)
        omni.api = who->api;
    long status =
        omni_ask(&omni, method, json ? json_loads(json, 0, NULL) : NULL, "%s", path);
    omni.api = kept;
    return status;
}

static void
make_tenant(struct party *self, const char *slug)
{
    char json[128];
    snprintf(json, sizeof(json),
             "{\"name\":\"%s\",\"slug\":\"%s\",\"plan\":\"enterprise\"}", slug, slug);
    cr_assert_eq(ask(NULL, "POST", json, "/api/v1/admin/tenants"), 201);
    snprintf(self->tenant, sizeof(self->tenant), "%s", omni_text("id"));
    party_open(self, omni_text("key"));
}

static void
begin(void)
{
    omni_open(&omni);
    a = b = (struct party){ 0 };
    make_tenant(&a, "a");
    make_tenant(&b, "b");
}

static void
end(void)
{
    api_close(&a.api);
    api_close(&b.api);
    omni_stop(&omni);
    omni_close(&omni);
}

TestSuite(tenants, .init = begin, .fini = end, .timeout = 180);

// ---- apart

static const char *
made(struct party *self, const char *field)
{
    cr_assert_lt(self->count, IDS_MAX);
    snprintf(self->ids[self->count], sizeof(self->ids[0]), "%s", omni_text(field));
    cr_assert(*self->ids[self->count], "no %s", field);
    return self->ids[self->count++];
}

// Make one of everything. The paths of the objects go to `paths`.
static size_t
make_all(struct party *self, char paths[IDS_MAX][128])
{
    static const struct {
        const char *path, *json, *field, *object;
    } things[] = {
        { "/api/v1/tasks", "{\"queue\":\"mine\",\"kind\":\"k\"}", "task_id",
          "/api/v1/tasks/" },
        { "/api/v1/schedules",
          "{\"cron\":\"0 0 1 1 *\",\"queue\":\"mine\",\"kind\":\"k\"}", "id", NULL },
        { "/developer/keys", "{\"name\":\"k\",\"scopes\":[\"files:read\"]}", "id",
          "/developer/keys/" },
        { "/api/v1/admin/users", "{\"email\":\"one@example.com\"}", NULL, NULL },
        { "/api/v1/admin/users", "{\"email\":\"$@example.com\"}", "id",
          "/api/v1/admin/users/" },
        { "/api/v1/admin/teams", "{\"name\":\"team\"}", "id", "/api/v1/admin/teams/" },
        { "/api/v1/admin/roles",
          "{\"name\":\"role-$\",\"permissions\":[{\"permission\":\"train\"}]}", "id",
          "/api/v1/admin/roles/" },
    };
    size_t count = 0;
    char json[256], file[64];
    struct api *kept = omni.api;
    omni.api = self->api;
    omni_upload(&omni, 12, file);
    omni.api = kept;
    snprintf(paths[count++], sizeof(paths[0]), "/v1/files/%s", made(self, "id"));
    snprintf(paths[count++], sizeof(paths[0]), "/v1/files/%s/content", file);
    for (size_t i = 0; i < OM_COUNT(things); i++) {
        const char *text = things[i].json;
        size_t head = strcspn(text, "$"); // what no other tenant's is called
        snprintf(json, sizeof(json), "%.*s%s%s", (int)head, text,
                 text[head] ? self->tenant + 22 : "", text + head + (text[head] != 0));
        long status = ask(self, "POST", json, things[i].path);
        cr_assert(status == 201 || status == 202, "%s: %ld", things[i].path, status);
        if (things[i].field)
            made(self, things[i].field);
        if (things[i].object)
            snprintf(paths[count++], sizeof(paths[0]), "%s%s", things[i].object,
                     self->ids[self->count - 1]);
    }
    return count;
}

static bool
is_in_answer(const char *id)
{
    char *text = json_dumps(omni_answer(), 0);
    bool found = strstr(text, id) != NULL;
    free(text);
    return found;
}

static void
expect_unseen(struct party *who, const struct party *other)
{
    static const char *const lists[] = {
        "/v1/files?limit=100",
        "/api/v1/models",
        "/api/v1/tasks?limit=100",
        "/api/v1/queues",
        "/api/v1/limits",
        "/api/v1/workers",
        "/api/v1/schedules?limit=100",
        "/api/v1/usage",
        "/api/v1/compliance/audit?limit=100",
        "/developer/keys?limit=100",
        "/api/v1/admin/users?limit=100",
        "/api/v1/admin/roles",
        "/api/v1/admin/bindings?limit=100",
        "/api/v1/admin/teams?limit=100",
        "/api/v1/tenants/me",
    };
    for (size_t i = 0; i < OM_COUNT(lists); i++) {
        cr_assert_eq(ask(who, "GET", NULL, lists[i]), 200, "%s", lists[i]);
        cr_expect_not(is_in_answer(other->tenant), "%s shows %s", lists[i],
                      other->tenant);
        for (size_t id = 0; id < other->count; id++)
            cr_expect_not(is_in_answer(other->ids[id]), "%s shows %s", lists[i],
                          other->ids[id]);
    }
}

Test(tenants, nobody_sees_or_changes_what_is_anothers)
{
    static const struct {
        const char *method, *tail;
    } tries[] = { { "GET", "" },         { "DELETE", "" },      { "POST", "/cancel" },
                  { "POST", "/retry" },  { "POST", "/revoke" }, { "POST", "/rotate" },
                  { "POST", "/delete" }, { "PATCH", "" },       { "PUT", "" } };
    char paths[IDS_MAX][128], path[160], other_paths[IDS_MAX][128];
    size_t count = make_all(&a, paths), tried = 0;
    make_all(&b, other_paths);
    // Before anybody tries: the audit log of who does holds what was asked for.
    expect_unseen(&b, &a);
    expect_unseen(&a, &b);
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < OM_COUNT(tries); t++) {
            bool body = tries[t].method[0] == 'P';
            bool role = strstr(paths[i], "/roles/") != NULL;
            const char *json =
                role ? "{\"permissions\":[{\"permission\":\"train\"}]}" : "{}";
            snprintf(path, sizeof(path), "%s%s", paths[i], tries[t].tail);
            long status = ask(&b, tries[t].method, body ? json : NULL, path);
            if (status == 405)
                continue;
            cr_expect_eq(status, 404, "%s %s: %ld", tries[t].method, path, status);
            tried += strcmp(json_string_value(json_object_get(
                                json_object_get(omni_answer(), "error"), "code")),
                            "not_found") == 0;
        }
    cr_expect_gt(tried, 10);
    for (size_t i = 0; i < count; i++)
        if (!strstr(paths[i], "/content"))
            cr_expect_eq(ask(&a, "GET", NULL, paths[i]), 200, "%s is gone", paths[i]);
    cr_expect_eq(ask(&b, "GET", NULL, "/api/v1/admin/tenants"), 403, "no operator");
    cr_expect_eq(ask(&b, "GET", NULL, "/api/v1/queues/mine"), 200);
    cr_expect_eq(omni_number("ready"), 1, "each has a queue of that name");
}

Test(tenants, usage_and_audit_are_each_ones_own)
{
    struct party c = { 0 };
    char paths[IDS_MAX][128];
    make_all(&a, paths);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "what a did is not metered");
        omni_pause();
        cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/usage"), 200);
    } while (json_array_size(json_object_get(omni_answer(), "data")) == 0);
    make_tenant(&c, "c");
    cr_assert_eq(ask(&c, "GET", NULL, "/api/v1/usage"), 200);
    cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0,
                 "c has done nothing before");
    cr_assert_eq(ask(&c, "POST", NULL, "/api/v1/compliance/audit/verify"), 200);
    cr_expect(json_is_true(json_object_get(omni_answer(), "valid")));
    cr_expect_leq(omni_number("entries"), 1, "c has a chain of its own");
    api_close(&c.api);
}

Test(tenants, a_test_key_sees_none_of_the_live_data_and_a_live_key_none_of_its)
{
    struct party test = { 0 };
    char paths[IDS_MAX][128], file[64], path[128];
    size_t count = make_all(&a, paths);
    cr_assert_eq(ask(&a, "POST", "{\"name\":\"t\",\"env\":\"test\"}", "/developer/keys"),
                 201);
    party_open(&test, omni_text("key"));
    cr_expect_eq(strncmp(test.key, "omni_test_", 10), 0);
    for (size_t i = 0; i < count; i++) {
        long status = ask(&test, "GET", NULL, paths[i]);
        cr_expect(status == 404 || status == 403, "%s: %ld", paths[i], status);
    }
    static const char *const lists[] = { "/v1/files", "/api/v1/tasks",
                                         "/api/v1/schedules", "/api/v1/queues",
                                         "/api/v1/models" };
    for (size_t i = 0; i < OM_COUNT(lists); i++) {
        cr_assert_eq(ask(&test, "GET", NULL, lists[i]), 200, "%s", lists[i]);
        cr_expect_eq(json_array_size(json_object_get(omni_answer(), "data")), 0, "%s",
                     lists[i]);
    }
    static const char *const closed[] = { "/developer/keys", "/api/v1/admin/users",
                                          "/api/v1/admin/roles",
                                          "/api/v1/admin/tenants" };
    for (size_t i = 0; i < OM_COUNT(closed); i++)
        cr_expect_eq(ask(&test, "GET", NULL, closed[i]), 403, "%s", closed[i]);

    struct api *kept = omni.api;
    omni.api = test.api;
    omni_upload(&omni, 12, file);
    omni.api = kept;
    snprintf(path, sizeof(path), "/v1/files/%s", file);
    cr_expect_eq(ask(&a, "GET", NULL, path), 404);
    cr_expect_eq(ask(&test, "GET", NULL, path), 200);
    cr_expect_eq(ask(&test, "PATCH", "{\"clock_ms\":86400000}", "/api/v1/tenants/me"),
                 200);
    cr_expect_eq(omni_number("clock_ms"), 86400000);
    cr_expect_eq(ask(&a, "PATCH", "{\"clock_ms\":1}", "/api/v1/tenants/me"), 400);
    api_close(&test.api);
}

// ---- soon

// Until `path` is answered with `status` on connections to all threads, since the change
// was answered.
static void
expect_soon(const char *what, const char *key, const char *path, long status)
{
    struct party party[CONNECTIONS] = { 0 };
    int64_t since_ms = om_clock_mono_ms(), took_ms = 0;
    for (int i = 0; i < CONNECTIONS; i++) {
        party_open(&party[i], key);
        for (; ask(&party[i], "GET", NULL, path) != status; omni_pause())
            cr_assert_lt(om_clock_mono_ms(), since_ms + SEEN_MS, "%s is not seen", what);
        took_ms = om_clock_mono_ms() - since_ms;
    }
    for (int i = 0; i < CONNECTIONS; i++)
        api_close(&party[i].api);
    printf("%s: at every connection after %lld ms\n", what, (long long)took_ms);
}

static void
update_tenant(const char *json)
{
    char path[128];
    snprintf(path, sizeof(path), "/api/v1/admin/tenants/%s", a.tenant);
    cr_assert_eq(ask(NULL, "PATCH", json, path), 200, "%s", json);
}

// The limit of predictions a day, which plans do not share.
static double
quota_of_plan(void)
{
    size_t index;
    json_t *item;
    cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/quotas"), 200);
    json_array_foreach (json_object_get(omni_answer(), "data"), index, item)
        if (strcmp(json_string_value(json_object_get(item, "policy")),
                   "ml_inference_day") == 0)
            return json_number_value(json_object_get(item, "limit"));
    return -1;
}

Test(tenants, what_is_changed_holds_at_every_thread_within_a_second)
{
    char path[128], user[64], binding[64], key[128], json[256];
    expect_soon("a new key", a.key, "/v1/files", 200);
    cr_assert_eq(ask(&a, "POST", "{\"name\":\"k\"}", "/developer/keys"), 201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    snprintf(path, sizeof(path), "/developer/keys/%s/revoke", omni_text("id"));
    expect_soon("another key", key, "/v1/files", 200);
    cr_assert_eq(ask(&a, "POST", NULL, path), 200);
    expect_soon("revoked", key, "/v1/files", 401);
    update_tenant("{\"state\":\"suspended\"}");
    expect_soon("suspended", a.key, "/v1/files", 403);
    cr_expect_str_eq(omni_text("error.code"), "tenant_suspended");
    update_tenant("{\"state\":\"active\"}");
    expect_soon("active again", a.key, "/v1/files", 200);

    double before = quota_of_plan();
    update_tenant("{\"plan\":\"pro\"}");
    int64_t since_ms = om_clock_mono_ms();
    for (; quota_of_plan() == before; omni_pause())
        cr_assert_lt(om_clock_mono_ms(), since_ms + SEEN_MS, "the plan is not seen");
    printf("another plan: after %lld ms\n", (long long)(om_clock_mono_ms() - since_ms));

    cr_assert_eq(ask(&a, "POST", "{\"email\":\"dev@example.com\",\"roles\":[\"viewer\"]}",
                     "/api/v1/admin/users"),
                 201);
    snprintf(user, sizeof(user), "%s", omni_text("id"));
    snprintf(json, sizeof(json), "{\"name\":\"u\",\"user\":\"%s\",\"scopes\":[\"*\"]}",
             user);
    cr_assert_eq(ask(&a, "POST", json, "/developer/keys"), 201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    expect_soon("a key without the role", key, "/developer/keys", 403);
    snprintf(json, sizeof(json), "{\"user\":\"%s\",\"role\":\"auditor\"}", user);
    cr_assert_eq(ask(&a, "POST", json, "/api/v1/admin/bindings"), 201);
    snprintf(binding, sizeof(binding), "%s", omni_text("id"));
    expect_soon("denied still, as viewer", key, "/developer/keys", 403);
    cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/admin/bindings"), 200);
    json_t *first = json_array_get(json_object_get(omni_answer(), "data"), 1);
    snprintf(path, sizeof(path), "/api/v1/admin/bindings/%s",
             json_string_value(json_object_get(first, "id")));
    cr_assert_eq(ask(&a, "DELETE", NULL, path), 200);
    expect_soon("a role taken, which denied", key, "/developer/keys", 200);
    snprintf(path, sizeof(path), "/api/v1/admin/bindings/%s", binding);
    cr_assert_eq(ask(&a, "DELETE", NULL, path), 200);
    expect_soon("a role taken, which allowed", key, "/developer/keys", 403);
    snprintf(path, sizeof(path), "/api/v1/admin/users/%s", user);
    cr_assert_eq(ask(&a, "PATCH", "{\"state\":\"suspended\"}", path), 200);
    expect_soon("a user suspended", key, "/v1/files", 401);
    cr_assert_eq(ask(&a, "PATCH", "{\"config\":{\"requests_per_minute\":1}}",
                     "/api/v1/tenants/me"),
                 200);
    expect_soon("a limit of the tenant", a.key, "/v1/files", 429);
    update_tenant("{\"state\":\"closed\"}");
    expect_soon("closed", a.key, "/v1/files", 403);
}

Test(tenants, a_role_ends_by_itself_within_a_second)
{
    char user[64], key[128], json[256];
    cr_assert_eq(
        ask(&a, "POST", "{\"email\":\"dev@example.com\"}", "/api/v1/admin/users"), 201);
    snprintf(user, sizeof(user), "%s", omni_text("id"));
    snprintf(json, sizeof(json), "{\"name\":\"u\",\"user\":\"%s\",\"scopes\":[\"*\"]}",
             user);
    cr_assert_eq(ask(&a, "POST", json, "/developer/keys"), 201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    int64_t end_ms = om_clock_wall_ms() + 3000;
    snprintf(json, sizeof(json),
             "{\"user\":\"%s\",\"role\":\"viewer\",\"expires_ms\":%lld}", user,
             (long long)end_ms);
    cr_assert_eq(ask(&a, "POST", json, "/api/v1/admin/bindings"), 201);
    expect_soon("a role for three seconds", key, "/v1/files", 200);
    struct party party = { 0 };
    party_open(&party, key);
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    while (ask(&party, "GET", NULL, "/v1/files") == 200) {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "the role never ends");
        omni_pause();
    }
    int64_t late_ms = om_clock_wall_ms() - end_ms;
    cr_expect(late_ms >= 0 && late_ms < 2 * SEEN_MS, "%lld ms", (long long)late_ms);
    printf("a role that ended: %lld ms late\n", (long long)late_ms);
    api_close(&party.api);
}

// ---- traces

Test(tenants, deleting_a_user_leaves_two_audit_rows_under_one_correlation)
{
    char path[128], user[64];
    cr_assert_eq(
        ask(&a, "POST", "{\"email\":\"dev@example.com\"}", "/api/v1/admin/users"), 201);
    snprintf(user, sizeof(user), "%s", omni_text("id"));
    snprintf(path, sizeof(path), "/api/v1/admin/users/%s/delete", user);
    cr_assert_eq(ask(&a, "POST", NULL, path), 200);
    cr_assert_eq(ask(&a, "POST", NULL, path), 404, "there is none any more");
    const char *results[4] = { 0 };
    char correlations[4][64] = { 0 };
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    size_t found = 0;
    while (found < 4) {
        size_t index;
        json_t *row;
        cr_assert_lt(om_clock_mono_ms(), until_ms, "%zu rows", found);
        poll(NULL, 0, AUDIT_MS); // looking is audited too, and a page is 100 rows
        cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/compliance/audit?limit=100"), 200);
        found = 0;
        json_array_foreach (json_object_get(omni_answer(), "data"), index, row)
            if (found < 4 && strcmp(json_string_value(json_object_get(row, "action")),
                                    "users.delete") == 0) {
                cr_assert_str_eq(json_string_value(json_object_get(row, "resource")),
                                 user);
                results[found] = json_string_value(json_object_get(row, "result"));
                snprintf(correlations[found++], 64, "%s",
                         json_string_value(json_object_get(row, "correlation")));
            }
    }
    // Newest first; outcomes may be gathered, what is pending is there before.
    cr_expect_str_eq(results[3], "pending");
    size_t pending = 0, success = 0, failed = 0;
    for (size_t i = 0; i < 4; i++) {
        pending += strcmp(results[i], "pending") == 0;
        success += strcmp(results[i], "success") == 0;
        failed += strcmp(results[i], "failed") == 0;
        size_t same = 0;
        for (size_t j = 0; j < 4; j++)
            same += strcmp(correlations[i], correlations[j]) == 0;
        cr_expect_eq(same, 2, "%s stands in %zu rows", correlations[i], same);
    }
    cr_expect(pending == 2 && success == 1 && failed == 1);
}

Test(tenants, what_an_operator_does_to_one_is_in_its_own_audit_log_too)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    update_tenant("{\"plan\":\"pro\"}");
    do {
        cr_assert_lt(om_clock_mono_ms(), until_ms, "it is not there");
        poll(NULL, 0, AUDIT_MS);
        cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/compliance/audit"), 200);
    } while (!is_in_answer("tenants.update"));
    cr_assert_eq(ask(&b, "GET", NULL, "/api/v1/compliance/audit"), 200);
    cr_expect_not(is_in_answer("tenants.update"));
}

Test(tenants, the_last_use_of_a_key_is_shown)
{
    int64_t until_ms = om_clock_mono_ms() + WAIT_MS;
    double used_ms = 0;
    while (used_ms == 0) {
        size_t index;
        json_t *item;
        cr_assert_lt(om_clock_mono_ms(), until_ms, "no key was used");
        cr_assert_eq(ask(NULL, "GET", NULL, "/developer/keys"), 200);
        json_array_foreach (json_object_get(omni_answer(), "data"), index, item)
            used_ms += json_number_value(json_object_get(item, "used_ms"));
        omni_pause();
    }
}

Test(tenants, an_object_is_changed_only_as_it_was_read)
{
    cr_assert_eq(ask(&a, "GET", NULL, "/api/v1/tenants/me/config"), 200);
    char tag[64];
    snprintf(tag, sizeof(tag), "\"v%d\"", (int)omni_number("version"));
    api_set_field(a.api, "If-Match", tag);
    cr_expect_eq(
        ask(&a, "PUT", "{\"settings\":{\"cache\":false}}", "/api/v1/tenants/me/config"),
        200);
    cr_expect_eq(
        ask(&a, "PUT", "{\"settings\":{\"cache\":true}}", "/api/v1/tenants/me/config"),
        412);
    cr_expect_str_eq(omni_text("error.code"), "precondition_failed");
    snprintf(tag, sizeof(tag), "\"v%d\"", (int)omni_number("version"));
    struct party again = { 0 };
    party_open(&again, a.key);
    cr_assert_eq(ask(&again, "GET", NULL, "/api/v1/tenants/me"), 200);
    snprintf(tag, sizeof(tag), "\"v%d\"", (int)omni_number("version"));
    api_set_field(again.api, "If-None-Match", tag);
    cr_expect_eq(ask(&again, "GET", NULL, "/api/v1/tenants/me"), 304);
    api_set_field(again.api, "If-Match", "nonsense");
    cr_expect_eq(ask(&again, "PATCH", "{\"name\":\"n\"}", "/api/v1/tenants/me"), 400);
    api_close(&again.api);
}

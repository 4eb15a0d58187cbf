// What roles amount to, also for any permissions in any order.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "permit.h"

enum { RULES_MAX = 12, ROUNDS = 20000, NOW = 1000 };

static const char *const vocabulary[] = {
    "*",        "files:*",      "*:read",   "*:write",   "files:read",
    "train",    "predict",      "tasks:*",  "admin:*",   "admin:users:delete",
    "*:delete", "keys:write",   "operator", "worker",    "audit:read",
    "queues:*", "later:things", "*:later",  "billing:*", "users:*",
};

struct rule {
    struct om_str permission;
    bool deny;
    int64_t expires_ms;
};

static uint64_t
mask_of(const struct rule *rules, size_t count, int64_t now_ms)
{
    struct permit permit = { 0 };
    for (size_t i = 0; i < count; i++)
        permit_add(&permit, rules[i].permission, rules[i].deny, rules[i].expires_ms,
                   now_ms);
    return permit_mask(&permit);
}

static size_t
draw(struct rule rules[RULES_MAX])
{
    size_t count = (size_t)(rand() % RULES_MAX);
    for (size_t i = 0; i < count; i++)
        rules[i] = (struct rule){
            .permission = om_str(vocabulary[(size_t)rand() % OM_COUNT(vocabulary)]),
            .deny = rand() % 3 == 0,
            .expires_ms = rand() % 4 == 0 ? NOW - 1 + rand() % 3 : INT64_MAX,
        };
    return count;
}

static void
shuffle(struct rule *rules, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rand() % i;
        struct rule kept = rules[i - 1];
        rules[i - 1] = rules[other];
        rules[other] = kept;
    }
}

Test(permit, fits_names_part_by_part)
{
    static const struct {
        const char *permission, *name;
        bool fits;
    } cases[] = {
        { "files:read", "files:read", true },
        { "files:read", "files:write", false },
        { "files:*", "files:read", true },
        { "files:*", "files", false },
        { "files:*", "filesystem:read", false },
        { "*:read", "files:read", true },
        { "*:read", "train", false },
        { "*", "train", true },
        { "*", "admin:users:delete", true },
        { "admin:*", "admin:users:delete", true },
        { "*:delete", "admin:users:delete", true },
        { "admin:*:delete", "admin:users:delete", true },
        { "admin:*:delete", "admin:delete", false },
        { "*:*", "train", false },
        { "*:*", "admin:users:delete", true },
        { "fi*:read", "files:read", false },
        { "", "train", false },
        { "files:", "files:read", false },
        { ":read", "files:read", false },
        { "files:read:*", "files:read", false },
    };
    for (size_t i = 0; i < OM_COUNT(cases); i++)
        cr_expect_eq(permit_match(om_str(cases[i].permission), om_str(cases[i].name)),
                     cases[i].fits, "%s and %s", cases[i].permission, cases[i].name);
}

Test(permit, is_valid_only_if_it_fits_a_scope)
{
    static const char *const bad[] = { "",       "fly",  "files:erase", "file*",  ":",
                                       "*:late", "::::", "* ",          "FILES:*" };
    for (size_t i = 0; i < OM_COUNT(bad); i++)
        cr_expect_not(permit_valid(om_str(bad[i])), "%s", bad[i]);
    cr_expect(permit_valid(OM_LIT("admin:users:delete")));
}

Test(permit, never_gives_the_operators_scope_by_a_wildcard)
{
    cr_expect_not(permit_scopes(OM_LIT("*")) & SCOPE_BIT(OPERATOR));
    cr_expect_eq(permit_scopes(OM_LIT("operator")), SCOPE_BIT(OPERATOR));
}

Test(permit, denies_whatever_any_role_denies_in_any_order)
{
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        struct rule rules[RULES_MAX];
        size_t count = draw(rules);
        uint64_t mask = mask_of(rules, count, NOW);
        for (size_t i = 0; i < count; i++)
            if (rules[i].deny && rules[i].expires_ms > NOW)
                cr_assert_eq(mask & permit_scopes(rules[i].permission), 0, "%d", round);
        shuffle(rules, count);
        cr_assert_eq(mask_of(rules, count, NOW), mask, "another order, round %d", round);
        // Twice is as good as once.
        struct rule twice[2 * RULES_MAX];
        memcpy(twice, rules, count * sizeof(*rules));
        memcpy(twice + count, rules, count * sizeof(*rules));
        cr_assert_eq(mask_of(twice, 2 * count, NOW), mask, "twice, round %d", round);
    }
}

Test(permit, gives_nothing_that_no_role_in_force_allows)
{
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        struct rule rules[RULES_MAX];
        size_t count = draw(rules);
        uint64_t allowed = 0, mask = mask_of(rules, count, NOW);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++)
            if (!rules[i].deny && rules[i].expires_ms > NOW)
                allowed |= permit_scopes(rules[i].permission);
        cr_assert_eq(mask & ~allowed & ~SCOPE_BIT(ALL), 0, "round %d", round);
        // Without those that have ended it is the same.
        for (size_t i = 0; i < count; i++)
            if (rules[i].expires_ms > NOW)
                rules[kept++] = rules[i];
        cr_assert_eq(mask_of(rules, kept, NOW), mask, "round %d", round);
    }
}

Test(permit, is_not_changed_by_scopes_of_later_versions)
{
    static const char *const later[] = { "later:things", "*:later", "a:b:c:d" };
    srand(3);
    for (int round = 0; round < ROUNDS; round++) {
        struct rule rules[RULES_MAX + 1];
        size_t count = draw(rules);
        uint64_t mask = mask_of(rules, count, NOW);
        rules[count] = (struct rule){ om_str(later[(size_t)rand() % OM_COUNT(later)]),
                                      rand() % 2, INT64_MAX };
        cr_assert_eq(mask_of(rules, count + 1, NOW), mask, "round %d", round);
    }
}

Test(permit, gives_everything_only_if_nothing_is_denied)
{
    struct permit owner = { 0 }, admin = { 0 };
    permit_add_seed(&owner, permit_seed_find(OM_LIT("owner")), INT64_MAX, NOW);
    permit_add_seed(&admin, permit_seed_find(OM_LIT("admin")), INT64_MAX, NOW);
    cr_expect_eq(permit_mask(&owner), SCOPES_OWNER);
    cr_expect_not(permit_mask(&admin) & SCOPE_BIT(ALL));
    cr_expect_eq(permit_mask(&admin),
                 SCOPES_OWNER & ~SCOPE_BIT(ALL) & ~SCOPE_BIT(TENANTS_WRITE));
}

Test(permit, of_each_seeded_role_is_what_its_name_says)
{
    static const struct {
        const char *role;
        uint64_t has, lacks;
    } cases[] = {
        { "owner", SCOPE_BIT(TENANTS_WRITE) | SCOPE_BIT(USERS_DELETE),
          SCOPE_BIT(OPERATOR) },
        { "admin", SCOPE_BIT(USERS_DELETE) | SCOPE_BIT(ROLES_WRITE),
          SCOPE_BIT(TENANTS_WRITE) | SCOPE_BIT(OPERATOR) },
        { "developer", SCOPE_BIT(PREDICT) | SCOPE_BIT(KEYS_WRITE) | SCOPE_BIT(WORKER),
          SCOPE_BIT(USERS_READ) | SCOPE_BIT(AUDIT_READ) },
        { "billing", SCOPE_BIT(USAGE_READ), SCOPE_BIT(FILES_READ) },
        { "auditor", SCOPE_BIT(AUDIT_READ) | SCOPE_BIT(KEYS_READ),
          SCOPE_BIT(TASKS_WRITE) | SCOPE_BIT(TRAIN) },
        { "viewer", SCOPE_BIT(FILES_READ),
          SCOPE_BIT(AUDIT_READ) | SCOPE_BIT(KEYS_READ) | SCOPE_BIT(PREDICT) },
    };
    cr_expect_eq(permit_seed_count, OM_COUNT(cases));
    for (size_t i = 0; i < OM_COUNT(cases); i++) {
        struct permit permit = { 0 };
        const struct permit_seed *seed = permit_seed_find(om_str(cases[i].role));
        cr_assert(seed, "%s", cases[i].role);
        permit_add_seed(&permit, seed, INT64_MAX, NOW);
        cr_expect_eq(permit_mask(&permit) & cases[i].has, cases[i].has, "%s",
                     cases[i].role);
        cr_expect_eq(permit_mask(&permit) & cases[i].lacks, 0, "%s", cases[i].role);
    }
}

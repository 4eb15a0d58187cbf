#include "permit.h"

// clang-format off
const struct permit_seed permit_seeds[] = {
    { "owner", "may do everything", { { "*", false } } },
    { "admin", "runs the tenant for its owner: all but its settings and its plan",
      { { "*", false }, { "tenants:write", true } } },
    { "developer", "builds with it: files, models, jobs, and keys of their own",
      { { "files:*", false }, { "models:*", false }, { "train", false },
        { "predict", false }, { "tasks:*", false }, { "queues:*", false },
        { "schedules:*", false }, { "keys:*", false }, { "usage:read", false },
        { "requests:*", false }, { "errors:*", false }, { "tenants:read", false },
        { "worker", false } } },
    { "billing", "sees what is used and what it costs",
      { { "usage:*", false }, { "billing:*", false }, { "tenants:read", false } } },
    { "auditor", "reads everything, the audit log too, and changes nothing",
      { { "*:read", false } } },
    { "viewer", "reads everything but keys, failed requests, errors and the audit log",
      { { "*:read", false }, { "audit:*", true }, { "keys:*", true },
        { "requests:*", true }, { "errors:*", true } } },
};
// clang-format on

const size_t permit_seed_count = OM_COUNT(permit_seeds);

const struct permit_seed *
permit_seed_find(struct om_str name)
{
    for (size_t i = 0; i < permit_seed_count; i++)
        if (om_str_eq(name, om_str(permit_seeds[i].name)))
            return &permit_seeds[i];
    return NULL;
}

// Take the first part off a name; false when there is none left.
static bool
take_part(struct om_str *rest, struct om_str *part)
{
    if (!rest->data)
        return false;
    const char *colon = rest->size ? memchr(rest->data, ':', rest->size) : NULL;
    size_t size = colon ? (size_t)(colon - rest->data) : rest->size;
    *part = (struct om_str){ rest->data, size };
    *rest = colon ? (struct om_str){ colon + 1, rest->size - size - 1 }
                  : (struct om_str){ 0 };
    return true;
}

bool
permit_match(struct om_str permission, struct om_str name)
{
    struct om_str want, part;
    if (!take_part(&permission, &want))
        return !name.data;
    bool any = om_str_eq(want, OM_LIT("*"));
    if (!take_part(&name, &part) || (!any && !om_str_eq(want, part)))
        return false;
    if (permit_match(permission, name))
        return true;
    // A wildcard may take more parts; those before it are bounded by the permission.
    while (any && take_part(&name, &part))
        if (permit_match(permission, name))
            return true;
    return false;
}

uint64_t
permit_scopes(struct om_str permission)
{
    uint64_t mask = 0;
    if (!permission.size)
        return 0;
    for (unsigned i = SCOPE_ALL + 1; i < SCOPE_COUNT; i++) {
        struct om_str name = om_str(scope_infos[i].name);
        bool fits = i == SCOPE_OPERATOR ? om_str_eq(permission, name)
                                        : permit_match(permission, name);
        mask |= (uint64_t)fits << i;
    }
    return mask;
}

bool
permit_valid(struct om_str permission)
{
    return permit_scopes(permission) != 0;
}

void
permit_add(struct permit *self, struct om_str permission, bool deny, int64_t expires_ms,
           int64_t now_ms)
{
    if (expires_ms <= now_ms)
        return;
    uint64_t scopes = permit_scopes(permission);
    if (deny)
        self->denied |= scopes;
    else
        self->allowed |= scopes;
    self->all |= !deny && om_str_eq(permission, OM_LIT("*"));
}

void
permit_add_seed(struct permit *self, const struct permit_seed *seed, int64_t expires_ms,
                int64_t now_ms)
{
    for (size_t i = 0; seed->permissions[i].permission; i++)
        permit_add(self, om_str(seed->permissions[i].permission),
                   seed->permissions[i].deny, expires_ms, now_ms);
}

uint64_t
permit_mask(const struct permit *self)
{
    uint64_t mask = self->allowed & ~self->denied;
    // Scopes of later versions only if nothing is kept back from this one.
    if (self->all && self->denied == 0)
        mask |= SCOPE_BIT(ALL);
    return mask;
}

// handlers.h - the operations identity answers, once.
#pragma once
#include "service.h"

// clang-format off
//  operation, whose handler is on_<operation>
#define HANDLER_LIST(X)                                                                   \
    X(key_resolve) X(key_changes)                                                         \
    X(key_create) X(key_list) X(key_get) X(key_rotate) X(key_revoke) X(key_used)          \
    X(tenant_show) X(tenant_patch) X(config_get) X(config_put)                            \
    X(tenant_create) X(tenant_list) X(tenant_get) X(tenant_update) X(tenant_close)        \
    X(user_create) X(user_list) X(user_get) X(user_update) X(user_delete)                 \
    X(role_create) X(role_list) X(role_get) X(role_update) X(role_delete)                 \
    X(binding_create) X(binding_list) X(binding_delete)                                   \
    X(team_create) X(team_list) X(team_get) X(team_update) X(team_delete)        \
    X(idem_claim) X(idem_keep) X(idem_drop) X(purge_add) X(purge_changes) // clang-format on

#define HANDLER_DECLARE(name) om_handler on_##name;
HANDLER_LIST(HANDLER_DECLARE)
#undef HANDLER_DECLARE

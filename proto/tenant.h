// tenant.h - what operations on keys, tenants, users and roles carry; ops.h has the
// operations.
//
// Fields that are INTERNAL are filled in by the edge: `id` from the path, `granted` and
// `by` from the caller's key, `if_version` from If-Match.
#pragma once
#include "record.h"

// clang-format off

// Limits of whoever carries them, beside those of the plan: the strictest holds.
#define LIMIT_FIELDS(F, M)                                                                \
    F(M, I64, requests,   OPTIONAL, 0, 1e9, NULL, "requests in any minute; 0: no limit of its own") \
    F(M, I64, tokens,     OPTIONAL, 0, 1e12, NULL, "tokens in any minute; 0: no limit of its own") \
    F(M, I64, concurrent, OPTIONAL, 0, 1e6, NULL, "requests at a time; 0: no limit of its own")

#define GRANTED_FIELD(F, M)                                                               \
    F(M, STRS, granted,   INTERNAL, 0, 64, NULL, "scopes of the caller's own key")

// ---- keys

#define KEY_ITEM(F, M)                                                                    \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "key id")                               \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always api_key")                       \
    F(M, STR,  name,       REQUIRED, 0, 128, NULL, "what its owner calls it")             \
    F(M, STR,  prefix,     REQUIRED, 1, 32, NULL, "the first characters of the key")      \
    F(M, STR,  env,        REQUIRED, 1, 8, NULL, "live, or test: it sees only the sandbox") \
    F(M, STRS, scopes,     REQUIRED, 0, 64, NULL, "what it may do")                       \
    F(M, STR,  user,       OPTIONAL, 1, 48, NULL, "the user it acts for: it may do no more than that user") \
    F(M, STR,  team,       OPTIONAL, 1, 48, NULL, "the team whose limits it counts against") \
    F(M, STRS, models,     OPTIONAL, 0, 64, NULL, "models it may use; any if absent")     \
    F(M, STRS, cidrs,      OPTIONAL, 0, 32, NULL, "networks it may be used from; any if absent") \
    LIMIT_FIELDS(F, M)                                                                    \
    F(M, STR,  version,    OPTIONAL, 1, 16, NULL, "the Omni-Version it was made for")     \
    F(M, I64,  created_ms, REQUIRED, 0, 9e15, NULL, "when it was made, ms since 1970")    \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when it ends, ms since 1970")        \
    F(M, I64,  revoked_ms, OPTIONAL, 0, 9e15, NULL, "when it was revoked")                \
    F(M, I64,  used_ms,    OPTIONAL, 0, 9e15, NULL, "when it was used last, to a minute or two") \
    F(M, STR,  successor,  OPTIONAL, 1, 48, NULL, "the key that takes its place")         \
    F(M, STR,  key,        OPTIONAL, 1, 128, NULL, "the key itself, shown only once")
REC_DECLARE(key_item, KEY_ITEM);

#define KEY_CREATE_REQUEST(F, M)                                                          \
    F(M, STR,  name,       REQUIRED, 1, 128, NULL, "what you call it")                    \
    F(M, STRS, scopes,     OPTIONAL, 1, 64, NULL, "what it may do; all but operator and worker if absent") \
    F(M, STR,  env,        OPTIONAL, 4, 4, NULL, "live, or test for the sandbox; live if absent") \
    F(M, STR,  user,       OPTIONAL, 1, 48, NULL, "the user it acts for; the caller's own if absent") \
    F(M, STR,  team,       OPTIONAL, 1, 48, NULL, "the team whose limits it counts against; the user's if absent") \
    F(M, STRS, models,     OPTIONAL, 0, 64, NULL, "models it may use; any if absent")     \
    F(M, STRS, cidrs,      OPTIONAL, 0, 32, NULL, "networks it may be used from, e.g. 192.0.2.0/24; any if absent") \
    LIMIT_FIELDS(F, M)                                                                    \
    F(M, STR,  version,    OPTIONAL, 10, 10, NULL, "the Omni-Version it is made for, e.g. 2026-11-01") \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when it ends, ms since 1970")        \
    F(M, STR,  by,         INTERNAL, 1, 48, NULL, "id of the caller's own key")           \
    GRANTED_FIELD(F, M)

#define KEY_ROTATE_REQUEST(F, M)                                                          \
    F(M, STR,  id,         INTERNAL, 1, 48, NULL, "key id")                               \
    F(M, I64,  overlap_s,  OPTIONAL, 0, 604800, NULL, "how long the old key still works; a day if absent") \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when the new one ends, ms since 1970; as the old one if absent") \
    F(M, STR,  by,         INTERNAL, 1, 48, NULL, "id of the caller's own key")           \
    GRANTED_FIELD(F, M)

#define KEY_USED_REQUEST(F, M)                                                            \
    F(M, STRS, ids,        REQUIRED, 0, 1000, NULL, "keys that were used since the last report")

// ---- tenants

#define SETTING_ITEM(F, M)                                                                \
    F(M, STR,  name,       REQUIRED, 1, 64, NULL, "of the setting")                       \
    F(M, STR,  type,       REQUIRED, 1, 32, NULL, "integer, boolean, string or array of strings") \
    F(M, STR,  doc,        REQUIRED, 1, 256, NULL, "what it does")
REC_DECLARE(setting_item, SETTING_ITEM);

#define CONFIG_ITEM(F, M)                                                                 \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always tenant_config")                 \
    F(M, I64,  version,    REQUIRED, 0, 9e15, NULL, "of the tenant; it rises with each change") \
    F(M, MAP,  settings,   REQUIRED, 0, 64, NULL, "what is set")                          \
    F(M, RECS, known,      REQUIRED, 0, 64, &setting_item_rec, "what can be set")

#define CONFIG_PUT_REQUEST(F, M)                                                          \
    F(M, MAP,  settings,   REQUIRED, 0, 64, NULL, "all that is set from now on")          \
    F(M, I64,  if_version, INTERNAL, 0, 9e15, NULL, "only if the tenant is of this version")

#define TENANT_ITEM(F, M)                                                                 \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "tenant id")                            \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always tenant")                        \
    F(M, STR,  name,       REQUIRED, 0, 128, NULL, "for people")                          \
    F(M, STR,  slug,       REQUIRED, 1, 64, NULL, "its short name, which no other tenant has") \
    F(M, STR,  plan,       REQUIRED, 1, 32, NULL, "code of its plan")                     \
    F(M, STR,  state,      REQUIRED, 1, 16, NULL, "active, past_due, suspended or closed") \
    F(M, STR,  region,     OPTIONAL, 1, 32, NULL, "where its data is to be kept")         \
    F(M, STR,  sensitivity, REQUIRED, 1, 16, NULL, "of its data: normal, high or ultra_high") \
    F(M, BOOL, prepaid,    REQUIRED, 0, 1, NULL, "it pays before it uses")                \
    F(M, STR,  parent,     OPTIONAL, 1, 48, NULL, "the tenant whose sandbox this is")     \
    F(M, STR,  sandbox,    OPTIONAL, 1, 48, NULL, "its sandbox, once it has a test key")  \
    F(M, I64,  clock_ms,   OPTIONAL, -9e15, 9e15, NULL, "what the sandbox's clock is ahead") \
    F(M, MAP,  config,     OPTIONAL, 0, 64, NULL, "what is set (GET /api/v1/tenants/me/config)") \
    F(M, I64,  version,    REQUIRED, 0, 9e15, NULL, "rises with each change; the ETag")   \
    F(M, I64,  created_ms, REQUIRED, 0, 9e15, NULL, "when it was made, ms since 1970")    \
    F(M, I64,  updated_ms, REQUIRED, 0, 9e15, NULL, "when it was changed last")           \
    F(M, STR,  key,        OPTIONAL, 1, 128, NULL, "its first key, shown only once")
REC_DECLARE(tenant_item, TENANT_ITEM);

#define TENANT_CREATE_REQUEST(F, M)                                                       \
    F(M, STR,  name,       REQUIRED, 1, 128, NULL, "for people")                          \
    F(M, STR,  slug,       REQUIRED, 1, 48, NULL, "a letter, then letters, digits and dashes, all lower case") \
    F(M, STR,  plan,       OPTIONAL, 1, 32, NULL, "code of its plan; free if absent")     \
    F(M, STR,  region,     OPTIONAL, 1, 32, NULL, "where its data is to be kept, e.g. eu-central") \
    F(M, STR,  sensitivity, OPTIONAL, 1, 16, NULL, "of its data: normal, high or ultra_high; normal if absent") \
    F(M, BOOL, prepaid,    OPTIONAL, 0, 1, NULL, "it pays before it uses")                \
    F(M, STR,  owner_email, OPTIONAL, 3, 254, NULL, "its first user, who gets the role owner")

#define TENANT_UPDATE_REQUEST(F, M)                                                       \
    F(M, STR,  id,         INTERNAL, 1, 48, NULL, "tenant id")                            \
    F(M, STR,  name,       OPTIONAL, 1, 128, NULL, "for people")                          \
    F(M, STR,  plan,       OPTIONAL, 1, 32, NULL, "code of its plan")                     \
    F(M, STR,  state,      OPTIONAL, 1, 16, NULL, "active, past_due, suspended or closed (for ever)") \
    F(M, STR,  region,     OPTIONAL, 1, 32, NULL, "where its data is to be kept")         \
    F(M, STR,  sensitivity, OPTIONAL, 1, 16, NULL, "of its data: normal, high or ultra_high") \
    F(M, BOOL, prepaid,    OPTIONAL, 0, 1, NULL, "it pays before it uses")                \
    F(M, I64,  if_version, INTERNAL, 0, 9e15, NULL, "only if the tenant is of this version")

#define TENANT_PATCH_REQUEST(F, M)                                                        \
    F(M, STR,  name,       OPTIONAL, 1, 128, NULL, "for people")                          \
    F(M, MAP,  config,     OPTIONAL, 0, 64, NULL, "settings to change; null for the default") \
    F(M, I64,  clock_ms,   OPTIONAL, 0, 3e12, NULL, "with a test key: what the sandbox's clock is ahead") \
    F(M, I64,  if_version, INTERNAL, 0, 9e15, NULL, "only if the tenant is of this version")

// ---- users, their roles and teams

#define USER_ITEM(F, M)                                                                   \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "user id")                              \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always user")                          \
    F(M, STR,  email,      REQUIRED, 1, 254, NULL, "in lower case")                       \
    F(M, STR,  name,       REQUIRED, 0, 128, NULL, "for people")                          \
    F(M, STR,  state,      REQUIRED, 1, 16, NULL, "active or suspended")                  \
    F(M, STR,  team,       OPTIONAL, 1, 48, NULL, "the team whose limits count")          \
    F(M, STRS, roles,      REQUIRED, 0, 32, NULL, "roles that have not expired")          \
    F(M, STRS, scopes,     REQUIRED, 0, 64, NULL, "what the roles amount to")             \
    LIMIT_FIELDS(F, M)                                                                    \
    F(M, I64,  created_ms, REQUIRED, 0, 9e15, NULL, "when it joined, ms since 1970")
REC_DECLARE(user_item, USER_ITEM);

#define USER_CREATE_REQUEST(F, M)                                                         \
    F(M, STR,  email,      REQUIRED, 3, 254, NULL, "by which it is known")                \
    F(M, STR,  name,       OPTIONAL, 1, 128, NULL, "for people")                          \
    F(M, STRS, roles,      OPTIONAL, 0, 16, NULL, "roles it gets; none if absent")        \
    F(M, STR,  team,       OPTIONAL, 1, 48, NULL, "the team whose limits count")          \
    LIMIT_FIELDS(F, M)                                                                    \
    GRANTED_FIELD(F, M)

#define USER_UPDATE_REQUEST(F, M)                                                         \
    F(M, STR,  id,         INTERNAL, 1, 48, NULL, "user id")                              \
    F(M, STR,  name,       OPTIONAL, 1, 128, NULL, "for people")                          \
    F(M, STR,  state,      OPTIONAL, 1, 16, NULL, "active or suspended")                  \
    F(M, STR,  team,       OPTIONAL, 0, 48, NULL, "the team whose limits count; empty for none") \
    LIMIT_FIELDS(F, M)                                                                    \
    GRANTED_FIELD(F, M)

#define USER_DELETE_REQUEST(F, M)                                                         \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "user id")                              \
    GRANTED_FIELD(F, M)

#define PERMISSION_ITEM(F, M)                                                             \
    F(M, STR,  permission, REQUIRED, 1, 64, NULL, "a scope, or several by a *: files:*, *:read, *") \
    F(M, STR,  effect,     OPTIONAL, 4, 5, NULL, "allow, or deny, which wins; allow if absent")
REC_DECLARE(permission_item, PERMISSION_ITEM);

#define ROLE_ITEM(F, M)                                                                   \
    F(M, STR,  id,         REQUIRED, 1, 32, NULL, "the role's name")                      \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always role")                          \
    F(M, BOOL, seeded,     REQUIRED, 0, 1, NULL, "it is there in every tenant, and cannot be changed") \
    F(M, STR,  description, REQUIRED, 0, 256, NULL, "who it is for")                      \
    F(M, RECS, permissions, REQUIRED, 0, 64, &permission_item_rec, "what is allowed and denied") \
    F(M, STRS, scopes,     REQUIRED, 0, 64, NULL, "what that amounts to")
REC_DECLARE(role_item, ROLE_ITEM);

#define ROLE_CREATE_REQUEST(F, M)                                                         \
    F(M, STR,  name,       REQUIRED, 1, 32, NULL, "a letter, then letters, digits and dashes, all lower case") \
    F(M, STR,  description, OPTIONAL, 0, 256, NULL, "who it is for")                      \
    F(M, RECS, permissions, REQUIRED, 1, 64, &permission_item_rec, "what is allowed and denied") \
    GRANTED_FIELD(F, M)

#define ROLE_UPDATE_REQUEST(F, M)                                                         \
    F(M, STR,  id,         INTERNAL, 1, 32, NULL, "the role's name")                      \
    F(M, STR,  description, OPTIONAL, 0, 256, NULL, "who it is for")                      \
    F(M, RECS, permissions, REQUIRED, 1, 64, &permission_item_rec, "all that is allowed and denied") \
    GRANTED_FIELD(F, M)

#define ROLE_DELETE_REQUEST(F, M)                                                         \
    F(M, STR,  id,         REQUIRED, 1, 32, NULL, "the role's name")                      \
    GRANTED_FIELD(F, M)

#define BINDING_ITEM(F, M)                                                                \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "binding id")                           \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always role_binding")                  \
    F(M, STR,  user,       REQUIRED, 1, 48, NULL, "who has the role")                     \
    F(M, STR,  role,       REQUIRED, 1, 32, NULL, "the role's name")                      \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when it ends, ms since 1970")        \
    F(M, I64,  created_ms, REQUIRED, 0, 9e15, NULL, "since when, ms since 1970")
REC_DECLARE(binding_item, BINDING_ITEM);

#define BINDING_CREATE_REQUEST(F, M)                                                      \
    F(M, STR,  user,       REQUIRED, 1, 48, NULL, "who gets the role")                    \
    F(M, STR,  role,       REQUIRED, 1, 32, NULL, "the role's name")                      \
    F(M, I64,  expires_ms, OPTIONAL, 0, 9e15, NULL, "when it ends, ms since 1970; never if absent") \
    GRANTED_FIELD(F, M)

#define BINDING_LIST_REQUEST(F, M)                                                        \
    F(M, STR,  user,       OPTIONAL, 1, 48, NULL, "only this user's")                     \
    LIST_REQUEST(F, M)

#define BINDING_DELETE_REQUEST(F, M)                                                      \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "binding id")                           \
    GRANTED_FIELD(F, M)

#define TEAM_ITEM(F, M)                                                                   \
    F(M, STR,  id,         REQUIRED, 1, 48, NULL, "team id")                              \
    F(M, STR,  object,     REQUIRED, 1, 32, NULL, "always team")                          \
    F(M, STR,  name,       REQUIRED, 1, 64, NULL, "which no other team of the tenant has") \
    LIMIT_FIELDS(F, M)                                                                    \
    F(M, I64,  created_ms, REQUIRED, 0, 9e15, NULL, "when it was made, ms since 1970")
REC_DECLARE(team_item, TEAM_ITEM);

#define TEAM_CREATE_REQUEST(F, M)                                                         \
    F(M, STR,  name,       REQUIRED, 1, 64, NULL, "which no other team of the tenant has") \
    LIMIT_FIELDS(F, M)

#define TEAM_UPDATE_REQUEST(F, M)                                                         \
    F(M, STR,  id,         INTERNAL, 1, 48, NULL, "team id")                              \
    F(M, STR,  name,       OPTIONAL, 1, 64, NULL, "which no other team of the tenant has") \
    LIMIT_FIELDS(F, M)
// clang-format on

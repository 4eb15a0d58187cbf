// limit.h - how much a tenant may use of a quota: its own limit, or that of its plan.
//
// All functions run in the caller's transaction; failures show at its commit.
#pragma once
#include "billing.h"
#include "quota.h"

struct limit {
    bool limited, own;
    int64_t most; // if limited
};

// A plan that nobody made has the limits of the default one.
struct limit limit_find(struct om_txn *txn, const struct om_uuid *tenant,
                        struct om_str plan, enum quota quota);

// The quota a request names. False: there is none, and the call has failed.
bool limit_read_policy(struct om_call *call, struct om_str policy, enum quota *out);

// Remember the plan a tenant has, or recall it: in the arena of the call, or the default.
void limit_keep_plan(struct om_txn *txn, const struct om_uuid *tenant,
                     struct om_str plan);
struct om_str limit_recall_plan(struct om_txn *txn, struct om_call *call);

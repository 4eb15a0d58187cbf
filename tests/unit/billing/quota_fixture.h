// quota_fixture.h - billing with one tenant and a clock that the test sets, for the tests
// of the suite `quota`.
#pragma once
#include "../services/call.h"
#include "id.h"
#include "period.h"
#include "plan.h"
#include "tally.h"
#include "usage.h"

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE, DAY = 24 * HOUR };
#define NOVEMBER INT64_C(1793491200000) // 2026-11-01 00:00 UTC
#define NOON     (NOVEMBER + 20 * (int64_t)DAY + 12 * HOUR)

extern struct call_folder folder; // of its database
extern struct billing billing;
extern struct call call; // the last one
extern struct om_uuid tenant;
extern char tenant_text[OM_TYPEID_MAX];
extern int64_t clock_ms;

// Have billing do an operation for the tenant.
enum om_rc ask(enum op op, const char *id, const void *request, void *reply);

// Have usage metered, by an event's id; so many calls, by an id of their own.
void meter(const char *id, const char *name, int64_t quantity, int64_t at_ms);
void count_calls(int64_t quantity, int64_t at_ms);

// Give the tenant a limit of its own; below 0: none.
void limit_to(const char *policy, int64_t limit);

struct quota_item show(enum quota quota);

struct got {
    int64_t granted, remaining, leased, expires_ms, resets_ms, limit;
    bool limited;
    char name[65];
};

// Take a block, and give back what was not used of it.
struct got lease(const char *id, const char *policy, int64_t amount, int64_t least);
void settle(const char *name, int64_t used);
enum om_rc settle_for(const char *name, int64_t used, const char *object);

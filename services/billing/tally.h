// tally.h - how much of a quota is used in a window: what was metered, and what is out in
// blocks.
//
// The truth is what is metered, but a usage event comes later than the use, and some of
// what is out was already metered. Three numbers of a window are kept:
//
//   metered  the sum of the usage events whose time lies in the window
//   leased   the sum of the blocks that are out
//   settled  what was used of blocks that came back, whether metered yet or not
//
// Used, for the question whether there is more to give, is settled + leased. It is
// never less than metered, because `settled` is raised to metered - leased: what was
// metered and is not of a block that is out has come back, or expired, or never was in a
// block. And it is never more than metered + leased + what came back in the last minutes,
// because `settled` is lowered to that: what is not metered by then never will be. So it
// differs from the metered truth by no more than the blocks that are out, and by what
// came back just now and is on its way.
//
// A quota without a window counts what there is: a block for a task or a file stays out
// until the usage event of that object comes, and the transaction that applies the event
// ends the block. Used is metered - removed + leased, with nothing in between.
//
// Numbers are kept in the transaction that changes them: nothing sums a month at a lease.
// All functions run in the caller's transaction; failures show at its commit.
#pragma once
#include "billing.h"
#include "quota.h"

enum {
    TALLY_SLOT_MS = 60 * 1000, // usage is metered a slot after its block came back
    TALLY_MOST = 9000000000000000,
};

struct tally {
    int64_t window_ms, end_ms; // [window_ms, end_ms); 0 and INT64_MAX of no window
    int64_t metered, removed, settled, leased;
    int64_t slot_ms, recent, before; // settled in the slot from slot_ms on, and in the
                                     // one before
};

// The window of `at_ms`, with no counts.
struct tally tally_window(enum quota quota, int64_t at_ms);

// Read the counts of the window. A window that is asked for the first time is summed up
// from what was metered by hour; with `keep` it is counted from now on.
void tally_load(struct om_txn *txn, const struct om_uuid *tenant, enum quota quota,
                bool keep, struct tally *self);
void tally_store(struct om_txn *txn, const struct om_uuid *tenant, enum quota quota,
                 const struct tally *self);

// What is used, blocks that are out included. `sure`: usage has been applied for long
// enough that what is not metered after two slots can be forgotten.
int64_t tally_used(struct tally *self, enum quota quota, int64_t now_ms, bool sure);

// A block has come back, of which so much was used.
void tally_settle(struct tally *self, int64_t granted, int64_t used, int64_t now_ms);

// Forget windows that began before `before_ms`: what was metered in them can be summed up
// again.
void tally_tidy(struct om_txn *txn, int64_t before_ms);

// A usage event was applied: count it in its window, if that is kept, and end the block
// that was out for its object.
void tally_meter(struct om_txn *txn, const struct om_uuid *tenant, struct om_str id,
                 struct om_str meter, int64_t quantity, int64_t at_ms);

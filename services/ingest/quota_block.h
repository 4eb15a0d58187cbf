// quota_block.h - a quota of one tenant as this process holds it: blocks that billing
// granted, to be spent without asking. Pure: no clock, no messages, one thread at a time.
//
// What is spent of a block is never more than was granted of it, and nothing is spent of
// one that is over. The next block is asked for before the present one is used up. A
// block that is used up, over, or not needed any more is due: to be settled with billing.
//
// Times are of the mono clock but those named wall.
#pragma once
#include "base.h"

enum {
    QUOTA_NAME_MAX = 64,
    QUOTA_PARK_MS = 2500,  // a request waits no longer for billing's answer
    QUOTA_HOLD_MS = 20000, // a block is held no longer, whatever billing allows
    QUOTA_IDLE_MS = 5000,  // one that nobody spends of is given back
    QUOTA_LEAST = 16,      // wanted at a time
    QUOTA_MOST = 1000000,
    QUOTA_SECONDS = 4,        // of use that a block is meant to last
    QUOTA_AGAIN_MS = 500,     // before asking again: billing was silent, or blocks of
                              // others may come back
    QUOTA_USED_UP_MS = 30000, // "used up" is believed so long
    QUOTA_FREE_MS = 60000,    // "no limit" is believed so long
    QUOTA_DUE_MAX = 4,
};

// What billing granted.
struct quota_grant {
    char name[QUOTA_NAME_MAX + 1];
    int64_t granted, spent;
    int64_t until_ms; // not spent after
};

// What billing answered.
struct quota_answer {
    char name[QUOTA_NAME_MAX + 1];
    int64_t granted;
    int64_t lasts_ms;                  // from when it was asked
    int64_t resets_wall_ms, window_ms; // when its window ends; and how long that is yet
    bool limited;                      // or there is no limit
    int64_t limit;
    bool leased; // blocks are out that may come back
};

struct quota_block {
    struct quota_grant now, next;          // granted == 0: none
    struct quota_grant due[QUOTA_DUE_MAX]; // to be settled
    unsigned due_count;
    unsigned epoch;           // an answer to what was asked in another one is stale
    bool asking;              // and no answer yet
    int64_t asked_ms;         // when it was asked last
    bool silent;              // the last question had no answer
    int64_t silent_ms;        // when the first of those without one was asked
    bool free;                // there was no limit
    int64_t free_ms;          // when billing said so
    bool used_up;             // nothing was left
    int64_t used_up_until_ms; // not asked again before
    int64_t resets_ms;        // when the window ends; INT64_MAX: never, or not known
    int64_t resets_wall_ms, limit;
    int64_t taken, since_ms; // how much is used, to size the next block
    int64_t rate;            // in a second
    int64_t touched_ms;
};

enum quota_verdict {
    QUOTA_TAKEN,
    QUOTA_WAIT,    // billing is being asked, or to be asked
    QUOTA_REFUSED, // used up
    QUOTA_SILENT,  // billing does not answer
};

// Spend `amount`, or, of 0, find out whether anything is left.
enum quota_verdict quota_block_take(struct quota_block *self, int64_t now_ms,
                                    int64_t amount);

// Put back what was taken in the window that ends at `resets_wall_ms`.
void quota_block_put_back(struct quota_block *self, int64_t amount,
                          int64_t resets_wall_ms);

// Is billing to be asked now? Then *amount is wanted, and it counts as asked.
// `wanting`: someone waits.
bool quota_block_ask(struct quota_block *self, int64_t now_ms, bool wanting,
                     int64_t *amount);

// Billing answered the question of `epoch`; or, with NULL, it did not.
void quota_block_answer(struct quota_block *self, int64_t now_ms, unsigned epoch,
                        int64_t asked_ms, const struct quota_answer *answer);

// What is held is due, and what was said is forgotten: limits changed.
void quota_block_forget(struct quota_block *self);

// What nobody spends of is due. False: nothing is held or known any more.
bool quota_block_rest(struct quota_block *self, int64_t now_ms);

// The next block to be settled. False: none.
bool quota_block_due(struct quota_block *self, struct quota_grant *out);

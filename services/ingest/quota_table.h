// quota_table.h - the blocks that a process holds of its tenants' quotas, shared by its
// threads, without a word to billing: what is to be settled or asked is handed to the
// caller.
//
// Tenants are spread over buckets, each with a lock of its own, and their number is
// bounded: who asked for nothing for the longest time is forgotten. Any thread.
#pragma once
#include "quota.h"
#include "quota_block.h"
#include "uuid.h"

enum {
    QUOTA_TENANTS_MAX = 4096,
    QUOTA_BUCKETS = 64,
    QUOTA_DUES_MAX = 2 * QUOTA_COUNT * QUOTA_DUE_MAX, // of two tenants
};

struct quota_table;

// Blocks to be settled. `count` is 0 before the first use.
struct quota_dues {
    size_t count;
    struct {
        struct om_uuid tenant;
        struct quota_grant grant;
    } items[QUOTA_DUES_MAX];
};

// A tenant's quota, and, from quota_table_take(), what is known of it and whether billing
// is to be asked.
struct quota_spot {
    struct om_uuid tenant;
    enum quota quota;
    int64_t resets_wall_ms, limit; // of the window; 0 if not known
    int64_t wanted;                // to be asked for; 0: nothing
    int64_t silent_ms;             // since when billing owes an answer; 0: it does not
    unsigned epoch;                // of the question
};

// NULL: no memory.
struct quota_table *quota_table_create(void);
void quota_table_destroy(struct quota_table **self_p);

// Take of the block of a tenant that has this plan now; what is held under another plan
// is due. QUOTA_SILENT too if there is no memory.
enum quota_verdict quota_table_take(struct quota_table *self, struct quota_spot *spot,
                                    const char *plan, int64_t amount, int64_t now_ms,
                                    struct quota_dues *dues);
void quota_table_put_back(struct quota_table *self, const struct quota_spot *spot,
                          int64_t amount);

// Billing said, when it was asked in the spot's epoch, that there is no limit, so that it
// need not be asked; and did it say so, within QUOTA_FREE_MS or, with `ever`, at all, of
// a tenant that has this plan? That sets the spot's epoch.
void quota_table_set_free(struct quota_table *self, const struct quota_spot *spot,
                          int64_t now_ms);
bool quota_table_is_free(struct quota_table *self, struct quota_spot *spot,
                         const char *plan, int64_t now_ms, bool ever,
                         struct quota_dues *dues);

// Billing answered a question, or, with NULL, it did not. False: the tenant is forgotten,
// and what was granted is to be settled.
bool quota_table_answer(struct quota_table *self, const struct quota_spot *spot,
                        int64_t asked_ms, int64_t now_ms,
                        const struct quota_answer *answer, struct quota_dues *dues);

// What is held of a tenant is due, and what was said of it is forgotten.
void quota_table_forget(struct quota_table *self, const struct om_uuid *tenant,
                        struct quota_dues *dues);

// The same for those of a bucket. True: there may be more, settle and call again.
bool quota_table_forget_all(struct quota_table *self, size_t bucket,
                            struct quota_dues *dues);

// What nobody of a bucket spends is due, and who has nothing is forgotten.
void quota_table_rest(struct quota_table *self, size_t bucket, int64_t now_ms,
                      struct quota_dues *dues);

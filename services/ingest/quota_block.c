#include <assert.h>

#include "quota_block.h"

enum { SOON_MS = 2000, TENTHS = 10 };

static void
make_due(struct quota_block *self, struct quota_grant *grant)
{
    if (grant->granted > 0 || grant->name[0]) {
        assert(self->due_count < QUOTA_DUE_MAX);
        self->due[self->due_count++] = *grant;
    }
    *grant = (struct quota_grant){ 0 };
}

static int64_t
left(const struct quota_grant *grant)
{
    return grant->granted - grant->spent;
}

// Put away what is over, and have `now` be what there is to be spent.
static void
advance(struct quota_block *self, int64_t now_ms)
{
    if (now_ms >= self->resets_ms) { // of the new window nothing is known
        self->used_up = false;
        self->resets_ms = INT64_MAX;
    }
    if (self->next.granted > 0 && now_ms >= self->next.until_ms)
        make_due(self, &self->next);
    if (self->now.granted > 0 && now_ms >= self->now.until_ms)
        make_due(self, &self->now);
    if (left(&self->now) == 0 && self->next.granted > 0) {
        make_due(self, &self->now);
        self->now = self->next;
        self->next = (struct quota_grant){ 0 };
    }
}

// It must be one block that has it all: what is taken at a time is one.
static bool
spend(struct quota_block *self, int64_t amount)
{
    if (left(&self->now) < (amount > 0 ? amount : 1))
        return false;
    self->now.spent += amount;
    return true;
}

enum quota_verdict
quota_block_take(struct quota_block *self, int64_t now_ms, int64_t amount)
{
    self->touched_ms = now_ms;
    if (self->since_ms == 0)
        self->since_ms = now_ms;
    advance(self, now_ms);
    if (self->free) // until billing says otherwise
        return QUOTA_TAKEN;
    if (spend(self, amount)) {
        self->taken += amount;
        return QUOTA_TAKEN;
    }
    bool silent =
        self->silent || (self->asking && now_ms - self->asked_ms >= QUOTA_PARK_MS);
    if (self->used_up && (silent || now_ms < self->used_up_until_ms))
        return QUOTA_REFUSED;
    return silent ? QUOTA_SILENT : QUOTA_WAIT;
}

// Blocks of one window are of one sum, so it does not matter which one it goes to; if
// none is held, it is billing that finds out, from what is metered.
void
quota_block_put_back(struct quota_block *self, int64_t amount, int64_t resets_wall_ms)
{
    if (resets_wall_ms == self->resets_wall_ms && self->now.spent >= amount)
        self->now.spent -= amount;
}

static int64_t
choose_amount(struct quota_block *self, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - self->since_ms;
    if (elapsed_ms < 1000 / TENTHS)
        elapsed_ms = 1000 / TENTHS;
    int64_t rate = self->taken * 1000 / elapsed_ms;
    self->rate = self->rate ? (self->rate + rate) / 2 : rate;
    self->taken = 0;
    self->since_ms = now_ms;
    int64_t amount = self->rate * QUOTA_SECONDS;
    return amount < QUOTA_LEAST ? QUOTA_LEAST : amount > QUOTA_MOST ? QUOTA_MOST : amount;
}

bool
quota_block_ask(struct quota_block *self, int64_t now_ms, bool wanting, int64_t *amount)
{
    bool low = left(&self->now) <= self->now.granted / 4 ||
               self->now.until_ms - now_ms < SOON_MS;
    if (self->asking && now_ms - self->asked_ms < QUOTA_HOLD_MS)
        return false;
    if (self->due_count > 1 || self->next.granted > 0)
        return false;
    if (self->free && now_ms - self->free_ms < QUOTA_FREE_MS)
        return false;
    if (self->used_up && now_ms < self->used_up_until_ms)
        return false;
    if (self->silent && now_ms - self->asked_ms < QUOTA_AGAIN_MS)
        return false;
    if (!low && !wanting)
        return false;
    self->asking = true;
    self->asked_ms = now_ms;
    *amount = choose_amount(self, now_ms);
    return true;
}

static void
take_grant(struct quota_block *self, const struct quota_answer *answer, int64_t asked_ms)
{
    int64_t lasts_ms =
        answer->lasts_ms < QUOTA_HOLD_MS ? answer->lasts_ms : QUOTA_HOLD_MS;
    struct quota_grant grant = { .granted = answer->granted,
                                 .until_ms = asked_ms + lasts_ms };
    memcpy(grant.name, answer->name, sizeof(grant.name));
    if (self->now.granted == 0)
        self->now = grant;
    else if (self->next.granted == 0)
        self->next = grant;
    else
        make_due(self, &grant);
}

void
quota_block_answer(struct quota_block *self, int64_t now_ms, unsigned epoch,
                   int64_t asked_ms, const struct quota_answer *answer)
{
    if (epoch != self->epoch) {
        struct quota_grant stale = { .granted = answer && answer->limited
                                                    ? answer->granted
                                                    : 0 };
        if (stale.granted > 0 && self->due_count < QUOTA_DUE_MAX - 2) {
            memcpy(stale.name, answer->name, sizeof(stale.name));
            make_due(self, &stale);
        }
        return; // one that finds no room expires with billing
    }
    self->asking = false;
    if (!answer && !self->silent)
        self->silent_ms = asked_ms;
    self->silent = !answer;
    if (!answer)
        return;
    self->free = !answer->limited;
    self->free_ms = now_ms;
    self->used_up = answer->limited && answer->granted == 0;
    self->resets_ms =
        answer->window_ms == INT64_MAX ? INT64_MAX : asked_ms + answer->window_ms;
    self->resets_wall_ms = answer->resets_wall_ms;
    self->limit = answer->limit;
    self->used_up_until_ms =
        now_ms + (answer->leased ? QUOTA_AGAIN_MS : QUOTA_USED_UP_MS);
    if (answer->limited && answer->granted > 0)
        take_grant(self, answer, asked_ms);
}

void
quota_block_forget(struct quota_block *self)
{
    make_due(self, &self->now);
    make_due(self, &self->next);
    self->epoch++;
    self->asking = self->silent = self->free = self->used_up = false;
    self->resets_ms = INT64_MAX;
}

bool
quota_block_rest(struct quota_block *self, int64_t now_ms)
{
    advance(self, now_ms);
    if (now_ms - self->touched_ms < QUOTA_IDLE_MS)
        return true;
    make_due(self, &self->now);
    make_due(self, &self->next);
    self->rate = 0;
    return self->asking || now_ms - self->touched_ms < QUOTA_USED_UP_MS;
}

bool
quota_block_due(struct quota_block *self, struct quota_grant *out)
{
    if (self->due_count == 0)
        return false;
    *out = self->due[--self->due_count];
    return true;
}

#include "limiter.h"

static struct limiter_entry *
entry_at(struct limiter *self, uint32_t number)
{
    return &self->ring[(self->oldest + number) % LIMITER_ENTRIES];
}

// Age of a time within the last weeks, of which only the low bits are known.
static uint32_t
age_ms(int64_t now_ms, uint32_t at_ms)
{
    return (uint32_t)now_ms - at_ms;
}

int64_t
limiter_advance(struct limiter *self, int64_t now_ms)
{
    if (now_ms < self->newest_ms)
        now_ms = self->newest_ms;
    if (now_ms - self->newest_ms >= LIMITER_WINDOW_MS)
        self->count = 0, self->used = 0;
    while (self->count > 0 &&
           age_ms(now_ms, entry_at(self, 0)->last_ms) >= LIMITER_WINDOW_MS) {
        self->used -= entry_at(self, 0)->amount;
        self->oldest = (self->oldest + 1) % LIMITER_ENTRIES;
        self->count--;
    }
    return now_ms;
}

int64_t
limiter_wait_ms(const struct limiter *self, int64_t now_ms, int64_t limit, int64_t amount)
{
    int64_t over = self->used + amount - limit;
    if (over <= 0)
        return 0;
    for (uint32_t i = 0; i < self->count; i++) {
        const struct limiter_entry *entry =
            &self->ring[(self->oldest + i) % LIMITER_ENTRIES];
        over -= entry->amount;
        if (over <= 0)
            return LIMITER_WINDOW_MS - (int64_t)age_ms(now_ms, entry->last_ms);
    }
    return LIMITER_WINDOW_MS;
}

int64_t
limiter_reset_ms(const struct limiter *self, int64_t now_ms)
{
    if (self->count == 0)
        return 0;
    return LIMITER_WINDOW_MS - (int64_t)age_ms(now_ms, self->ring[self->oldest].last_ms);
}

void
limiter_take(struct limiter *self, int64_t now_ms, int64_t limit, int64_t amount)
{
    uint32_t join_ms = limit < LIMITER_ENTRIES ? 1 : LIMITER_JOIN_MS;
    if (amount <= 0)
        return;
    struct limiter_entry *entry = entry_at(self, self->count - 1);
    // A full ring, of a limit that was just lowered or of more than the limit, joins too.
    if (self->count == 0 ||
        (age_ms(now_ms, entry->from_ms) >= join_ms && self->count < LIMITER_ENTRIES)) {
        entry = entry_at(self, self->count++);
        *entry = (struct limiter_entry){ .from_ms = (uint32_t)now_ms };
    }
    entry->last_ms = (uint32_t)now_ms;
    entry->amount += amount;
    self->used += amount;
    self->newest_ms = now_ms;
}

void
limiter_give(struct limiter *self, int64_t at_ms, int64_t amount)
{
    if (amount <= 0 || self->newest_ms - at_ms >= LIMITER_WINDOW_MS)
        return;
    for (uint32_t i = self->count; i-- > 0;) {
        struct limiter_entry *entry = entry_at(self, i);
        if (age_ms(at_ms, entry->from_ms) > INT32_MAX)
            continue; // begun after at_ms
        int64_t given = amount < entry->amount ? amount : entry->amount;
        if (age_ms(at_ms, entry->last_ms) <= INT32_MAX &&
            (uint32_t)at_ms != entry->last_ms)
            return; // ended before it: what was taken at at_ms has left
        entry->amount -= given;
        self->used -= given;
        return;
    }
}

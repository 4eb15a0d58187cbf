#include <pthread.h>

#include "hash.h"
#include "metric_tenant.h"

enum {
    SLOTS = 4096, // tenants that are heard of
    PROBES = 8,   // slots a tenant may be in
    PERIOD_MS = 60 * 1000,
};

// A tenant that is heard of. Written under the lock, but for `heard`.
struct slot {
    _Atomic uint64_t high, low; // its id
    _Atomic uint32_t heard;     // in this period, roughly
    _Atomic uint32_t rank;      // 0: none
};

static struct slot slots[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot *ranks[METRIC_RANKS];
static uint32_t used = 1; // ranks
static int64_t period_ms;

static bool
is_of(struct slot *slot, const uint64_t id[2])
{
    return atomic_load_explicit(&slot->high, memory_order_relaxed) == id[0] &&
           atomic_load_explicit(&slot->low, memory_order_relaxed) == id[1];
}

static uint32_t
heard_of(struct slot *slot)
{
    return atomic_load_explicit(&slot->heard, memory_order_relaxed);
}

// Put a tenant into an empty slot, or in the place of one without rank that is heard of
// least. The lock is held.
static uint32_t
enter(uint32_t at, const uint64_t id[2])
{
    struct slot *best = NULL;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct slot *slot = &slots[(at + i) % SLOTS];
        if (is_of(slot, id))
            return slot->rank;
        if (!slot->rank && (!best || heard_of(slot) < heard_of(best)))
            best = slot;
    }
    if (!best)
        return 0;
    atomic_store(&best->high, id[0]);
    atomic_store(&best->low, id[1]);
    atomic_store(&best->heard, 1);
    if (used < METRIC_RANKS) {
        ranks[used] = best;
        atomic_store(&best->rank, used++);
    }
    return best->rank;
}

uint32_t
om_metric_rank(const struct om_uuid *tenant)
{
    uint64_t id[2];
    memcpy(id, tenant->bytes, sizeof(id));
    if (!id[0] && !id[1])
        return 0;
    uint32_t at = om_hash(id, sizeof(id)) % SLOTS;
    for (uint32_t i = 0; i < PROBES; i++) {
        struct slot *slot = &slots[(at + i) % SLOTS];
        if (!is_of(slot, id))
            continue;
        // A count lost to another thread does not change who is heard of most.
        atomic_store_explicit(&slot->heard, heard_of(slot) + 1, memory_order_relaxed);
        return atomic_load_explicit(&slot->rank, memory_order_relaxed);
    }
    if (pthread_mutex_trylock(&lock) != 0)
        return 0;
    uint32_t rank = enter(at, id);
    pthread_mutex_unlock(&lock);
    return rank;
}

bool
metric_tenant_of(uint32_t rank, struct om_uuid *tenant)
{
    pthread_mutex_lock(&lock);
    struct slot *slot = ranks[rank];
    if (slot) {
        uint64_t id[2] = { slot->high, slot->low };
        memcpy(tenant->bytes, id, sizeof(id));
    }
    pthread_mutex_unlock(&lock);
    return slot != NULL;
}

static uint32_t
find_least(void)
{
    uint32_t least = 1;
    for (uint32_t rank = 2; rank < used; rank++)
        if (heard_of(ranks[rank]) < heard_of(ranks[least]))
            least = rank;
    return least;
}

static struct slot *
find_most(void)
{
    struct slot *most = NULL;
    for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
        if (!slot->rank && (!most || heard_of(slot) > heard_of(most)))
            most = slot;
    return most;
}

void
metric_tenants_rank(int64_t now_ms, void (*replaced)(uint32_t rank))
{
    pthread_mutex_lock(&lock);
    bool due = used == METRIC_RANKS && now_ms >= period_ms + PERIOD_MS;
    for (uint32_t i = 1; due && i < METRIC_RANKS; i++) {
        uint32_t rank = find_least();
        struct slot *most = find_most(), *least = ranks[rank];
        if (!most || heard_of(most) <= 2 * heard_of(least))
            break;
        replaced(rank);
        atomic_store(&least->rank, 0);
        ranks[rank] = most;
        atomic_store(&most->rank, rank);
    }
    for (struct slot *slot = slots; due && slot < slots + SLOTS; slot++)
        atomic_store(&slot->heard, heard_of(slot) / 2);
    if (due || !period_ms)
        period_ms = now_ms;
    pthread_mutex_unlock(&lock);
}

// Whatever was acknowledged is there after the power went, whole; and nothing else but at
// most one whole batch that was under way. By seeds: OMNI_SEEDS
// says how many, OMNI_SEED which is the first.
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal_store.h"
#include "power.h"
#include "store_fixture.h"

enum { TASKS = 160, SHARDS = 3, LIVES = 5, BATCHES = 30, PAYLOAD_MAX = 3000, TENANT = 1 };

// What is stored, as it should be.
struct state {
    int64_t weight; // of the setting each batch changes
    int64_t last;   // task
    int64_t events[SHARDS], cursors[SHARDS];
    uint8_t ended[TASKS + 1];
    uint16_t leases[TASKS + 1]; // since it was opened
};

static char folder[64], path[96];
static struct store *store;
static struct state acknowledged, next;
static struct journal_store_conf conf;

static int
remove_one(const char *name, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(name);
}

// ---- batches

static struct om_str
bytes_of(int64_t number, size_t size)
{
    static char bytes[PAYLOAD_MAX];
    memset(bytes, (int)(number % 251) + 1, size);
    return (struct om_str){ bytes, size };
}

static size_t
payload_size(int64_t seq)
{
    return (size_t)(seq * 7919 % PAYLOAD_MAX);
}

static void
add_task(struct batch *batch)
{
    if (next.last == TASKS)
        return;
    int64_t seq = ++next.last;
    struct change *change = batch_task(batch, seq, TENANT);
    change->task.payload = payload_copy(bytes_of(seq, payload_size(seq)));
}

// A task again that was stored before the batch: its number must not appear.
static void
add_duplicate(struct batch *batch)
{
    if (acknowledged.last == 0)
        return;
    int64_t known = (int64_t)power_draw((uint64_t)acknowledged.last) + 1;
    batch_task(batch, TASKS + 1, TENANT)->task.id = fixture_id(known);
    batch_mark(batch, TASKS + 1, MARK_LEASE); // of the refused one
}

static void
change_task(struct batch *batch)
{
    if (next.last == 0)
        return;
    int64_t seq = (int64_t)power_draw((uint64_t)next.last) + 1;
    if (next.ended[seq] == STATE_FAILED) {
        next.ended[seq] = STATE_NONE;
        next.leases[seq] = 0;
        batch->changes[batch->count++] =
            (struct change){ .kind = CHANGE_REOPEN, .reopen_seq = seq };
        batch_mark(batch, seq, MARK_REOPEN);
    } else if (next.ended[seq] == STATE_NONE && power_draw(2)) {
        next.leases[seq]++;
        batch_mark(batch, seq, MARK_LEASE);
    } else if (next.ended[seq] == STATE_NONE) {
        next.ended[seq] = power_draw(3) ? STATE_SUCCEEDED : STATE_FAILED;
        batch_result(batch, seq, next.ended[seq])->result.payload =
            payload_copy(bytes_of(seq, 100));
    }
}

static void
add_event(struct batch *batch)
{
    uint8_t shard = (uint8_t)power_draw(SHARDS);
    batch_event(batch, shard, ++next.events[shard], "usage");
}

// Events that the subscriber has applied may be gone, and no other.
static void
move_cursor(struct batch *batch)
{
    uint8_t shard = (uint8_t)power_draw(SHARDS);
    int64_t left = next.events[shard] - next.cursors[shard];
    if (left == 0)
        return;
    next.cursors[shard] += 1 + (int64_t)power_draw((uint64_t)left);
    batch_cursor(batch, SUBSCRIPTION_BILLING_EVENTS, shard, next.cursors[shard]);
}

static struct batch *
make_batch(void)
{
    static void (*const makers[])(
        struct batch *) = { add_task,    add_task,  add_duplicate, change_task,
                            change_task, add_event, add_event,     move_cursor };
    struct batch *batch = batch_create();
    next = acknowledged;
    for (uint64_t left = power_draw(12); left > 0; left--)
        makers[power_draw(OM_COUNT(makers))](batch);
    batch->changes[batch->count++] = (struct change){
        .kind = CHANGE_SETTING,
        .setting = { .tenant = fixture_id(TENANT),
                     .scope = SETTING_TENANT,
                     .weight = ++next.weight },
    };
    return batch;
}

// ---- what is there

static struct state found;

static void
on_task_seq(void *context, int64_t seq)
{
    (void)context;
    found.last = seq;
}

static void
on_shard(void *context, uint8_t shard, int64_t seq)
{
    (void)context;
    cr_assert_lt(shard, SHARDS);
    found.events[shard] = seq;
}

static void
on_cursor(void *context, unsigned subscription, uint8_t shard, int64_t seq)
{
    (void)context;
    cr_assert_eq(subscription, SUBSCRIPTION_BILLING_EVENTS);
    cr_assert_lt(shard, SHARDS);
    found.cursors[shard] = seq;
}

static void
on_setting(void *context, const struct change_setting *setting)
{
    (void)context;
    found.weight = setting->weight;
}

static enum om_rc
on_task(void *context, const struct stored_task *task)
{
    (void)context;
    if (task->seq < 1 || task->seq > TASKS)
        return OM_EDB;
    found.ended[task->seq] = STATE_READY; // open, and marked as seen
    found.leases[task->seq] = (uint16_t)task->attempts;
    return OM_OK;
}

static bool
payload_is_whole(int64_t seq)
{
    OM_AUTO(read_destroy) struct read *read = calloc(1, sizeof(*read));
    read->kind = READ_PAYLOAD;
    read->seq = seq;
    store_read(store, read);
    return read->rc == OM_OK &&
           om_str_eq(payload_bytes(read->payload), bytes_of(seq, payload_size(seq)));
}

// Are the shard's events there that are behind its cursor?
static bool
look_at_events(uint8_t shard)
{
    struct fixture fx = { .store = store };
    int64_t cursor = found.cursors[shard], left = found.events[shard] - cursor;
    OM_AUTO(read_destroy)
    struct read *read = read_events(&fx, shard, "usage", cursor, WIRE_EVENT_RUN_MAX);
    return read->rc == OM_OK && (int64_t)read->count == left &&
           read->last_seq == found.events[shard];
}

static bool
look_at_task(int64_t seq)
{
    struct fixture fx = { .store = store };
    OM_AUTO(read_destroy) struct read *read = read_task(&fx, TENANT, seq);
    if (read->rc != OM_OK || !payload_is_whole(seq))
        return false;
    bool open = found.ended[seq] == STATE_READY;
    if (open != (read->tasks->state == STATE_NONE))
        return false;
    found.ended[seq] = (uint8_t)read->tasks->state;
    return open || om_str_eq(payload_bytes(read->payload), bytes_of(seq, 100));
}

// Fill `found`. False if it contradicts itself.
static bool
look(void)
{
    memset(&found, 0, sizeof(found));
    struct store_loader loader = { .task_seq = on_task_seq,
                                   .shard = on_shard,
                                   .cursor = on_cursor,
                                   .setting = on_setting,
                                   .task = on_task };
    if (store_load(store, &loader) != OM_OK || found.last > TASKS)
        return false;
    for (int64_t seq = 1; seq <= found.last; seq++)
        if (!look_at_task(seq))
            return false;
    for (uint8_t shard = 0; shard < SHARDS; shard++)
        if (!look_at_events(shard))
            return false;
    return true;
}

static bool
equals(const struct state *state)
{
    if (found.weight != state->weight || found.last != state->last ||
        memcmp(found.events, state->events, sizeof(found.events)) != 0 ||
        memcmp(found.cursors, state->cursors, sizeof(found.cursors)) != 0 ||
        memcmp(found.ended, state->ended, sizeof(found.ended)) != 0)
        return false;
    for (int64_t seq = 1; seq <= found.last; seq++)
        if (found.ended[seq] == STATE_NONE && found.leases[seq] != state->leases[seq])
            return false;
    return true;
}

// ---- a life

static bool
duplicates_were_seen(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        if (change->kind == CHANGE_TASK &&
            change->duplicate != (change->task.seq > TASKS))
            return false;
    }
    return true;
}

// Commit until the disk fails for good. What became of the last batch is in doubt if the
// result says so. NULL, or what was wrong.
static const char *
live(bool *in_doubt)
{
    *in_doubt = false;
    bool healed = false;
    for (int i = 0; i < BATCHES; i++) {
        OM_AUTO(batch_destroy) struct batch *batch = make_batch();
        enum om_rc rc = store_commit(store, batch);
        *in_doubt = rc == OM_EINTERNAL;
        if (rc == OM_OK && !duplicates_were_seen(batch))
            return "a duplicate was not seen, or a new task was taken for one";
        if (rc == OM_OK)
            acknowledged = next;
        else if (!power_failed())
            return "a commit failed on a disk that did not";
        if (rc == OM_EINTERNAL)
            return NULL;
        if (power_draw(3) == 0 && store_settle(store) != OM_OK && !power_failed() &&
            !healed)
            return "records were not applied on a disk that did not fail";
        if (rc == OM_ENOSPACE && power_draw(2)) {
            power_heal();
            healed = true; // what failed to be applied is tried again a little later
        }
    }
    return NULL;
}

static const char *
open_and_look(bool in_doubt, bool may_fail)
{
    if (journal_store_open(path, &conf, &store) != OM_OK)
        return may_fail && power_failed() ? NULL : store_why();
    if (may_fail && power_failed())
        return NULL; // the next life looks
    bool seen = look();
    if (!seen && may_fail && power_failed())
        return NULL;
    if (!seen)
        return "what is there contradicts itself";
    if (equals(&acknowledged))
        return NULL;
    if (!in_doubt || !equals(&next))
        return "what is there is not what was acknowledged";
    acknowledged = next;
    return NULL;
}

static void
end_life(bool process_only)
{
    store_close(&store);
    if (process_only)
        power_kept();
    else
        power_on();
}

static const char *
live_once(bool *in_doubt)
{
    static const enum power_fault faults[] = { POWER_CUT, POWER_CUT, POWER_CUT,
                                               POWER_FULL, POWER_SYNC_FAILS };
    if (power_draw(4) == 0) { // it fails again while it recovers
        power_plan(POWER_CUT, power_draw(80));
        const char *wrong = open_and_look(*in_doubt, true);
        end_life(power_draw(3) == 0);
        if (wrong)
            return wrong;
    }
    const char *wrong = open_and_look(*in_doubt, false);
    if (wrong)
        return wrong;
    power_plan(faults[power_draw(OM_COUNT(faults))], power_draw(150));
    wrong = live(in_doubt);
    end_life(power_draw(4) == 0);
    return wrong;
}

// NULL, or what was wrong.
static const char *
run(uint64_t seed)
{
    static const char *const places[] = { "/dev/shm", "/tmp" };
    const char *place = places[access(places[0], W_OK) == 0 ? 0 : 1];
    snprintf(folder, sizeof(folder), "%s/omni-power-XXXXXX", place);
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/broker.db", folder);
    power_init(seed);
    conf = journal_store_default;
    conf.io = &power_io;
    conf.vfs = POWER_VFS;
    conf.segment_bytes = 16 * 1024;
    conf.window_bytes = 4096 << power_draw(4);
    conf.log_bytes = (size_t)(64 * 1024) << power_draw(5);
    conf.kept_bytes = (size_t)(64 * 1024) << power_draw(5);
    if (power_draw(4)) {
        conf.pack_least_bytes = 1;
        conf.pack_file_bytes = (size_t)4096 << power_draw(4);
    }
    // Most seeds apply only when they ask for it, and are the same each time.
    conf.window_ms = seed % 4 == 3 ? 1 : 3600 * 1000;
    memset(&acknowledged, 0, sizeof(acknowledged));
    const char *wrong = NULL;
    bool in_doubt = false;
    for (int life = 0; life < LIVES && !wrong; life++)
        wrong = live_once(&in_doubt);
    if (!wrong) {
        wrong = open_and_look(in_doubt, false);
        store_close(&store);
    }
    power_finish();
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return wrong;
}

static uint64_t
seeds(void)
{
    const char *text = getenv("OMNI_SEEDS");
    return text ? strtoull(text, NULL, 10) : getenv("OMNI_SEED") ? 1 : 25;
}

Test(power_cut, what_was_acknowledged_is_there_and_nothing_else)
{
    const char *only = getenv("OMNI_SEED");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + seeds(); seed++) {
        const char *wrong = run(seed);
        cr_assert_null(wrong, "seed %llu: %s", (unsigned long long)seed, wrong);
    }
}

// The test itself is worth something only if it sees a journal that is not synced.
Test(power_cut, a_disk_that_lies_about_syncs_of_the_journal_is_caught)
{
    power_lie("/journal/");
    const char *wrong = NULL;
    for (uint64_t seed = 1; seed <= 100 && !wrong; seed++)
        wrong = run(seed);
    cr_expect(wrong, "records were lost and nobody noticed");
}

Test(power_cut, a_disk_that_lies_about_syncs_of_packed_tasks_is_caught)
{
    power_lie("/packs/");
    const char *wrong = NULL;
    for (uint64_t seed = 1; seed <= 100 && !wrong; seed++)
        wrong = run(seed);
    cr_expect(wrong, "blocks were lost and nobody noticed");
}

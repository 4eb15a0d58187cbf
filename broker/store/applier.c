#include <stdlib.h>
#include <time.h>

#include "applier.h"
#include "metrics.h"
#include "window.h"

enum {
    SEGMENTS_BYTES = 512 * 1024, // so much waits: the journal will need segments
    WINDOW_CHANGES = 50000,      // so many are not kept waiting for more
    YOUNG_MS = 50,        // records are left for a while: their events may get applied
    RETRY_MS = 250,       // after a failure
    WAIT_MS = 10 * 1000,  // longest wait of another thread
    STALL_MS = 60 * 1000, // of a commit, while nothing at all is applied
};

struct applier {
    struct sqlite_store *tables;
    struct journal *journal;
    struct journal_store_conf conf;
    struct window *window;
    struct event_cursors window_cursors; // as they were when it was begun
    pthread_t thread;

    pthread_mutex_t mutex; // for what follows
    pthread_cond_t work;   // for the thread
    pthread_cond_t progress;
    struct record *waiting, *last; // given and not applied
    size_t waiting_bytes, waiting_changes;
    int64_t due_ms; // when the first of them is to be applied
    int64_t given, applied;
    struct om_uuid greatest_id;
    struct event_cursors cursors;
    int64_t wanted; // somebody waits until this record is applied
    int64_t retry_ms;
    enum om_rc failure; // of the last try
    bool broken;        // nothing can be applied any more
    bool stop;
    bool idle;      // the thread waits
    bool extending; // the journal may need more segments

    bool sweeping; // there is something to purge
    bool purging;  // now
    int64_t purge_now_ms, retention_ms;
    int64_t reopening; // this record must be applied before a task is purged
};

static int64_t
mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Wait until `until_ms` on the mono clock at the latest; the mutex is held.
static void
wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms)
{
    struct timespec until = { .tv_sec = until_ms / 1000,
                              .tv_nsec = until_ms % 1000 * 1000000 };
    pthread_cond_timedwait(cond, mutex, &until);
}

// ---- recovering

// Records that were read back and are not applied yet.
struct replay {
    struct window *window;
    struct sqlite_store *tables;
    struct record *records;
    size_t bytes, window_bytes;
    int64_t number;
};

// Which events were applied is not known before the last record is read.
static const struct event_cursors replay_cursors;

static enum om_rc
replay_apply(struct replay *self)
{
    enum om_rc rc = OM_OK;
    if (self->records)
        rc = window_apply(self->window, self->tables, self->number);
    window_reset(self->window, &replay_cursors);
    while (self->records) {
        struct record *record = self->records;
        self->records = record->kept;
        free(record);
    }
    self->bytes = 0;
    if (rc == OM_OK)
        return OM_OK;
    return store_refuse(rc, "the journal cannot be applied to the tables: %s",
                        rc == OM_EPROTO ? "a record of a newer omni-broker, or damaged"
                                        : sqlite3_errmsg(self->tables->writer));
}

static enum om_rc
replay_record(void *context, int64_t number, struct om_str body)
{
    struct replay *self = context;
    size_t memory = journal_record_bytes(sizeof(struct record) + body.size);
    struct record *record = aligned_alloc(JOURNAL_ALIGN, memory);
    if (!record)
        return store_refuse(OM_EDB, "no memory for a record of the journal");
    memcpy(record->bytes, body.data, body.size);
    record->kept = self->records;
    self->records = record;
    self->number = number;
    self->bytes += body.size;
    enum om_rc rc = window_add(self->window, (struct om_str){ record->bytes, body.size });
    if (rc != OM_OK)
        return store_refuse(rc, "record %lld of the journal cannot be read",
                            (long long)number);
    return self->bytes >= self->window_bytes ? replay_apply(self) : OM_OK;
}

enum om_rc
applier_recover(struct sqlite_store *tables, struct journal *journal, size_t window_bytes)
{
    struct replay replay = { .tables = tables,
                             .window = window_create(),
                             .window_bytes = window_bytes };
    if (!replay.window)
        return store_refuse(OM_EDB, "no memory");
    window_reset(replay.window, &replay_cursors);
    int64_t last;
    enum om_rc rc =
        journal_recover(journal, tables->applied, replay_record, &replay, &last);
    if (rc == OM_OK)
        rc = replay_apply(&replay);
    while (replay.records) {
        struct record *record = replay.records;
        replay.records = record->kept;
        free(record);
    }
    window_destroy(&replay.window);

    // Every transaction was synced until now; from here on the journal is enough.
    if (rc == OM_OK && sqlite_sync_each(tables, false) != OM_OK)
        rc = store_refuse(OM_EDB, "%s", sqlite3_errmsg(tables->writer));
    if (rc == OM_OK) {
        tables->synced = tables->applied;
        journal_release(journal, last);
    }
    return rc;
}

// ---- the thread

static bool
is_due(const struct applier *self, int64_t now_ms)
{
    if (!self->waiting || self->broken || now_ms < self->retry_ms)
        return false;
    return self->wanted > self->applied || now_ms >= self->due_ms ||
           self->waiting_changes >= WINDOW_CHANGES ||
           self->waiting_bytes >= self->conf.window_bytes;
}

// Put what waits up to the record `last` into the window, but not what was given after
// `until_ms` behind the first, and only as much as is to be applied together. The records
// stay: the committing thread frees none that is not applied.
static enum om_rc
gather(struct applier *self, const struct record *last, int64_t until_ms,
       const struct record **end)
{
    enum om_rc rc = OM_OK;
    size_t bytes = 0;
    window_reset(self->window, &self->window_cursors);
    for (const struct record *record = self->waiting; rc == OM_OK;
         record = record->waiting) {
        rc = window_add(self->window, (struct om_str){ record->bytes + JOURNAL_HEAD_BYTES,
                                                       record->body_bytes });
        bytes += record->body_bytes;
        *end = record;
        if (record == last || bytes >= self->conf.window_bytes ||
            record->waiting->given_ms > until_ms)
            break;
    }
    return rc;
}

static void
publish(struct applier *self, const struct record *end)
{
    while (self->applied < end->number) {
        self->waiting_bytes -= self->waiting->memory;
        self->waiting_changes -= self->waiting->changes;
        self->applied = self->waiting->number;
        self->waiting = self->waiting->waiting;
    }
    if (!self->waiting)
        self->last = NULL;
    else
        self->due_ms = self->waiting->given_ms + self->conf.window_ms;
    self->greatest_id = self->tables->greatest_id;
}

// The time of the last record that is to be applied now.
static int64_t
ripe_until(const struct applier *self)
{
    int64_t until_ms = mono_ms() - YOUNG_MS;
    bool hurry = self->wanted > self->applied || self->stop ||
                 self->waiting->given_ms > until_ms ||
                 self->waiting_bytes > self->conf.backlog_bytes / 2;
    return hurry ? INT64_MAX : until_ms;
}

// Apply a window. The mutex is held, and not while it writes.
static enum om_rc
apply(struct applier *self)
{
    const struct record *last = self->last, *end = NULL;
    int64_t until_ms = ripe_until(self);
    self->window_cursors = self->cursors;
    pthread_mutex_unlock(&self->mutex);
    enum om_rc rc = gather(self, last, until_ms, &end);
    if (rc == OM_OK)
        rc = window_apply(self->window, self->tables, end->number);
    pthread_mutex_lock(&self->mutex);
    if (rc == OM_OK)
        publish(self, end);
    self->failure = rc;
    self->retry_ms = rc == OM_OK ? 0 : mono_ms() + RETRY_MS;
    self->broken = rc == OM_EINTERNAL || rc == OM_EPROTO;
    pthread_cond_broadcast(&self->progress);
    return rc;
}

// What follows a window: nobody waits for it.
static void
tidy_up(struct applier *self)
{
    pthread_mutex_unlock(&self->mutex);
    journal_mark(self->journal);
    sqlite_write_behind(self->tables);
    sqlite_checkpoint(self->tables,
                      journal_kept_bytes(self->journal) >= self->conf.kept_bytes);
    journal_release(self->journal, self->tables->synced);
    bool made = journal_maintain(self->journal);
    pthread_mutex_lock(&self->mutex);
    self->extending = made;
    self->broken = self->broken || self->tables->broken;
}

static void
make_segment(struct applier *self)
{
    pthread_mutex_unlock(&self->mutex);
    bool made = journal_maintain(self->journal);
    pthread_mutex_lock(&self->mutex);
    self->extending = made;
}

static bool
may_purge(const struct applier *self)
{
    return self->sweeping && !self->broken && self->reopening <= self->applied;
}

static void
purge(struct applier *self)
{
    int64_t now_ms = self->purge_now_ms, retention_ms = self->retention_ms;
    self->purging = true;
    pthread_mutex_unlock(&self->mutex);
    bool more = sqlite_purge(self->tables, now_ms, retention_ms);
    pthread_mutex_lock(&self->mutex);
    self->purging = false;
    self->sweeping = more;
    self->broken = self->broken || self->tables->broken;
    pthread_cond_broadcast(&self->progress);
}

static void
rest(struct applier *self, int64_t now_ms)
{
    self->idle = true;
    pthread_cond_broadcast(&self->progress);
    if (self->waiting && !self->broken)
        wait_until(&self->work, &self->mutex,
                   self->retry_ms > now_ms ? self->retry_ms : self->due_ms);
    else
        pthread_cond_wait(&self->work, &self->mutex);
    self->idle = false;
}

static void *
run(void *context)
{
    struct applier *self = context;
    pthread_setname_np(pthread_self(), "omni-apply");
    pthread_mutex_lock(&self->mutex);
    while (!self->stop) {
        int64_t now_ms = mono_ms();
        if (is_due(self, now_ms)) {
            if (apply(self) == OM_OK)
                tidy_up(self);
        } else if (may_purge(self)) {
            purge(self);
            tidy_up(self);
        } else if (self->extending) {
            make_segment(self);
        } else {
            rest(self, now_ms);
        }
    }
    while (self->waiting && !self->broken && apply(self) == OM_OK) {
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void
on_scrape(void *context, struct om_scrape *scrape)
{
    struct applier *self = context;
    pthread_mutex_lock(&self->mutex);
    int64_t records = self->given - self->applied;
    int64_t lag_ms = self->waiting ? mono_ms() - self->waiting->given_ms : 0;
    pthread_mutex_unlock(&self->mutex);
    om_scrape_put(scrape, M_omni_applier_lag_records, (double)records);
    om_scrape_put(scrape, M_omni_applier_lag_seconds, (double)lag_ms / 1000);
}

struct applier *
applier_start(struct sqlite_store *tables, struct journal *journal,
              const struct journal_store_conf *conf)
{
    struct applier *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->tables = tables;
    self->journal = journal;
    self->conf = *conf;
    self->given = self->applied = tables->applied;
    self->greatest_id = tables->greatest_id;
    self->window = window_create();
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->work, &attr);
    pthread_cond_init(&self->progress, &attr);
    pthread_condattr_destroy(&attr);
    if (!self->window || pthread_create(&self->thread, NULL, run, self) != 0) {
        window_destroy(&self->window);
        free(self);
        return NULL;
    }
    om_metrics_on_scrape(on_scrape, self);
    return self;
}

void
applier_stop(struct applier **self_p)
{
    struct applier *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    om_metrics_forget(self);
    pthread_mutex_lock(&self->mutex);
    self->stop = true;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->work);
    pthread_cond_destroy(&self->progress);
    pthread_mutex_destroy(&self->mutex);
    window_destroy(&self->window);
    free(self);
}

// ---- other threads

static bool
is_full(const struct applier *self)
{
    return self->waiting_bytes > self->conf.backlog_bytes;
}

bool
applier_has_room(struct applier *self)
{
    pthread_mutex_lock(&self->mutex);
    bool room = !is_full(self);
    pthread_mutex_unlock(&self->mutex);
    return room;
}

enum om_rc
applier_make_room(struct applier *self, int64_t *applied, struct om_uuid *greatest_id)
{
    pthread_mutex_lock(&self->mutex);
    if (is_full(self)) {
        int64_t end_ms = mono_ms() + STALL_MS, seen = self->applied;
        self->wanted = self->given;
        pthread_cond_signal(&self->work);
        while (is_full(self) && !self->broken && self->failure == OM_OK &&
               mono_ms() < end_ms) {
            wait_until(&self->progress, &self->mutex, end_ms);
            if (self->applied != seen) { // slow, but it works
                seen = self->applied;
                end_ms = mono_ms() + STALL_MS;
            }
        }
    }
    enum om_rc rc = OM_OK;
    if (self->broken)
        rc = OM_EINTERNAL;
    else if (is_full(self))
        rc = self->failure != OM_OK ? self->failure : OM_EDB;
    *applied = self->applied;
    *greatest_id = self->greatest_id;
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

void
applier_hold_purge(struct applier *self, int64_t number)
{
    pthread_mutex_lock(&self->mutex);
    self->reopening = number;
    while (self->purging)
        wait_until(&self->progress, &self->mutex, mono_ms() + WAIT_MS);
    pthread_mutex_unlock(&self->mutex);
}

void
applier_note_cursor(struct applier *self, const struct change_cursor *cursor)
{
    pthread_mutex_lock(&self->mutex);
    int64_t *seq = &self->cursors.seqs[cursor->subscription][cursor->shard];
    if (*seq < cursor->seq)
        *seq = cursor->seq;
    pthread_mutex_unlock(&self->mutex);
}

void
applier_give(struct applier *self, struct record *record)
{
    record->given_ms = mono_ms();
    pthread_mutex_lock(&self->mutex);
    bool first = !self->waiting;
    if (first)
        self->waiting = record;
    else
        self->last->waiting = record;
    self->last = record;
    if (first)
        self->due_ms = record->given_ms + self->conf.window_ms;
    self->given = record->number;
    bool much = self->waiting_changes >= WINDOW_CHANGES ||
                self->waiting_bytes >= self->conf.window_bytes;
    bool little = self->waiting_bytes < SEGMENTS_BYTES;
    self->waiting_bytes += record->memory;
    self->waiting_changes += record->changes;
    bool enough = self->waiting_changes >= WINDOW_CHANGES ||
                  self->waiting_bytes >= self->conf.window_bytes;
    bool busy = little && self->waiting_bytes >= SEGMENTS_BYTES;
    self->extending = self->extending || busy;
    if (first || busy || (enough && !much))
        pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->mutex);
}

void
applier_purge(struct applier *self, int64_t now_ms, int64_t retention_ms)
{
    pthread_mutex_lock(&self->mutex);
    self->sweeping = true;
    self->purge_now_ms = now_ms;
    self->retention_ms = retention_ms;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->mutex);
}

static void
await(struct applier *self, int64_t number, int64_t end_ms)
{
    while (self->applied < number && !self->broken && self->failure == OM_OK &&
           mono_ms() < end_ms)
        wait_until(&self->progress, &self->mutex, end_ms);
}

// Wait for the record `number`, at first without making anybody hurry; the mutex is held.
static enum om_rc
wait_for(struct applier *self, int64_t number, int64_t patience_ms)
{
    if (patience_ms > 0)
        await(self, number, mono_ms() + patience_ms);
    if (self->applied < number && self->wanted < number) {
        self->wanted = number;
        pthread_cond_signal(&self->work);
    }
    await(self, number, mono_ms() + WAIT_MS);
    if (self->applied >= number)
        return OM_OK;
    return self->failure == OM_ENOSPACE ? OM_ENOSPACE : OM_EDB;
}

enum om_rc
applier_catch_up(struct applier *self, int64_t patience_ms)
{
    pthread_mutex_lock(&self->mutex);
    enum om_rc rc = wait_for(self, self->given, patience_ms);
    pthread_mutex_unlock(&self->mutex);
    return rc == OM_OK ? OM_OK : OM_EDB;
}

enum om_rc
applier_settle(struct applier *self)
{
    pthread_mutex_lock(&self->mutex);
    enum om_rc rc = wait_for(self, self->given, 0);
    int64_t end_ms = mono_ms() + WAIT_MS;
    while (rc == OM_OK && (self->sweeping || !self->idle) && !self->broken &&
           mono_ms() < end_ms)
        wait_until(&self->progress, &self->mutex, end_ms);
    pthread_mutex_unlock(&self->mutex);
    return rc;
}

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "applier.h"
#include "duplicates.h"
#include "journal_codec.h"
#include "journal_store.h"
#include "records.h"
#include "store_stats.h"

enum { EVENTS_PATIENCE_MS = 20 }; // nobody waits for them, but for reads behind them

struct journal_store {
    struct store base;
    struct sqlite_store *tables;
    struct journal *journal;
    struct applier *applier;

    // The committing thread's.
    struct duplicates duplicates;
    struct records records;             // not forgotten yet
    int64_t number;                     // of the last record
    int64_t event_seqs[OM_SHARD_COUNT]; // of the last event
};

const struct journal_store_conf journal_store_default = {
    .io = &journal_io_files,
    .segment_bytes = 4 << 20,
    .window_bytes = 16 << 20,
    .backlog_bytes = 64 << 20,
    .window_ms = 150,
    .log_bytes = 8 << 20,
    .kept_bytes = 48 << 20,
    .pack_least_bytes = 256 * 1024,
    .pack_file_bytes = 64 << 20,
};

// ---- opening

static void
note_shard(void *context, uint8_t shard, int64_t seq)
{
    ((struct journal_store *)context)->event_seqs[shard] = seq;
}

static enum om_rc
open_journal(struct journal_store *self, const struct journal_store_conf *conf)
{
    self->tables->log_pages = (int)(conf->log_bytes / self->tables->page_bytes);
    self->tables->pack_least_bytes = conf->pack_least_bytes;
    self->tables->pack_file_bytes = conf->pack_file_bytes;
    char folder[4200];
    snprintf(folder, sizeof(folder), "%s/journal", self->tables->directory);
    struct journal_conf journal = { .io = conf->io,
                                    .id = self->tables->journal_id,
                                    .segment_bytes = conf->segment_bytes };
    enum om_rc rc = journal_open(folder, &journal, &self->journal);
    if (rc == OM_OK)
        rc = applier_recover(self->tables, self->journal, conf->window_bytes);
    self->number = self->tables->applied;
    return rc;
}

static void
journal_store_close(struct store *store)
{
    struct journal_store *self = (struct journal_store *)store;
    applier_stop(&self->applier);
    records_finish(&self->records);
    known_destroy(&self->duplicates.known);
    journal_close(&self->journal);
    sqlite_close(&self->tables);
    free(self);
}

enum om_rc
journal_store_open(const char *path, const struct journal_store_conf *conf,
                   struct store **out)
{
    struct journal_store *self = calloc(1, sizeof(*self));
    if (!self)
        return store_refuse(OM_EDB, "no memory");
    store_stats_open();
    self->base.driver = &store_journal;
    records_init(&self->records);
    enum om_rc rc = sqlite_open(path, conf->vfs, conf->io, &self->tables);
    if (rc == OM_OK)
        rc = open_journal(self, conf);
    if (rc == OM_OK) {
        struct store_loader shards = { .context = self, .shard = note_shard };
        rc = sqlite_load_shards(self->tables, &shards);
        self->base.epoch = self->tables->epoch;
        self->duplicates = (struct duplicates){
            .known = known_create(self->tables->journal_id),
            .tables = self->tables,
            .greatest_id = self->tables->greatest_id,
            .keyed = sqlite_holds_keys(self->tables),
        };
        self->applier = applier_start(self->tables, self->journal, conf);
        if (rc == OM_OK && (!self->applier || !self->duplicates.known))
            rc = store_refuse(OM_EDB, "no memory or no thread");
    }
    if (rc != OM_OK) {
        journal_store_close(&self->base);
        return rc;
    }
    *out = &self->base;
    return OM_OK;
}

static enum om_rc
open_default(const char *path, struct store **out)
{
    return journal_store_open(path, &journal_store_default, out);
}

// ---- committing

// Forget the records that are in the tables now.
static void
forget(struct journal_store *self, int64_t applied)
{
    known_forget(self->duplicates.known, applied);
    records_forget(&self->records, applied);
}

// Was this task refused as a duplicate, earlier in the batch?
static bool
refused(const struct batch *batch, size_t before, int64_t task_seq)
{
    for (size_t i = 0; i < before; i++) {
        const struct change *change = &batch->changes[i];
        if (change->kind == CHANGE_TASK && change->task.seq == task_seq &&
            (change->duplicate || change->left_out))
            return true;
    }
    return false;
}

static int64_t
task_seq_of(const struct change *change)
{
    switch (change->kind) {
    case CHANGE_MARK:
        return change->mark.task_seq;
    case CHANGE_RESULT:
        return change->result.task_seq;
    case CHANGE_CHUNK:
        return change->chunk.task_seq;
    default:
        return 0;
    }
}

static enum om_rc
put_change(struct journal_store *self, const struct change *change, struct record *record)
{
    // An event in the place of another would never come to its subscriber.
    if (change->kind == CHANGE_EVENT) {
        if (change->event.seq <= self->event_seqs[change->event.shard])
            return OM_EDB;
        self->event_seqs[change->event.shard] = change->event.seq;
    }
    char *body = record->bytes + JOURNAL_HEAD_BYTES;
    char *at = body + record->body_bytes;
    char *end = journal_put_change(at, change);
    record->body_bytes = (size_t)(end - body);
    record->changes++;
    record->cursors += change->kind == CHANGE_CURSOR;
    record->reopens |= change->kind == CHANGE_REOPEN;
    struct om_str bytes = { at, (size_t)(end - at) };
    return duplicates_note(&self->duplicates, change, record->number, bytes) ? OM_OK
                                                                             : OM_EDB;
}

// Encode what of the batch is to be stored.
static enum om_rc
fill(struct journal_store *self, struct batch *batch, struct record *record)
{
    enum om_rc rc = OM_OK;
    bool duplicates = false;
    uint32_t set = 0; // that was checked last
    duplicates_expect(&self->duplicates, batch);
    for (size_t i = 0; i < batch->count && rc == OM_OK; i++) {
        struct change *change = &batch->changes[i];
        bool left_out = change->kind == CHANGE_NONE;
        if (change->kind == CHANGE_TASK) {
            if (!set || change->task.set != set)
                rc = duplicates_check(&self->duplicates, batch, i);
            set = change->task.set;
            left_out = change->duplicate || change->left_out;
            duplicates = duplicates || left_out;
        }
        int64_t task_seq = duplicates ? task_seq_of(change) : 0;
        if (rc == OM_OK && !left_out && !(task_seq && refused(batch, i, task_seq)))
            rc = put_change(self, change, record);
        record->filled = rc == OM_OK ? i + 1 : i;
    }
    sqlite_find_end(self->tables);
    return rc;
}

static struct record *
record_create(struct journal_store *self, const struct batch *batch)
{
    size_t size = 0;
    for (size_t i = 0; i < batch->count; i++)
        size += journal_change_size(&batch->changes[i]);
    return size < UINT32_MAX ? records_create(&self->records, self->number + 1, size)
                             : NULL;
}

// Undo what fill() has noted. Within a shard events rise, so all before the batch are
// below its first.
static void
take_back(struct journal_store *self, const struct batch *batch, struct record *record)
{
    known_take_back(self->duplicates.known, record->number);
    for (size_t i = record->filled; i > 0; i--) {
        const struct change *change = &batch->changes[i - 1];
        if (change->kind == CHANGE_EVENT)
            self->event_seqs[change->event.shard] = change->event.seq - 1;
    }
    records_take_back(&self->records, &record);
}

static void
note_cursors(struct journal_store *self, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_CURSOR)
            applier_note_cursor(self->applier, &batch->changes[i].cursor);
}

static enum om_rc
journal_store_commit(struct store *store, struct batch *batch)
{
    struct journal_store *self = (struct journal_store *)store;
    int64_t applied;
    enum om_rc rc =
        applier_make_room(self->applier, &applied, &self->duplicates.greatest_id);
    if (rc != OM_OK)
        return rc;
    forget(self, applied);
    struct record *record = record_create(self, batch);
    if (!record)
        return OM_EDB;
    rc = fill(self, batch, record);
    if (rc == OM_OK && record->changes == 0) {
        records_take_back(&self->records, &record);
        return OM_OK;
    }
    if (rc == OM_OK && record->reopens)
        applier_hold_purge(self->applier, record->number);
    if (rc == OM_OK)
        rc = journal_append(self->journal, record->number, record->bytes,
                            record->body_bytes);
    if (rc != OM_OK) {
        take_back(self, batch, record);
        return rc;
    }
    self->number = record->number;
    records_keep(&self->records, record);
    if (record->cursors > 0)
        note_cursors(self, batch);
    applier_give(self->applier, record);
    return OM_OK;
}

// ---- the rest of the driver

static enum om_rc
journal_store_load(struct store *store, const struct store_loader *loader)
{
    struct journal_store *self = (struct journal_store *)store;
    enum om_rc rc = applier_settle(self->applier);
    return rc == OM_OK ? sqlite_load(self->tables, loader) : rc;
}

// May the tables answer as they are? A payload never changes, and a run of events goes on
// where the last one ended.
static bool
answer_early(struct journal_store *self, struct read *read)
{
    if (read->kind != READ_PAYLOAD && read->kind != READ_EVENTS)
        return false;
    sqlite_read(self->tables, read);
    if (read->rc == OM_OK && (read->kind == READ_PAYLOAD || read->count > 0))
        return true;
    payload_unref(&read->payload);
    return false;
}

static bool
journal_store_has_room(const struct store *store)
{
    return applier_has_room(((const struct journal_store *)store)->applier);
}

static void
journal_store_read(struct store *store, struct read *read)
{
    struct journal_store *self = (struct journal_store *)store;
    if (answer_early(self, read))
        return;
    int64_t patience_ms = read->kind == READ_EVENTS ? EVENTS_PATIENCE_MS : 0;
    read->rc = applier_catch_up(self->applier, patience_ms);
    if (read->rc == OM_OK)
        sqlite_read(self->tables, read);
}

static void
journal_store_purge(struct store *store, int64_t now_ms, int64_t retention_ms)
{
    applier_purge(((struct journal_store *)store)->applier, now_ms, retention_ms);
}

static enum om_rc
journal_store_settle(struct store *store)
{
    return applier_settle(((struct journal_store *)store)->applier);
}

static double
journal_store_disk_free(const struct store *store)
{
    return sqlite_disk_free(((const struct journal_store *)store)->tables);
}

const struct store_driver store_journal = {
    .scheme = "sqlite:",
    .open = open_default,
    .close = journal_store_close,
    .load = journal_store_load,
    .commit = journal_store_commit,
    .has_room = journal_store_has_room,
    .read = journal_store_read,
    .purge = journal_store_purge,
    .settle = journal_store_settle,
    .disk_free = journal_store_disk_free,
};

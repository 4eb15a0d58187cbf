#include "duplicates.h"
#include "journal_codec.h"

// ---- in the journal

static bool
matches_id(const void *context, struct om_str bytes)
{
    struct journal_change decoded;
    return journal_kind(bytes) == CHANGE_TASK &&
           journal_decode(bytes, &decoded) == OM_OK &&
           om_uuid_eq(&decoded.change.task.id, context);
}

struct wanted_key {
    enum known_by by;
    const struct om_uuid *tenant;
    struct om_str key;
};

static struct om_str
key_of(const struct change_task *task, enum known_by by)
{
    return by == KNOWN_IDEM ? task->idem_key : task->unique_key;
}

static bool
matches_key(const void *context, struct om_str bytes)
{
    const struct wanted_key *wanted = context;
    struct journal_change decoded;
    return journal_kind(bytes) == CHANGE_TASK &&
           journal_decode(bytes, &decoded) == OM_OK &&
           om_uuid_eq(&decoded.change.task.tenant, wanted->tenant) &&
           om_str_eq(key_of(&decoded.change.task, wanted->by), wanted->key);
}

static bool
matches_seq(const void *context, struct om_str bytes)
{
    struct journal_change decoded;
    const int64_t *seq = context;
    if (journal_decode(bytes, &decoded) != OM_OK)
        return false;
    return (decoded.change.kind == CHANGE_RESULT &&
            decoded.change.result.task_seq == *seq) ||
           (decoded.change.kind == CHANGE_REOPEN && decoded.change.reopen_seq == *seq);
}

static struct sqlite_known
known_task(struct om_str bytes)
{
    struct journal_change decoded;
    struct sqlite_known known = { 0 };
    if (journal_decode(bytes, &decoded) != OM_OK)
        return known; // it has just matched
    const struct change_task *task = &decoded.change.task;
    known = (struct sqlite_known){ .seq = task->seq,
                                   .id = task->id,
                                   .tenant = task->tenant,
                                   .until_ms = task->unique_until_ms,
                                   .open = true };
    sqlite_header_hash(task->header, known.hash);
    return known;
}

// ---- both

static enum om_rc
find_id(struct duplicates *self, const struct om_uuid *id, struct sqlite_known *out)
{
    struct om_str bytes =
        known_find(self->known, known_hash_id(self->known, id), matches_id, id);
    if (bytes.data) {
        *out = known_task(bytes);
        return OM_OK;
    }
    if (memcmp(id, &self->greatest_id, sizeof(*id)) > 0)
        return OM_ENOTFOUND;
    return sqlite_find_id(self->tables, id, out);
}

static enum om_rc
find_key(struct duplicates *self, const struct change_task *task, enum known_by by,
         struct sqlite_known *out)
{
    struct wanted_key wanted = { by, &task->tenant, key_of(task, by) };
    uint64_t hash = known_hash_key(self->known, by, &task->tenant, wanted.key);
    struct om_str bytes = known_find(self->known, hash, matches_key, &wanted);
    if (bytes.data) {
        *out = known_task(bytes);
        return OM_OK;
    }
    return sqlite_find_key(self->tables, by, &task->tenant, wanted.key, out);
}

// Does the task that was found still hold the key, at the time of the new one?
static bool
holds_key(const struct duplicates *self, const struct sqlite_known *holder,
          int64_t now_ms)
{
    if (holder->until_ms != 0)
        return holder->until_ms > now_ms;
    struct om_str bytes = known_find(
        self->known, known_hash_seq(self->known, holder->seq), matches_seq, &holder->seq);
    return bytes.data ? journal_kind(bytes) == CHANGE_REOPEN : holder->open;
}

static enum om_rc
check_task(struct duplicates *self, struct change *change)
{
    const struct change_task *task = &change->task;
    struct sqlite_known known;
    enum known_by by = KNOWN_ID;
    enum om_rc rc = find_id(self, &task->id, &known);
    if (rc == OM_ENOTFOUND && task->idem_key.data)
        rc = find_key(self, task, by = KNOWN_IDEM, &known);
    if (rc == OM_ENOTFOUND && task->unique_key.data) {
        rc = find_key(self, task, by = KNOWN_UNIQUE, &known);
        if (rc == OM_OK && !holds_key(self, &known, task->created_ms))
            rc = OM_ENOTFOUND;
    }
    change->duplicate = rc == OM_OK;
    change->left_out = false;
    if (rc != OM_OK)
        return rc == OM_ENOTFOUND ? OM_OK : rc;
    change->known_by = by;
    change->known_id = known.id;
    change->known_seq = known.seq;
    change->known_foreign = !om_uuid_eq(&known.tenant, &task->tenant);
    memcpy(change->known_hash, known.hash, sizeof(change->known_hash));
    return OM_OK;
}

// The next task of the set after `place`, or NULL.
static struct change *
next_of_set(struct batch *batch, size_t *place, uint32_t set)
{
    while (*place < batch->count) {
        struct change *change = &batch->changes[(*place)++];
        if (change->kind == CHANGE_TASK)
            return change->task.set == set ? change : NULL;
    }
    return NULL;
}

// So that the memory of one is fetched while another is checked.
void
duplicates_expect(const struct duplicates *self, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->changes[i].kind == CHANGE_TASK)
            known_expect(self->known,
                         known_hash_id(self->known, &batch->changes[i].task.id));
}

enum om_rc
duplicates_check(struct duplicates *self, struct batch *batch, size_t place)
{
    uint32_t set = batch->changes[place].task.set;
    if (!set)
        return check_task(self, &batch->changes[place]);
    bool known = false;
    struct change *change;
    for (size_t at = place; (change = next_of_set(batch, &at, set));) {
        enum om_rc rc = check_task(self, change);
        if (rc != OM_OK)
            return rc;
        known = known || change->duplicate || change->task.set_known;
    }
    for (size_t at = place; (change = next_of_set(batch, &at, set));)
        change->left_out = known && !change->duplicate;
    return OM_OK;
}

static bool
note_task(struct duplicates *self, const struct change_task *task, int64_t number,
          struct om_str bytes)
{
    struct known *known = self->known;
    bool noted = known_add(known, known_hash_id(known, &task->id), number, bytes);
    for (enum known_by by = KNOWN_IDEM; by <= KNOWN_UNIQUE && noted; by++) {
        struct om_str key = key_of(task, by);
        if (key.data)
            noted = known_add(known, known_hash_key(known, by, &task->tenant, key),
                              number, bytes);
    }
    return noted;
}

bool
duplicates_note(struct duplicates *self, const struct change *change, int64_t number,
                struct om_str bytes)
{
    switch (change->kind) {
    case CHANGE_TASK:
        self->keyed = self->keyed || change->task.unique_key.data;
        return note_task(self, &change->task, number, bytes);
    case CHANGE_RESULT:
        return !self->keyed ||
               known_add(self->known,
                         known_hash_seq(self->known, change->result.task_seq), number,
                         bytes);
    case CHANGE_REOPEN:
        return !self->keyed ||
               known_add(self->known, known_hash_seq(self->known, change->reopen_seq),
                         number, bytes);
    default:
        return true;
    }
}

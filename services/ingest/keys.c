#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "id.h"
#include "keys.h"

enum { CHANGES_MAX = 256 }; // of a page of the feed

static void
forget(struct key_cache *self, struct key_entry *entry)
{
    HASH_DEL(self->entries, entry);
    caller_drop(&entry->caller);
    free(entry);
}

void
keys_finish(struct key_cache *self)
{
    struct key_entry *entry, *next;
    HASH_ITER (hh, self->entries, entry, next)
        forget(self, entry);
}

static bool
has_mark(struct om_str key)
{
    static const struct om_str marks[] = {
#define KEY_MARK_ROW(mark) { mark, sizeof(mark) - 1 },
        KEY_MARK_LIST(KEY_MARK_ROW)
#undef KEY_MARK_ROW
    };
    for (size_t i = 0; i < OM_COUNT(marks); i++)
        if (key.size >= marks[i].size + KEY_TEXT_MIN &&
            memcmp(key.data, marks[i].data, marks[i].size) == 0)
            return true;
    return false;
}

bool
keys_read(struct om_str authorization, uint8_t hash[KEY_HASH])
{
    static const char scheme[] = "Bearer ";
    size_t skip = sizeof(scheme) - 1;
    if (authorization.size < skip || strncasecmp(authorization.data, scheme, skip) != 0)
        return false;
    struct om_str key = { authorization.data + skip, authorization.size - skip };
    while (key.size > 0 && key.data[0] == ' ')
        key.data++, key.size--;
    if (key.size > KEY_TEXT_MAX || !has_mark(key))
        return false;
    om_sha256(key, hash);
    return true;
}

const struct caller *
keys_find(struct key_cache *self, const uint8_t hash[KEY_HASH])
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    if (!entry || entry->stale)
        return NULL;
    entry->used = true;
    return &entry->caller;
}

bool
keys_knew(const struct key_cache *self, const uint8_t hash[KEY_HASH])
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    return entry;
}

void
keys_drop(struct key_cache *self, const uint8_t hash[KEY_HASH])
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    if (entry)
        forget(self, entry);
}

void
keys_put(struct key_cache *self, const uint8_t hash[KEY_HASH],
         const struct caller *caller, int64_t asked_seq)
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    if (entry)
        forget(self, entry);
    if (asked_seq != self->seq)
        return;
    if (HASH_COUNT(self->entries) >= KEYS_MAX)
        forget(self, self->entries);
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return; // asked again at the next request
    memcpy(entry->hash, hash, KEY_HASH);
    entry->caller = caller_hold(caller);
    entry->used = true;
    HASH_ADD(hh, self->entries, hash, KEY_HASH, entry);
}

static int
compare_tenants(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct om_uuid));
}

static void
forget_tenants(struct key_cache *self, struct om_uuid *tenants, size_t count)
{
    struct key_entry *entry, *next;
    if (count == 0)
        return;
    qsort(tenants, count, sizeof(*tenants), compare_tenants);
    HASH_ITER (hh, self->entries, entry, next)
        if (bsearch(&entry->caller.tenant, tenants, count, sizeof(*tenants),
                    compare_tenants))
            entry->stale = true;
}

bool
keys_apply(struct key_cache *self, const struct key_changes_reply *reply)
{
    struct rec_iter iter = rec_iter(reply->data);
    struct om_str bytes;
    struct om_uuid tenants[CHANGES_MAX];
    size_t count = 0;
    while (rec_next_raw(&iter, &bytes)) {
        struct key_change_item change;
        if (rec_decode(&key_change_item_rec, bytes, &change, NULL) != OM_OK)
            continue;
        struct key_entry *entry = NULL;
        HASH_FIND(hh, self->entries, change.hash.data, KEY_HASH, entry);
        if (entry)
            entry->stale = true;
        if (count < CHANGES_MAX &&
            om_typeid_decode(OM_ID_TENANT, change.tenant, &tenants[count]) == OM_OK)
            count++;
        self->seq = change.seq;
    }
    forget_tenants(self, tenants, count);
    return reply->data.data && self->seq < reply->last;
}

size_t
keys_take_used(struct key_cache *self, size_t max, struct om_buf *out)
{
    OM_AUTO(om_buf_finish) struct om_buf ids = { 0 };
    struct key_entry *entry, *next;
    size_t count = 0;
    HASH_ITER (hh, self->entries, entry, next) {
        if (!entry->used || count == max)
            continue;
        entry->used = false;
        om_pack_str(&ids, om_str(entry->caller.key));
        count++;
    }
    om_pack_array(out, count);
    om_buf_put(out, ids.data, ids.size);
    return count;
}

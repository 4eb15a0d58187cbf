#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "id.h"
#include "keys.h"
#include "scope.h"

void
keys_finish(struct key_cache *self)
{
    struct key_entry *entry, *next;
    HASH_ITER (hh, self->entries, entry, next) {
        HASH_DEL(self->entries, entry);
        free(entry);
    }
}

bool
keys_read(struct om_str authorization, uint8_t hash[KEY_HASH])
{
    static const char scheme[] = "Bearer ";
    size_t skip = sizeof(scheme) - 1, mark = sizeof(KEY_MARK) - 1;
    if (authorization.size < skip || strncasecmp(authorization.data, scheme, skip) != 0)
        return false;
    struct om_str key = { authorization.data + skip, authorization.size - skip };
    while (key.size > 0 && key.data[0] == ' ')
        key.data++, key.size--;
    if (key.size < mark + KEY_TEXT_MIN || key.size > KEY_TEXT_MAX ||
        memcmp(key.data, KEY_MARK, mark) != 0)
        return false;
    om_sha256(key, hash);
    return true;
}

const struct caller *
keys_find(const struct key_cache *self, const uint8_t hash[KEY_HASH])
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    return entry ? &entry->caller : NULL;
}

bool
keys_decode(const struct key_resolve_reply *reply, struct caller *out)
{
    *out = (struct caller){ .expires_ms = INT64_MAX };
    if (om_typeid_decode(OM_ID_TENANT, reply->tenant, &out->tenant) != OM_OK ||
        reply->id.size >= sizeof(out->key))
        return false;
    om_typeid_encode(OM_ID_TENANT, &out->tenant, out->tenant_text);
    memcpy(out->key, reply->id.data, reply->id.size);
    if (REC_HAS(reply, key_resolve_reply, expires_ms))
        out->expires_ms = reply->expires_ms;

    // A scope this edge does not know, of a newer identity, is one no route asks for.
    struct rec_iter iter = rec_iter(reply->scopes);
    struct om_str name;
    while (rec_next_str(&iter, &name))
        for (unsigned i = 0; i < SCOPE_COUNT; i++)
            if (om_str_eq(name, om_str(scope_infos[i].name)))
                out->scopes |= UINT64_C(1) << i;
    if (out->scopes & SCOPE_BIT(ALL))
        out->scopes |= SCOPES_OWNER;
    return true;
}

static void
forget(struct key_cache *self, struct key_entry *entry)
{
    HASH_DEL(self->entries, entry);
    free(entry);
}

void
keys_put(struct key_cache *self, const uint8_t hash[KEY_HASH],
         const struct caller *caller)
{
    struct key_entry *entry = NULL;
    HASH_FIND(hh, self->entries, hash, KEY_HASH, entry);
    if (entry)
        forget(self, entry);
    if (HASH_COUNT(self->entries) >= KEYS_MAX)
        forget(self, self->entries);
    entry = calloc(1, sizeof(*entry));
    if (!entry)
        return; // asked again at the next request
    memcpy(entry->hash, hash, KEY_HASH);
    entry->caller = *caller;
    HASH_ADD(hh, self->entries, hash, KEY_HASH, entry);
}

bool
keys_apply(struct key_cache *self, const struct key_changes_reply *reply)
{
    struct rec_iter iter = rec_iter(reply->data);
    struct om_str bytes;
    while (rec_next_raw(&iter, &bytes)) {
        struct key_change_item change;
        if (rec_decode(&key_change_item_rec, bytes, &change, NULL) != OM_OK)
            continue;
        struct key_entry *entry = NULL;
        HASH_FIND(hh, self->entries, change.hash.data, KEY_HASH, entry);
        if (entry)
            forget(self, entry);
        self->seq = change.seq;
    }
    return reply->data.data && self->seq < reply->last;
}

// journal_codec.h - changes as bytes of the journal, and back. Pure.
//
// A change is [kind u8][size u32][fields], little-endian. The fields of each kind are a
// table; a table only grows at its end, so that what an older program wrote is read with
// the missing fields zero. What a newer one wrote is refused.
#pragma once
#include "change.h"

// A decoded change. Its strings and its payload are borrowed from the bytes.
struct journal_change {
    struct change change;
    struct payload payload; // what the change's payload points to, if it has one
};

// How many bytes the change takes; 0 if its kind is not stored.
size_t journal_change_size(const struct change *change);

// Write the change, which journal_change_size() has measured. Returns what follows it.
char *journal_put_change(char *at, const struct change *change);

// Take the next change off the front of `bytes`. False when nothing is left, or when
// what is left is no change; then `bytes` is not empty.
bool journal_next(struct om_str *bytes, struct om_str *change);

static inline enum change_kind
journal_kind(struct om_str change)
{
    return (enum change_kind)change.data[0];
}

// OM_OK, or OM_EPROTO: not a change, or of a newer program.
OM_MUST_CHECK enum om_rc journal_decode(struct om_str change, struct journal_change *out);

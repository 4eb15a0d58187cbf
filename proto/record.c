#include <endian.h>

#include "record.h"
#include "unpack.h"

// Step over one whole value. Depth is bounded by a stack of the items left at each level.
static bool
skip_value(struct om_str *rest)
{
    size_t left[REC_DEPTH_MAX + 1];
    size_t depth = 0;
    left[0] = 1;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return true;
            depth--;
        }
        left[depth]--;
        struct om_token token;
        if (!om_token_next(rest, &token))
            return false;
        if (om_token_is_bytes(&token) || token.type == OM_TOKEN_EXT) {
            om_token_take(rest, token.size);
        } else if (token.type == OM_TOKEN_ARRAY || token.type == OM_TOKEN_MAP) {
            if (++depth > REC_DEPTH_MAX)
                return false;
            left[depth] = token.size * (token.type == OM_TOKEN_MAP ? 2u : 1u);
        }
    }
}

static bool
as_f64(const struct om_token *token, double *value)
{
    *value = token->type == OM_TOKEN_INT ? (double)token->integer : token->number;
    return token->type == OM_TOKEN_INT || token->type == OM_TOKEN_FLOAT;
}

static bool
in_range(const struct rec_field *field, double value)
{
    return value >= field->low && value <= field->high; // false for NaN
}

// Read one value of `field` into its member. `rest` is left after the value.
static enum om_rc
read_member(const struct rec_field *field, struct om_str *rest, void *member)
{
    struct om_str start = *rest;
    struct om_token token;
    if (!om_token_next(rest, &token))
        return OM_EPROTO;

    double number;
    struct om_str bytes;
    switch (field->type) {
    case REC_I64:
        if (token.type != OM_TOKEN_INT || !in_range(field, (double)token.integer))
            return OM_EINVAL;
        memcpy(member, &token.integer, sizeof(token.integer));
        return OM_OK;
    case REC_F64:
        if (!as_f64(&token, &number) || !in_range(field, number))
            return OM_EINVAL;
        memcpy(member, &number, sizeof(number));
        return OM_OK;
    case REC_BOOL:
        if (token.type != OM_TOKEN_BOOL)
            return OM_EINVAL;
        *(bool *)member = token.integer != 0;
        return OM_OK;
    case REC_STR:
    case REC_BIN:
        if (!om_token_is_bytes(&token) || !in_range(field, (double)token.size))
            return OM_EINVAL;
        bytes = om_token_take(rest, token.size);
        memcpy(member, &bytes, sizeof(bytes));
        return OM_OK;
    case REC_NUMS:
    case REC_STRS:
    case REC_RECS:
    case REC_MAP:
        if (token.type != (field->type == REC_MAP ? OM_TOKEN_MAP : OM_TOKEN_ARRAY) ||
            !in_range(field, (double)token.size))
            return OM_EINVAL;
        *rest = start;
        if (!skip_value(rest))
            return OM_EPROTO;
        bytes = (struct om_str){ start.data, start.size - rest->size };
        memcpy(member, &bytes, sizeof(bytes));
        return OM_OK;
    }
    return OM_EINTERNAL;
}

// The first eight bytes of a key as REC_WORD has them: zeros follow a shorter one. `rest`
// is what follows the key.
static uint64_t
key_word(struct om_str key, struct om_str rest)
{
    uint64_t word = 0;
    if (key.size + rest.size < sizeof(word)) {
        memcpy(&word, key.data, key.size);
        return le64toh(word);
    }
    memcpy(&word, key.data, sizeof(word));
    word = le64toh(word);
    if (key.size == 0)
        return 0;
    return key.size < sizeof(word) ? word & (~UINT64_C(0) >> (64 - 8 * key.size)) : word;
}

static size_t
slot_of(uint64_t word)
{
    return word * UINT64_C(0x9e3779b97f4a7c15) >> 57; // one of REC_SLOTS
}

static size_t
next_slot(size_t slot)
{
    return (slot + 1) % REC_SLOTS;
}

// Threads that do so at the same time write the same.
static void
make_index(const struct rec *type)
{
    uint8_t slots[REC_SLOTS] = { 0 };
    for (size_t i = 0; i < type->count; i++) {
        size_t slot = slot_of(type->words[i]);
        while (slots[slot])
            slot = next_slot(slot);
        slots[slot] = (uint8_t)(i + 1);
    }
    for (size_t i = 0; i < REC_SLOTS; i++)
        atomic_store_explicit(&type->index->slots[i], slots[i], memory_order_relaxed);
    atomic_store_explicit(&type->index->made, true, memory_order_release);
}

// Has the field number `i` that key, whose first bytes are `word`?
static bool
has_key(const struct rec *type, size_t i, struct om_str key, uint64_t word)
{
    struct om_str own = type->fields[i].key;
    return type->words[i] == word && own.size == key.size &&
           (key.size <= sizeof(word) || om_str_eq(own, key));
}

// The number of the field with that key; type->count if there is none. Fields often
// arrive in the table's order: `next` is the one behind the field found last.
static size_t
find_field(const struct rec *type, struct om_str key, uint64_t word, size_t next)
{
    if (next < type->count && has_key(type, next, key, word))
        return next;
    for (size_t slot = slot_of(word);; slot = next_slot(slot)) {
        size_t i = atomic_load_explicit(&type->index->slots[slot], memory_order_relaxed);
        if (i == 0)
            return type->count;
        if (has_key(type, i - 1, key, word))
            return i - 1;
    }
}

// Read the pairs of a map of which `count` are left.
static enum om_rc
read_pairs(const struct rec *type, size_t count, struct om_str *rest, void *out,
           const struct rec_field **field)
{
    uint64_t has = 0;
    size_t next = 0;
    if (!atomic_load_explicit(&type->index->made, memory_order_acquire))
        make_index(type);
    for (; count > 0; count--) {
        struct om_token token;
        if (!om_token_next(rest, &token) || !om_token_is_bytes(&token))
            return OM_EPROTO;
        struct om_str key = om_token_take(rest, token.size);
        size_t i = find_field(type, key, key_word(key, *rest), next);
        if (i == type->count) {
            if (!skip_value(rest))
                return OM_EPROTO;
            continue;
        }
        next = i + 1;
        *field = &type->fields[i];
        if (has >> i & 1)
            return OM_EPROTO;
        has |= UINT64_C(1) << i;
        enum om_rc rc = read_member(*field, rest, (char *)out + (*field)->offset);
        if (rc != OM_OK)
            return rc;
        *field = NULL;
    }
    memcpy(out, &has, sizeof(has));
    return OM_OK;
}

static enum om_rc
check_required(const struct rec *type, const void *record, const struct rec_field **field)
{
    uint64_t has;
    memcpy(&has, record, sizeof(has));
    uint64_t missing = type->required & ~has;
    if (!missing)
        return OM_OK;
    *field = &type->fields[__builtin_ctzll(missing)];
    return OM_EINVAL;
}

// Read the record at the start of `rest`, which is left behind it.
static enum om_rc
read_record(const struct rec *type, struct om_str *rest, void *out,
            const struct rec_field **field)
{
    memset(out, 0, type->size);
    struct om_token token;
    if (!om_token_next(rest, &token) || token.type != OM_TOKEN_MAP)
        return OM_EPROTO;
    return read_pairs(type, token.size, rest, out, field);
}

enum om_rc
rec_decode(const struct rec *type, struct om_str bytes, void *out,
           const struct rec_field **field)
{
    const struct rec_field *ignored;
    field = field ? field : &ignored;
    *field = NULL;
    enum om_rc rc = read_record(type, &bytes, out, field);
    if (rc != OM_OK)
        return rc;
    if (bytes.size == 0)
        return check_required(type, out, field);
    memset(out, 0, sizeof(uint64_t)); // nothing is present
    return OM_EPROTO;
}

void
rec_rebase(const struct rec *type, void *record, const char *from, const char *to)
{
    uint64_t has;
    memcpy(&has, record, sizeof(has));
    for (; has; has &= has - 1) {
        const struct rec_field *field = &type->fields[__builtin_ctzll(has)];
        if (field->type < REC_STR)
            continue;
        struct om_str bytes;
        char *member = (char *)record + field->offset;
        memcpy(&bytes, member, sizeof(bytes));
        bytes.data = to + (bytes.data - from);
        memcpy(member, &bytes, sizeof(bytes));
    }
}

// The member of a list or string field.
static struct om_str
member_str(const void *member)
{
    struct om_str bytes;
    memcpy(&bytes, member, sizeof(bytes));
    return bytes;
}

static void
write_member(const struct rec_field *field, const void *member, struct om_buf *buf)
{
    int64_t integer;
    double number;
    struct om_str bytes;
    switch (field->type) {
    case REC_I64:
        memcpy(&integer, member, sizeof(integer));
        om_pack_i64(buf, integer);
        return;
    case REC_F64:
        memcpy(&number, member, sizeof(number));
        om_pack_f64(buf, number);
        return;
    case REC_BOOL:
        om_pack_bool(buf, *(const bool *)member);
        return;
    case REC_STR:
        om_pack_str(buf, member_str(member));
        return;
    case REC_BIN:
        om_pack_bin(buf, member_str(member));
        return;
    default:
        break;
    }
    bytes = member_str(member);
    if (bytes.data)
        om_buf_put(buf, bytes.data, bytes.size);
    else if (field->type == REC_MAP)
        om_pack_map(buf, 0);
    else
        om_pack_array(buf, 0);
}

static void
write_key(const struct rec *type, size_t i, struct om_buf *buf)
{
    struct om_str key = type->fields[i].key;
    uint64_t word = htole64(type->words[i]);
    char *at = om_buf_room(buf, 1 + sizeof(word));
    if (!at || key.size > sizeof(word)) {
        om_pack_str(buf, key);
        return;
    }
    *at = (char)(0xa0 | key.size);
    memcpy(at + 1, &word, sizeof(word)); // of which the key's bytes count
    buf->size += 1 + key.size;
}

void
rec_encode_fields(const struct rec *type, uint64_t mask, const void *in,
                  struct om_buf *buf)
{
    for (; mask; mask &= mask - 1) {
        size_t i = (size_t)__builtin_ctzll(mask);
        const struct rec_field *field = &type->fields[i];
        write_key(type, i, buf);
        write_member(field, (const char *)in + field->offset, buf);
    }
}

void
rec_encode(const struct rec *type, const void *in, struct om_buf *buf)
{
    uint64_t has;
    memcpy(&has, in, sizeof(has));
    om_pack_map(buf, (size_t)__builtin_popcountll(has));
    rec_encode_fields(type, has, in, buf);
}

// The value a field's range speaks of: itself, its size, or its count.
static double
measure(const struct rec_field *field, const void *member)
{
    int64_t integer;
    double number;
    switch (field->type) {
    case REC_I64:
        memcpy(&integer, member, sizeof(integer));
        return (double)integer;
    case REC_F64:
        memcpy(&number, member, sizeof(number));
        return number;
    case REC_BOOL:
        return field->low;
    case REC_STR:
    case REC_BIN:
        return (double)member_str(member).size;
    default:
        return (double)rec_iter(member_str(member)).left;
    }
}

enum om_rc
rec_check(const struct rec *type, const void *in, const struct rec_field **field)
{
    const struct rec_field *ignored;
    field = field ? field : &ignored;
    *field = NULL;
    uint64_t has;
    memcpy(&has, in, sizeof(has));
    for (; has; has &= has - 1) {
        const struct rec_field *one = &type->fields[__builtin_ctzll(has)];
        if (!in_range(one, measure(one, (const char *)in + one->offset))) {
            *field = one;
            return OM_EINVAL;
        }
    }
    return check_required(type, in, field);
}

struct rec_iter
rec_iter(struct om_str list)
{
    struct rec_iter iter = { list, 0 };
    struct om_token token;
    if (list.data && om_token_next(&iter.rest, &token) &&
        (token.type == OM_TOKEN_ARRAY || token.type == OM_TOKEN_MAP))
        iter.left = token.size;
    return iter;
}

bool
rec_next_f64(struct rec_iter *iter, double *value)
{
    struct om_token token;
    struct om_str rest = iter->rest;
    if (iter->left == 0 || !om_token_next(&rest, &token) || !as_f64(&token, value))
        return false;
    iter->rest = rest;
    iter->left--;
    return true;
}

bool
rec_next_str(struct rec_iter *iter, struct om_str *value)
{
    struct om_token token;
    struct om_str rest = iter->rest;
    if (iter->left == 0 || !om_token_next(&rest, &token) || !om_token_is_bytes(&token))
        return false;
    *value = om_token_take(&rest, token.size);
    iter->rest = rest;
    iter->left--;
    return true;
}

bool
rec_next_raw(struct rec_iter *iter, struct om_str *value)
{
    struct om_str rest = iter->rest;
    if (iter->left == 0 || !skip_value(&rest))
        return false;
    *value = (struct om_str){ iter->rest.data, iter->rest.size - rest.size };
    iter->rest = rest;
    iter->left--;
    return true;
}

bool
rec_next_rec(struct rec_iter *iter, const struct rec *type, void *out,
             struct om_str *bytes)
{
    const struct rec_field *field = NULL;
    struct om_str rest = iter->rest;
    if (iter->left == 0 || read_record(type, &rest, out, &field) != OM_OK ||
        check_required(type, out, &field) != OM_OK)
        return false;
    *bytes = (struct om_str){ iter->rest.data, iter->rest.size - rest.size };
    iter->rest = rest;
    iter->left--;
    return true;
}

bool
rec_next_value(struct om_str *rest, struct rec_value *value)
{
    struct om_token token;
    *value = (struct rec_value){ .kind = REC_VALUE_NIL };
    if (!om_token_next(rest, &token))
        return false;
    value->integer = token.integer;
    switch (token.type) {
    case OM_TOKEN_BOOL:
        value->kind = REC_VALUE_BOOL;
        break;
    case OM_TOKEN_INT:
        value->kind = REC_VALUE_I64;
        break;
    case OM_TOKEN_LARGE:
        value->kind = REC_VALUE_F64;
        value->number = (double)(uint64_t)token.integer;
        break;
    case OM_TOKEN_FLOAT:
        value->kind = REC_VALUE_F64;
        value->number = token.number;
        break;
    case OM_TOKEN_STR:
    case OM_TOKEN_BIN:
        value->kind = token.type == OM_TOKEN_STR ? REC_VALUE_STR : REC_VALUE_BIN;
        value->bytes = om_token_take(rest, token.size);
        break;
    case OM_TOKEN_ARRAY:
    case OM_TOKEN_MAP:
        value->kind = token.type == OM_TOKEN_ARRAY ? REC_VALUE_ARRAY : REC_VALUE_MAP;
        value->count = token.size;
        break;
    case OM_TOKEN_EXT:
        om_token_take(rest, token.size);
        break;
    case OM_TOKEN_NIL:
    case OM_TOKEN_NONE:
        break;
    }
    return true;
}

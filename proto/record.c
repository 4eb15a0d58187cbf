#include <mpack.h>

#include "record.h"

// Read the token at the start of `rest` and step over it (not over a string's bytes, nor
// an array's items). A count or size larger than the bytes that remain is refused here,
// before anyone reserves memory for it: each item takes at least a byte.
static bool
next_token(struct om_str *rest, mpack_token_t *token)
{
    mpack_tokbuf_t state = MPACK_TOKBUF_INITIAL_VALUE;
    if (rest->size == 0 ||
        mpack_read(&state, &rest->data, &rest->size, token) != MPACK_OK)
        return false;
    switch (token->type) {
    case MPACK_TOKEN_MAP:
        return token->length <= rest->size / 2;
    case MPACK_TOKEN_ARRAY:
    case MPACK_TOKEN_STR:
    case MPACK_TOKEN_BIN:
    case MPACK_TOKEN_EXT:
        return token->length <= rest->size;
    default:
        return true;
    }
}

static bool
is_bytes(const mpack_token_t *token)
{
    return token->type == MPACK_TOKEN_STR || token->type == MPACK_TOKEN_BIN;
}

static struct om_str
take(struct om_str *rest, size_t size)
{
    struct om_str taken = { rest->data, size };
    rest->data += size;
    rest->size -= size;
    return taken;
}

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
        mpack_token_t token;
        if (!next_token(rest, &token))
            return false;
        if (is_bytes(&token) || token.type == MPACK_TOKEN_EXT) {
            take(rest, token.length);
        } else if (token.type == MPACK_TOKEN_ARRAY || token.type == MPACK_TOKEN_MAP) {
            if (++depth > REC_DEPTH_MAX)
                return false;
            left[depth] = token.length * (token.type == MPACK_TOKEN_MAP ? 2u : 1u);
        }
    }
}

static bool
as_i64(const mpack_token_t *token, int64_t *value)
{
    if (token->type == MPACK_TOKEN_UINT) {
        uint64_t read = mpack_unpack_uint(*token);
        *value = (int64_t)read;
        return read <= INT64_MAX;
    }
    if (token->type == MPACK_TOKEN_SINT) {
        *value = mpack_unpack_sint(*token);
        return true;
    }
    return false;
}

static bool
as_f64(const mpack_token_t *token, double *value)
{
    int64_t integer;
    if (token->type == MPACK_TOKEN_FLOAT) {
        *value = mpack_unpack_float_fast(*token);
        return true;
    }
    if (!as_i64(token, &integer))
        return false;
    *value = (double)integer;
    return true;
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
    mpack_token_t token;
    if (!next_token(rest, &token))
        return OM_EPROTO;

    int64_t integer = 0;
    double number = 0;
    struct om_str bytes;
    switch (field->type) {
    case REC_I64:
        if (!as_i64(&token, &integer) || !in_range(field, (double)integer))
            return OM_EINVAL;
        memcpy(member, &integer, sizeof(integer));
        return OM_OK;
    case REC_F64:
        if (!as_f64(&token, &number) || !in_range(field, number))
            return OM_EINVAL;
        memcpy(member, &number, sizeof(number));
        return OM_OK;
    case REC_BOOL:
        if (token.type != MPACK_TOKEN_BOOLEAN)
            return OM_EINVAL;
        *(bool *)member = mpack_unpack_boolean(token);
        return OM_OK;
    case REC_STR:
    case REC_BIN:
        if (!is_bytes(&token) || !in_range(field, token.length))
            return OM_EINVAL;
        bytes = take(rest, token.length);
        memcpy(member, &bytes, sizeof(bytes));
        return OM_OK;
    case REC_NUMS:
    case REC_STRS:
    case REC_RECS:
    case REC_MAP:
        if (token.type !=
                (field->type == REC_MAP ? MPACK_TOKEN_MAP : MPACK_TOKEN_ARRAY) ||
            !in_range(field, token.length))
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

// Fields arrive in the table's order from our own encoder, so the search starts behind
// the field found last.
static const struct rec_field *
find_field(const struct rec *type, struct om_str key, size_t *hint)
{
    for (size_t n = 0; n < type->count; n++) {
        size_t i = *hint + n < type->count ? *hint + n : *hint + n - type->count;
        if (om_str_eq(type->fields[i].key, key)) {
            *hint = i + 1 < type->count ? i + 1 : 0;
            return &type->fields[i];
        }
    }
    return NULL;
}

static enum om_rc
missing_required(const struct rec *type, uint64_t has, const struct rec_field **field)
{
    for (size_t i = 0; i < type->count; i++)
        if (type->fields[i].presence == REC_REQUIRED && !(has >> i & 1)) {
            *field = &type->fields[i];
            return OM_EINVAL;
        }
    return OM_OK;
}

enum om_rc
rec_decode(const struct rec *type, struct om_str bytes, void *out,
           const struct rec_field **field)
{
    const struct rec_field *ignored;
    field = field ? field : &ignored;
    *field = NULL;
    memset(out, 0, type->size);

    mpack_token_t token;
    if (!next_token(&bytes, &token) || token.type != MPACK_TOKEN_MAP)
        return OM_EPROTO;

    uint64_t has = 0;
    size_t hint = 0;
    for (size_t pairs = token.length; pairs > 0; pairs--) {
        if (!next_token(&bytes, &token) || !is_bytes(&token))
            return OM_EPROTO;
        struct om_str key = take(&bytes, token.length);
        const struct rec_field *known = find_field(type, key, &hint);
        if (!known) {
            if (!skip_value(&bytes))
                return OM_EPROTO;
            continue;
        }
        *field = known;
        uint64_t bit = UINT64_C(1) << (known - type->fields);
        if (has & bit)
            return OM_EPROTO;
        has |= bit;
        enum om_rc rc = read_member(known, &bytes, (char *)out + known->offset);
        if (rc != OM_OK)
            return rc;
        *field = NULL;
    }
    if (bytes.size != 0)
        return OM_EPROTO;
    memcpy(out, &has, sizeof(has));
    return missing_required(type, has, field);
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
        break;
    case REC_F64:
        memcpy(&number, member, sizeof(number));
        om_pack_f64(buf, number);
        break;
    case REC_BOOL:
        om_pack_bool(buf, *(const bool *)member);
        break;
    case REC_STR:
        om_pack_str(buf, member_str(member));
        break;
    case REC_BIN:
        om_pack_bin(buf, member_str(member));
        break;
    case REC_NUMS:
    case REC_STRS:
    case REC_RECS:
        bytes = member_str(member);
        if (bytes.data)
            om_buf_put(buf, bytes.data, bytes.size);
        else
            om_pack_array(buf, 0);
        break;
    case REC_MAP:
        bytes = member_str(member);
        if (bytes.data)
            om_buf_put(buf, bytes.data, bytes.size);
        else
            om_pack_map(buf, 0);
        break;
    }
}

void
rec_encode(const struct rec *type, const void *in, struct om_buf *buf)
{
    uint64_t has;
    memcpy(&has, in, sizeof(has));
    om_pack_map(buf, (size_t)__builtin_popcountll(has));
    for (; has; has &= has - 1) {
        const struct rec_field *field = &type->fields[__builtin_ctzll(has)];
        om_pack_str(buf, field->key);
        write_member(field, (const char *)in + field->offset, buf);
    }
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
    for (size_t i = 0; i < type->count; i++) {
        const struct rec_field *one = &type->fields[i];
        if (has >> i & 1 &&
            !in_range(one, measure(one, (const char *)in + one->offset))) {
            *field = one;
            return OM_EINVAL;
        }
    }
    return missing_required(type, has, field);
}

struct rec_iter
rec_iter(struct om_str list)
{
    struct rec_iter iter = { list, 0 };
    mpack_token_t token;
    if (list.data && next_token(&iter.rest, &token) &&
        (token.type == MPACK_TOKEN_ARRAY || token.type == MPACK_TOKEN_MAP))
        iter.left = token.length;
    return iter;
}

bool
rec_next_f64(struct rec_iter *iter, double *value)
{
    mpack_token_t token;
    struct om_str rest = iter->rest;
    if (iter->left == 0 || !next_token(&rest, &token) || !as_f64(&token, value))
        return false;
    iter->rest = rest;
    iter->left--;
    return true;
}

bool
rec_next_str(struct rec_iter *iter, struct om_str *value)
{
    mpack_token_t token;
    struct om_str rest = iter->rest;
    if (iter->left == 0 || !next_token(&rest, &token) || !is_bytes(&token))
        return false;
    *value = take(&rest, token.length);
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
rec_next_value(struct om_str *rest, struct rec_value *value)
{
    mpack_token_t token;
    *value = (struct rec_value){ .kind = REC_VALUE_NIL };
    if (!next_token(rest, &token))
        return false;
    if (as_i64(&token, &value->integer)) {
        value->kind = REC_VALUE_I64;
    } else if (token.type == MPACK_TOKEN_UINT) { // beyond 2^63
        value->kind = REC_VALUE_F64;
        value->number = (double)mpack_unpack_uint(token);
    } else if (as_f64(&token, &value->number)) {
        value->kind = REC_VALUE_F64;
    } else if (token.type == MPACK_TOKEN_BOOLEAN) {
        value->kind = REC_VALUE_BOOL;
        value->integer = mpack_unpack_boolean(token);
    } else if (token.type == MPACK_TOKEN_STR || token.type == MPACK_TOKEN_BIN) {
        value->kind = token.type == MPACK_TOKEN_STR ? REC_VALUE_STR : REC_VALUE_BIN;
        value->bytes = take(rest, token.length);
    } else if (token.type == MPACK_TOKEN_EXT) {
        take(rest, token.length);
    } else if (token.type == MPACK_TOKEN_ARRAY || token.type == MPACK_TOKEN_MAP) {
        value->kind = token.type == MPACK_TOKEN_ARRAY ? REC_VALUE_ARRAY : REC_VALUE_MAP;
        value->count = token.length;
    }
    return true;
}

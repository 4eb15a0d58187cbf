#include "inner.h"
#include "id.h"

struct limits
limits_row(struct om_rows *rows, int column)
{
    return (struct limits){ om_row_i64(rows, column), om_row_i64(rows, column + 1),
                            om_row_i64(rows, column + 2) };
}

struct om_value
value_id(const struct om_uuid *id)
{
    struct om_value none = DB_NULL, value = DB_UUID(id);
    return om_uuid_is_zero(id) ? none : value;
}

struct om_value
value_end(int64_t at_ms)
{
    struct om_value none = DB_NULL, value = DB_I64(at_ms);
    return at_ms == INT64_MAX ? none : value;
}

int64_t
row_end(struct om_rows *rows, int column)
{
    return om_row_is_null(rows, column) ? INT64_MAX : om_row_i64(rows, column);
}

struct om_str
scope_names(struct om_call *call, uint64_t mask)
{
    if (mask & SCOPE_BIT(ALL))
        mask |= SCOPES_OWNER;
    struct om_buf buf = { 0 };
    scopes_encode(mask, &buf);
    struct om_str names = om_call_copy(call, om_buf_str(&buf));
    om_buf_finish(&buf);
    return names;
}

enum om_rc
read_granted(struct om_call *call, struct om_str granted, uint64_t *mask)
{
    if (scopes_decode(granted, mask, NULL) != OM_OK)
        return om_job_fail(call->job, OM_EINVAL, "granted",
                           "granted: not a list of scopes");
    if (*mask & SCOPE_BIT(ALL))
        *mask |= SCOPES_OWNER;
    return OM_OK;
}

enum om_rc
refuse_more(struct om_call *call, uint64_t mask, uint64_t granted, const char *param,
            const char *doing)
{
    uint64_t missing = mask & ~granted;
    if (!missing)
        return OM_OK;
    return om_job_fail(call->job, OM_EFORBIDDEN, param,
                       "your key cannot %s \"%s\", which it does not have itself", doing,
                       scope_infos[__builtin_ctzll(missing)].name);
}

enum om_rc
read_id(struct om_call *call, const char *prefix, struct om_str text, const char *what,
        struct om_uuid *out)
{
    if (om_typeid_decode(prefix, text, out) == OM_OK)
        return OM_OK;
    return om_job_fail(call->job, OM_ENOTFOUND, "id", "no such %s", what);
}

bool
slug_valid(struct om_str text, size_t max)
{
    if (text.size == 0 || text.size > max || text.data[0] < 'a' || text.data[0] > 'z')
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return text.data[text.size - 1] != '-';
}

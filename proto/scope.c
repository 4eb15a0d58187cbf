#include "scope.h"

const struct scope_info scope_infos[SCOPE_COUNT] = {
#define SCOPE_ROW(number, symbol, name, doc) [number] = { name, doc },
    SCOPE_LIST(SCOPE_ROW)
#undef SCOPE_ROW
};

static int
find(struct om_str name)
{
    for (int number = 0; number < SCOPE_COUNT; number++)
        if (om_str_eq(name, om_str(scope_infos[number].name)))
            return number;
    return -1;
}

enum om_rc
scopes_decode(struct om_str list, uint64_t *mask, struct om_str *unknown)
{
    struct rec_iter iter = rec_iter(list);
    struct om_str name = { 0 };
    *mask = 0;
    int number = 0;
    while (number >= 0 && rec_next_str(&iter, &name)) {
        number = find(name);
        if (number >= 0)
            *mask |= UINT64_C(1) << number;
    }
    if (number >= 0 && iter.left == 0)
        return OM_OK;
    if (unknown)
        *unknown = number < 0 ? name : (struct om_str){ 0 };
    return OM_EINVAL;
}

void
scopes_encode(uint64_t mask, struct om_buf *buf)
{
    om_pack_array(buf, (size_t)__builtin_popcountll(mask));
    for (int number = 0; number < SCOPE_COUNT; number++)
        if (mask >> number & 1)
            om_pack_str(buf, om_str(scope_infos[number].name));
}

#include "rc.h"

static const struct om_rc_info infos[] = {
#define OM_RC_ROW(symbol, code, retry, http, type, text)                                 \
    [symbol] = { #symbol, code, retry, http, type, text },
    OM_RC_LIST(OM_RC_ROW)
#undef OM_RC_ROW
};

const struct om_rc_info *
om_rc_info(enum om_rc rc)
{
    return &infos[(unsigned)rc < OM_RC_COUNT ? rc : OM_EINTERNAL];
}

enum om_rc
om_rc_find(struct om_str code)
{
    for (unsigned rc = 0; rc < OM_RC_COUNT; rc++)
        if (om_str_eq(code, om_str(infos[rc].code)))
            return (enum om_rc)rc;
    return OM_EINTERNAL;
}

#include "quota.h"

const struct quota_info quota_infos[QUOTA_COUNT] = {
#define QUOTA_ROW(symbol, name, meter, window, doc)                                      \
    [QUOTA_##symbol] = { name, meter, QUOTA_WINDOW_##window },
    QUOTA_LIST(QUOTA_ROW)
#undef QUOTA_ROW
};

enum quota
quota_find(struct om_str name)
{
    unsigned at = 0;
    while (at < QUOTA_COUNT && !om_str_eq(name, om_str(quota_infos[at].name)))
        at++;
    return (enum quota)at;
}

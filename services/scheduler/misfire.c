#include "misfire.h"

#define YEAR_MS (INT64_C(366) * 24 * 60 * 60 * 1000)

static const char *const names[MISFIRE_COUNT] = {
#define MISFIRE_ROW(symbol, name, doc) name,
    MISFIRE_LIST(MISFIRE_ROW)
#undef MISFIRE_ROW
};

const char *
misfire_name(enum misfire policy)
{
    return names[policy];
}

enum om_rc
misfire_find(struct om_str name, enum misfire *out)
{
    for (unsigned policy = 0; policy < MISFIRE_COUNT; policy++) {
        if (om_str_eq(name, om_str(names[policy]))) {
            *out = (enum misfire)policy;
            return OM_OK;
        }
    }
    return OM_EINVAL;
}

void
misfire_decide(const struct cron *cron, enum misfire policy, int64_t next_ms,
               int64_t now_ms, struct misfire_plan *out)
{
    size_t max = policy == MISFIRE_LATEST ? 1 : MISFIRE_ALL_MAX;
    int64_t oldest_ms = now_ms - (policy == MISFIRE_SKIP ? MISFIRE_GRACE_MS : YEAR_MS);
    int64_t at_ms = next_ms;
    if (at_ms < oldest_ms)
        at_ms = cron_next(cron, oldest_ms - 1);
    out->count = 0;
    for (; at_ms <= now_ms; at_ms = cron_next(cron, at_ms)) {
        if (out->count == max)
            memmove(out->fire_ms, out->fire_ms + 1, --out->count * sizeof(*out->fire_ms));
        out->fire_ms[out->count++] = at_ms;
    }
    out->next_ms = at_ms;
}

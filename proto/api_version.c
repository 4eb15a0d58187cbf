#include "api_version.h"

#define VERSION_ROW(day) day,
static const char *const versions[] = { API_VERSION_LIST(VERSION_ROW) };
#undef VERSION_ROW

#define VERSION_NAME(day) ", " day
static const char names[] = API_VERSION_LIST(VERSION_NAME);
#undef VERSION_NAME

const char *
api_version_find(struct om_str day)
{
    for (size_t i = 0; i < OM_COUNT(versions); i++)
        if (om_str_eq(day, om_str(versions[i])))
            return versions[i];
    return NULL;
}

const char *
api_version_newest(void)
{
    return versions[OM_COUNT(versions) - 1];
}

const char *
api_version_names(void)
{
    return names + 2;
}

#include "meter.h"

static const struct {
    const char *name, *unit;
} meters[] = {
#define METER_ROW(name, unit, doc) { #name, unit },
    METER_LIST(METER_ROW)
#undef METER_ROW
};

const char *
meter_unit(struct om_str name)
{
    for (size_t i = 0; i < OM_COUNT(meters); i++)
        if (om_str_eq(name, om_str(meters[i].name)))
            return meters[i].unit;
    return "unit";
}

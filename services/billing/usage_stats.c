#include "usage_stats.h"
#include "metric_tenant.h"
#include "wire.h"

// Meters are named by whoever did the work; those beyond the most are "other".
enum { METERS_MAX = 16, METER_NAME_MAX = 32 };

static struct {
    char name[METER_NAME_MAX];
    uint32_t events, units, of_tenants;
} meters[METERS_MAX + 1]; // the last is "other"
static size_t meter_count;

static struct {
    size_t meter;
    struct om_uuid tenant;
    int64_t quantity;
} noted[WIRE_EVENT_RUN_MAX];
static size_t noted_count;
static uint64_t repeats;

static void
open_meter(size_t at, struct om_str name)
{
    memcpy(meters[at].name, name.data, name.size);
    meters[at].events = om_metric_cell(M_omni_usage_events_total, name);
    meters[at].units = om_metric_cell(M_omni_usage_units_total, name);
    meters[at].of_tenants = om_metric_tenants(M_omni_tenant_usage_units_total, name);
}

static size_t
find_meter(struct om_str name)
{
    for (size_t i = 0; i < meter_count; i++)
        if (om_str_eq(om_str(meters[i].name), name))
            return i;
    if (meter_count < METERS_MAX && name.size < METER_NAME_MAX) {
        open_meter(meter_count, name);
        return meter_count++;
    }
    if (!meters[METERS_MAX].events)
        open_meter(METERS_MAX, OM_LIT("other"));
    return METERS_MAX;
}

void
usage_stats_note(const struct om_uuid *tenant, struct om_str meter, int64_t quantity)
{
    if (noted_count == WIRE_EVENT_RUN_MAX)
        return; // a run has no more
    noted[noted_count].meter = find_meter(meter);
    noted[noted_count].tenant = *tenant;
    noted[noted_count++].quantity = quantity;
}

void
usage_stats_repeat(void)
{
    repeats++;
}

void
usage_stats_end(bool applied)
{
    static uint32_t duplicates;
    if (!duplicates)
        duplicates = om_metric_cell(M_omni_usage_duplicates_total);
    for (size_t i = 0; applied && i < noted_count; i++) {
        size_t at = noted[i].meter;
        // What is removed again, as a file, is no use.
        uint64_t units = noted[i].quantity > 0 ? (uint64_t)noted[i].quantity : 0;
        om_metric_add(meters[at].events, 1);
        om_metric_add(meters[at].units, units);
        om_metric_add_of(meters[at].of_tenants, &noted[i].tenant, units);
    }
    if (applied)
        om_metric_add(duplicates, repeats);
    noted_count = repeats = 0;
}

#include <stdlib.h>

#include "metric_tenant.h"
#include "queue_stats.h"
#include "wire.h"

// A number of wire_queue; `per` divides it.
struct number {
    enum om_metric metric;
    size_t offset;
    double per;
};

#define AT(member) offsetof(struct wire_queue, member)

// clang-format off
static const struct number numbers[] = {
    { M_omni_queue_ready_messages,             AT(ready),           1 },
    { M_omni_queue_scheduled_messages,         AT(scheduled),       1 },
    { M_omni_queue_retrying_messages,          AT(retrying),        1 },
    { M_omni_queue_blocked_messages,           AT(blocked),         1 },
    { M_omni_queue_unacked_messages,           AT(running),         1 },
    { M_omni_queue_oldest_message_age_seconds, AT(oldest_ms),       1000 },
    { M_omni_queue_workers,                    AT(workers),         1 },
    { M_omni_queue_credit_messages,            AT(credit),          1 },
    { M_omni_messages_published_total,         AT(submitted),       1 },
    { M_omni_messages_acked_total,             AT(completed),       1 },
    { M_omni_messages_dead_lettered_total,     AT(failed),          1 },
    { M_omni_messages_redelivered_total,       AT(lost),            1 },
    { M_omni_events_behind,                    AT(events_behind),   1 },
    { M_omni_events_stuck_seconds,             AT(events_stuck_ms), 1000 },
    { M_omni_events_dead_total,                AT(events_dead),     1 },
};
// clang-format on

static double
value_of(const struct wire_queue *row, const struct number *number)
{
    int64_t value;
    memcpy(&value, (const char *)row + number->offset, sizeof(value));
    return (double)value / number->per;
}

static void
put_row(struct om_scrape *scrape, const struct wire_queue *row)
{
    bool subscribes = REC_HAS(row, wire_queue, events_behind);
    struct om_str tenant = { row->tenant.size ? row->tenant.data : NULL,
                             row->tenant.size };
    for (size_t i = 0; i < OM_COUNT(numbers); i++)
        if (subscribes || numbers[i].offset < AT(events_behind))
            om_scrape_put(scrape, numbers[i].metric, value_of(row, &numbers[i]),
                          row->queue, tenant);
}

static void
put_others(struct om_scrape *scrape, const double sums[OM_COUNT(numbers)])
{
    for (size_t i = 0; i < OM_COUNT(numbers); i++)
        if (numbers[i].offset < AT(events_behind))
            om_scrape_put(scrape, numbers[i].metric, sums[i], OM_LIT("other"),
                          OM_LIT("other"));
}

// The sum of what the rest have; of an age the greatest.
static void
add_row(double sums[OM_COUNT(numbers)], const struct wire_queue *row)
{
    for (size_t i = 0; i < OM_COUNT(numbers); i++) {
        double value = value_of(row, &numbers[i]);
        bool is_age = numbers[i].per != 1;
        sums[i] = !is_age ? sums[i] + value : value > sums[i] ? value : sums[i];
    }
}

void
queue_stats(struct om_scrape *scrape, struct om_str records)
{
    struct rec_iter iter = rec_iter(records);
    double others[OM_COUNT(numbers)] = { 0 };
    size_t lines = 0;
    for (struct om_str bytes; rec_next_raw(&iter, &bytes);) {
        struct wire_queue row;
        if (rec_decode(&wire_queue_rec, bytes, &row, NULL) != OM_OK)
            continue;
        bool own = row.tenant.size > 0;
        if (own && queue_find(row.queue))
            continue; // counted in the queue's line
        if (own && ++lines > METRIC_TENANTS_MAX)
            add_row(others, &row);
        else
            put_row(scrape, &row);
    }
    if (lines > METRIC_TENANTS_MAX)
        put_others(scrape, others);
}

// metrics.h - counters, gauges and histograms of a process, and the page that shows them.
//
// A series is a metric with values for its labels. It has a cell, a number with which any
// thread counts: each thread has cells of its own, so counting takes no lock and no
// shared cache line, and the page adds up what all threads have. Cell 0 is nobody's: what
// is counted there is dropped, so a series that could not be made does no harm.
//
// Series are made at the start, or when a bounded label has a new value; never for what
// comes from outside. Any thread may call anything here.
#pragma once
#include <stdatomic.h>

#include "metric_list.h"
#include "pack.h"

enum om_metric {
#define METRIC_ENUM(group, name, ...) M_##name,
    METRIC_LIST(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT_
};

enum om_metric_type {
#define METRIC_TYPE_ENUM(symbol, shown) METRIC_##symbol,
    METRIC_TYPE_LIST(METRIC_TYPE_ENUM)
#undef METRIC_TYPE_ENUM
};

enum om_metric_group {
#define METRIC_GROUP_ENUM(symbol, shown) METRICS_##symbol,
    METRIC_GROUP_LIST(METRIC_GROUP_ENUM)
#undef METRIC_GROUP_ENUM
        METRICS_GROUPS
};

#define METRICS_BIT(symbol) (1u << METRICS_##symbol)

enum {
    METRIC_LABELS_MAX = 3,
    METRIC_CELLS_MAX = 16384,
    METRIC_SERIES_MAX = 8192,
    METRIC_VALUE_MAX = 160, // bytes of a label's value; more are cut
    METRIC_EDGES = 19,      // of the buckets of a histogram, without the last
};

struct om_metric_info {
    const char *name, *unit, *labels, *help; // labels: names with commas
    enum om_metric_type type;
    enum om_metric_group group;
};

extern const struct om_metric_info om_metric_table[METRIC_COUNT_];
extern const char *const om_metric_type_names[];
extern const char *const om_metric_group_names[METRICS_GROUPS];

// The upper edges of the buckets in microseconds, with those of the semantic conventions
// and of our objectives (0.5 s and 2 s) among them; and as the page writes them.
extern const int64_t om_metric_edges_us[METRIC_EDGES];
extern const char *const om_metric_edge_names[METRIC_EDGES + 1];

// Once, before the threads start: which groups this process shows (METRICS_BIT), and who
// it is. The series of other groups get cell 0.
void om_metrics_init(const char *service, unsigned groups);

// The cell of a series, made if it is new. One value a label, in the table's order.
//   uint32_t cell = om_metric_cell(M_omni_log_lines_total, OM_LIT("error"));
#define om_metric_cell(metric, ...)                                                      \
    om_metric_make(metric, (const struct om_str[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
uint32_t om_metric_make(enum om_metric metric, const struct om_str *values);

// ---- counting

extern _Thread_local atomic_uint_fast64_t *om_metric_cells;

// Give this thread its cells.
atomic_uint_fast64_t *om_metric_enter(void);

// Only this thread writes its cells, so a load and a store do for an addition.
static inline void
om_metric_add(uint32_t cell, uint64_t count)
{
    atomic_uint_fast64_t *cells = om_metric_cells;
    if (__builtin_expect(!cells, 0))
        cells = om_metric_enter();
    uint64_t value = atomic_load_explicit(&cells[cell], memory_order_relaxed);
    atomic_store_explicit(&cells[cell], value + count, memory_order_relaxed);
}

// Count a time in its bucket. `trace_id`, 16 bytes or NULL, is shown as an example of it.
void om_metric_observe(uint32_t cell, int64_t took_us, const uint8_t *trace_id);

// A METRIC_GAUGE. It is shown from the first time on.
void om_metric_set(uint32_t cell, double value);

// ---- the page

struct om_scrape;

// Say, when a page is written, what is known elsewhere. Hooks are called one at a time by
// the thread that writes the page, and stay for the life of the process.
typedef void om_metric_hook(void *context, struct om_scrape *scrape);
void om_metrics_on_scrape(om_metric_hook *hook, void *context);

// A value of a series that need not exist: it is on this page alone.
#define om_scrape_put(scrape, metric, value, ...)                                        \
    om_scrape_add(scrape, metric, value,                                                 \
                  (const struct om_str[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } })
void om_scrape_add(struct om_scrape *scrape, enum om_metric metric, double value,
                   const struct om_str *values);

// Forget the hooks of a context that goes.
void om_metrics_forget(const void *context);

enum om_metric_format {
    METRIC_TEXT,        // Prometheus 0.0.4
    METRIC_OPENMETRICS, // 1.0, with exemplars
};

// The format of an Accept header, and its media type.
enum om_metric_format om_metrics_accepted(struct om_str accept);
struct om_str om_metrics_media_type(enum om_metric_format format);

// Append the page. `hook` may be NULL; it is called after the others, for this page.
void om_metrics_write(struct om_buf *out, enum om_metric_format format,
                      om_metric_hook *hook, void *context);

#include <stdlib.h>

#include "clock.h"
#include "metric_inner.h"
#include "metric_tenant.h"

const struct om_metric_info om_metric_table[METRIC_COUNT_] = {
#define METRIC_ROW(group, name, type, unit, labels, help)                                \
    [M_##name] = { #name, unit, labels, help, METRIC_##type, METRICS_##group },
    METRIC_LIST(METRIC_ROW)
#undef METRIC_ROW
};

const char *const om_metric_type_names[] = {
#define METRIC_TYPE_NAME(symbol, shown) [METRIC_##symbol] = shown,
    METRIC_TYPE_LIST(METRIC_TYPE_NAME)
#undef METRIC_TYPE_NAME
};

const char *const om_metric_group_names[METRICS_GROUPS] = {
#define METRIC_GROUP_NAME(symbol, shown) [METRICS_##symbol] = shown,
    METRIC_GROUP_LIST(METRIC_GROUP_NAME)
#undef METRIC_GROUP_NAME
};

//  microseconds  as text
#define EDGE_LIST(X)                                                                     \
    X(100, "0.0001")                                                                     \
    X(500, "0.0005")                                                                     \
    X(1000, "0.001")                                                                     \
    X(2500, "0.0025")                                                                    \
    X(5000, "0.005")                                                                     \
    X(10000, "0.01")                                                                     \
    X(25000, "0.025")                                                                    \
    X(50000, "0.05")                                                                     \
    X(75000, "0.075")                                                                    \
    X(100000, "0.1")                                                                     \
    X(250000, "0.25")                                                                    \
    X(500000, "0.5")                                                                     \
    X(750000, "0.75")                                                                    \
    X(1000000, "1.0")                                                                    \
    X(2000000, "2.0")                                                                    \
    X(2500000, "2.5")                                                                    \
    X(5000000, "5.0")                                                                    \
    X(7500000, "7.5")                                                                    \
    X(10000000, "10.0")

const int64_t om_metric_edges_us[METRIC_EDGES] = {
#define EDGE_US(us, text) us,
    EDGE_LIST(EDGE_US)
#undef EDGE_US
};

const char *const om_metric_edge_names[METRIC_EDGES + 1] = {
#define EDGE_NAME(us, text) text,
    EDGE_LIST(EDGE_NAME)
#undef EDGE_NAME
        "+Inf",
};

struct metric_registry metric_registry = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .groups = ~0u,
    .cells = 1,
    .series_count = 1,
};

#define registry metric_registry

// ---- the cells of threads

// Of a thread that ended, a later one goes on with them: what it counted stays counted.
struct block {
    struct block *next;
    bool taken;
    atomic_uint_fast64_t cells[METRIC_CELLS_MAX];
};

static struct block *blocks;
static pthread_key_t thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
_Thread_local atomic_uint_fast64_t *om_metric_cells;

static void
leave(void *context)
{
    struct block *block = context;
    om_metric_cells = NULL;
    pthread_mutex_lock(&registry.lock);
    block->taken = false;
    pthread_mutex_unlock(&registry.lock);
}

static void
make_key(void)
{
    if (pthread_key_create(&thread_end, leave) != 0)
        abort(); // at the start: no program has as many keys
}

atomic_uint_fast64_t *
om_metric_enter(void)
{
    static atomic_uint_fast64_t nobodys[METRIC_CELLS_MAX]; // when there is no memory
    pthread_once(&once, make_key);
    pthread_mutex_lock(&registry.lock);
    struct block *block = blocks;
    while (block && block->taken)
        block = block->next;
    if (!block && (block = calloc(1, sizeof(*block)))) {
        block->next = blocks;
        blocks = block;
    }
    if (block)
        block->taken = true;
    pthread_mutex_unlock(&registry.lock);
    if (!block || pthread_setspecific(thread_end, block) != 0)
        return nobodys;
    return om_metric_cells = block->cells;
}

uint64_t
metric_sum(uint32_t cell)
{
    uint64_t sum = 0;
    for (struct block *block = blocks; block; block = block->next)
        sum += atomic_load_explicit(&block->cells[cell], memory_order_relaxed);
    return sum;
}

// ---- series

static size_t
put_value(char *out, size_t room, struct om_str value)
{
    size_t size = 0;
    value.size = value.size < METRIC_VALUE_MAX ? value.size : METRIC_VALUE_MAX;
    for (size_t i = 0; i < value.size && size + 2 < room; i++) {
        char c = value.data[i];
        if (c == '"' || c == '\\' || c == '\n')
            out[size++] = '\\';
        out[size++] = c == '\n' ? 'n' : c;
    }
    return size;
}

size_t
metric_labels(enum om_metric metric, const struct om_str *values,
              char out[METRIC_LABELS_TEXT_MAX])
{
    size_t size = 0;
    const char *names = om_metric_table[metric].labels;
    for (size_t i = 0; *names; i++) {
        size_t name = strcspn(names, ",");
        bool absent = !values[i].data;
        if (!absent) {
            if (size)
                out[size++] = ',';
            memcpy(out + size, names, name);
            memcpy(out + size + name, "=\"", 2);
            size += name + 2;
            size += put_value(out + size, METRIC_LABELS_TEXT_MAX - size - 2, values[i]);
            out[size++] = '"';
        }
        names += name + (names[name] == ',');
    }
    out[size] = '\0';
    return size;
}

static uint32_t
find(enum om_metric metric, const char *labels)
{
    uint32_t at = registry.first[metric];
    while (at && strcmp(registry.series[at].labels, labels) != 0)
        at = registry.series[at].next;
    return at;
}

static uint32_t
add(enum om_metric metric, const char *labels, uint32_t cells, bool tenants)
{
    uint64_t *bases = tenants ? calloc(cells, sizeof(*bases)) : NULL;
    char *copy = strdup(labels);
    if (registry.series_count == METRIC_SERIES_MAX ||
        registry.cells + cells > METRIC_CELLS_MAX || !copy || (tenants && !bases)) {
        free(copy);
        free(bases);
        return 0;
    }
    uint32_t at = registry.series_count++;
    registry.series[at] = (struct metric_series){
        .metric = metric,
        .cell = registry.cells,
        .tenants = tenants,
        .bases = bases,
        .labels = copy,
    };
    registry.cells += cells;
    if (registry.last[metric])
        registry.series[registry.last[metric]].next = at;
    else
        registry.first[metric] = at;
    registry.last[metric] = at;
    return at;
}

static uint32_t
make(enum om_metric metric, const struct om_str *values, bool tenants)
{
    char labels[METRIC_LABELS_TEXT_MAX];
    const struct om_metric_info *info = &om_metric_table[metric];
    if (!(registry.groups >> info->group & 1))
        return 0;
    metric_labels(metric, values, labels);
    uint32_t cells = tenants                      ? METRIC_RANKS
                     : info->type == METRIC_TIMES ? METRIC_CELLS_OF_TIMES
                                                  : 1;
    pthread_mutex_lock(&registry.lock);
    uint32_t at = find(metric, labels);
    if (!at)
        at = add(metric, labels, cells, tenants);
    uint32_t cell = at ? registry.series[at].cell : 0;
    pthread_mutex_unlock(&registry.lock);
    return cell;
}

uint32_t
om_metric_make(enum om_metric metric, const struct om_str *values)
{
    return make(metric, values, false);
}

uint32_t
om_metric_make_tenants(enum om_metric metric, const struct om_str *values)
{
    return make(metric, values, true);
}

// ---- counting

static void
keep_exemplar(uint32_t cell, int64_t took_us, const uint8_t *trace_id)
{
    struct metric_exemplar *exemplar = &registry.exemplars[cell];
    if (atomic_flag_test_and_set_explicit(&exemplar->busy, memory_order_acquire))
        return; // another thread writes one, or the page reads it
    memcpy(exemplar->trace_id, trace_id, sizeof(exemplar->trace_id));
    exemplar->took_us = took_us;
    exemplar->wall_ms = om_clock_wall_ms();
    atomic_flag_clear_explicit(&exemplar->busy, memory_order_release);
}

void
om_metric_observe(uint32_t cell, int64_t took_us, const uint8_t *trace_id)
{
    uint32_t bucket = 0;
    if (cell == 0)
        return;
    took_us = took_us < 0 ? 0 : took_us;
    while (bucket < METRIC_EDGES && took_us > om_metric_edges_us[bucket])
        bucket++;
    om_metric_add(cell + bucket, 1);
    om_metric_add(cell + METRIC_EDGES + 1, (uint64_t)took_us);
    if (trace_id)
        keep_exemplar(cell + bucket, took_us, trace_id);
}

void
om_metric_set(uint32_t cell, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    // Set is not zero bits: -0.0 stands for a 0 that was set.
    atomic_store_explicit(&registry.set[cell], bits ? bits : UINT64_C(1) << 63,
                          memory_order_relaxed);
}

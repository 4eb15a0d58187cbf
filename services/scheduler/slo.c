#include "slo.h"
#include "exposition.h"

const struct slo_info *
slo_info(enum slo slo)
{
    static const struct slo_info infos[] = {
#define SLO_INFO(symbol, name, target, doc) { name, target, doc },
        SLO_LIST(SLO_INFO)
#undef SLO_INFO
    };
    return &infos[slo];
}

static int64_t
whole(double value)
{
    return value >= 0 && value < 9e15 ? (int64_t)(value + 0.5) : 0;
}

static bool
is_prediction(const struct exposition_sample *sample)
{
    struct om_str route = exposition_label(sample, "route");
    return route.size && memmem(route.data, route.size, "/predict", 8);
}

// Buckets hold what took at most `le`.
static void
read_latency(const struct exposition_sample *sample, struct slo_counts *out)
{
    struct om_str le = exposition_label(sample, "le");
    enum slo slo = is_prediction(sample) ? SLO_COMPUTE : SLO_CACHED;
    struct slo_count *count = &out->of[slo];
    if (om_str_eq(le, slo == SLO_COMPUTE ? OM_LIT("2") : OM_LIT("0.5")))
        count->good += whole(sample->value);
    else if (om_str_eq(le, OM_LIT("+Inf")))
        count->total += whole(sample->value);
}

struct slo_counts
slo_read(struct om_str page)
{
    struct slo_counts counts = { 0 };
    for (struct exposition_sample sample; exposition_next(&page, &sample);) {
        if (om_str_eq(sample.name, OM_LIT("omni_http_requests_total"))) {
            struct om_str code = exposition_label(&sample, "code");
            int64_t answered = whole(sample.value);
            counts.of[SLO_ERRORS].total += answered;
            counts.of[SLO_ERRORS].good += code.size && *code.data == '5' ? 0 : answered;
        } else if (om_str_eq(sample.name,
                             OM_LIT("omni_http_request_duration_seconds_bucket"))) {
            read_latency(&sample, &counts);
        }
    }
    return counts;
}

struct slo_counts
slo_since(const struct slo_counts *before, const struct slo_counts *now)
{
    struct slo_counts since = *now;
    for (int i = 0; i < SLO_COUNT; i++) {
        struct slo_count old = before->of[i], *count = &since.of[i];
        if (count->total < old.total || count->good < old.good)
            continue; // it was restarted: all of it is new
        count->total -= old.total;
        count->good -= old.good;
        // The page is not of one moment.
        if (count->good > count->total)
            count->good = count->total;
    }
    return since;
}

void
slo_add(struct slo_counts *sum, const struct slo_counts *counts)
{
    for (int i = 0; i < SLO_COUNT; i++) {
        sum->of[i].good += counts->of[i].good;
        sum->of[i].total += counts->of[i].total;
    }
}

double
slo_good(struct slo_count count)
{
    return count.total ? (double)count.good / (double)count.total : 1;
}

double
slo_burn(enum slo slo, struct slo_count count)
{
    return (1 - slo_good(count)) / (1 - slo_info(slo)->target);
}

// fuzz_cron.c - any text as a cron expression: what is taken has a next time, and
// another.
#include <stdlib.h>

#include "cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cron cron;
    char why[256];
    int64_t at_ms = 0;
    if (size < sizeof(uint32_t))
        return 0;
    uint32_t days;
    memcpy(&days, data, sizeof(days));
    at_ms = (int64_t)(days % 100000) * 24 * 60 * 60 * 1000;
    struct om_str text = { (const char *)data + sizeof(days), size - sizeof(days) };
    if (cron_parse(text, &cron, why, sizeof(why)))
        return 0;
    for (int i = 0; i < 4; i++) {
        int64_t next_ms = cron_next(&cron, at_ms);
        if (next_ms <= at_ms || next_ms % 60000 != 0)
            abort();
        at_ms = next_ms;
    }
    return 0;
}

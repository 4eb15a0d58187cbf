// CSV files as users upload them. How the bytes are cut must make no difference.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "csv_table.h"

struct result {
    enum om_rc rc;
    double *values;
    size_t count;
    struct om_csv *csv;
};

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static struct result
read_csv(struct om_str bytes, size_t piece)
{
    struct result result = { .csv = om_csv_create(OM_LIT("y")) };
    require(result.csv);
    for (size_t at = 0; at < bytes.size && result.rc == OM_OK; at += piece) {
        size_t left = bytes.size - at;
        struct om_str part = { bytes.data + at, left < piece ? left : piece };
        result.rc = om_csv_feed(result.csv, part);
    }
    if (result.rc == OM_OK)
        result.rc = om_csv_finish(result.csv, 1, &result.values, &result.count);
    require((result.rc == OM_OK) == (*om_csv_why(result.csv) == '\0'));
    require((result.rc == OM_OK) == (result.values != NULL));
    return result;
}

static void
finish(struct result *result)
{
    free(result->values);
    om_csv_destroy(&result->csv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The first byte is the size of the pieces.
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct om_str bytes = { (const char *)data + 1, size - 1 };
    struct result whole = read_csv(bytes, SIZE_MAX / 2),
                  cut = read_csv(bytes, data[0] % 16 + 1u);
    require(whole.rc == cut.rc && whole.count == cut.count);
    require(strcmp(om_csv_why(whole.csv), om_csv_why(cut.csv)) == 0);
    for (size_t i = 0; i < whole.count; i++)
        require(isfinite(whole.values[i]) && whole.values[i] == cut.values[i]);
    finish(&whole);
    finish(&cut);
    return 0;
}

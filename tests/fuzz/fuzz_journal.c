// Records of the journal as a damaged disk may give them back: what is taken for a change
// is written again as the same bytes, or as more that mean the same.
#include <stdint.h>
#include <stdlib.h>

#include "journal_codec.h"

static void
require(bool condition)
{
    if (!condition)
        abort();
}

static void
try_change(struct om_str bytes)
{
    struct journal_change decoded;
    if (journal_decode(bytes, &decoded) != OM_OK)
        return;
    size_t size = journal_change_size(&decoded.change);
    require(size >= bytes.size); // fields an older program did not know are written
    char *again = malloc(size);
    require(again && journal_put_change(again, &decoded.change) == again + size);

    struct journal_change second;
    require(journal_decode((struct om_str){ again, size }, &second) == OM_OK);
    require(journal_change_size(&second.change) == size);
    char *third = malloc(size);
    require(third && journal_put_change(third, &second.change) == third + size);
    require(memcmp(again, third, size) == 0);
    require(size > bytes.size || memcmp(again, bytes.data, size) == 0);
    free(again);
    free(third);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct om_str bytes = { (const char *)data, size }, change;
    while (journal_next(&bytes, &change))
        try_change(change);
    return 0;
}

// fuzz_target.c - any request target: path, query and their escapes. No part may be
// outside of what was decoded, or hold a byte that escapes were to hide.
#include <stdlib.h>

#include "http_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct om_str part, const char *decoded, size_t size)
{
    if (part.size > size || (part.size > 0 && (part.data < decoded ||
                                               part.data + part.size > decoded + size)))
        abort();
    for (size_t i = 0; i < part.size; i++)
        if ((unsigned char)part.data[i] < 0x20 || part.data[i] == 0x7f)
            abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct om_http_tables tables;
    struct om_http_request request = { .method = size % 2 ? OM_HTTP_GET : OM_HTTP_OPTIONS,
                                       .segments = tables.segments,
                                       .query = tables.query,
                                       .fields = tables.fields };
    char *text = malloc(size ? size : 1), *decoded = malloc(size ? size : 1);
    memcpy(text, data, size);
    if (!om_http_target_parse((struct om_str){ text, size }, decoded, &request)) {
        struct om_str params[4];
        for (size_t i = 0; i < request.segment_count; i++)
            check(request.segments[i], decoded, size);
        for (size_t i = 0; i < request.query_count; i++) {
            check(request.query[i].name, decoded, size);
            check(request.query[i].value, decoded, size);
        }
        om_http_match(&request, "/a/{id}", params, 4);
        om_http_query(&request, "after");
    }
    free(decoded);
    free(text);
    return 0;
}

// fuzz_multipart.c - any form, cut in two ways: both must give the same events.
#include <stdlib.h>

#include "multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A hash over the events, and over the bytes of the parts whatever pieces they come in.
static uint64_t
read_form(struct om_str form, size_t step)
{
    struct om_multipart parser;
    uint64_t hash = 0;
    if (!om_multipart_init(&parser, OM_LIT("multipart/form-data; boundary=XY")))
        abort();
    for (size_t at = 0; at < form.size; at += step) {
        struct om_str input = { form.data + at,
                                form.size - at < step ? form.size - at : step };
        struct om_str bytes;
        enum om_multipart_event event;
        while ((event = om_multipart_take(&parser, &input, &bytes)) !=
               OM_MULTIPART_MORE) {
            if (event == OM_MULTIPART_BAD)
                return hash + 1;
            if (event == OM_MULTIPART_PART)
                bytes = parser.name;
            if (event == OM_MULTIPART_PART || event == OM_MULTIPART_DATA)
                for (size_t i = 0; i < bytes.size; i++)
                    hash = hash * 31 + (unsigned char)bytes.data[i];
            else
                hash = hash * 37 + (unsigned)event;
        }
    }
    return hash;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct om_str form = { (const char *)data + 1, size - 1 };
    if (read_form(form, data[0] + 1u) != read_form(form, 1))
        abort();
    return 0;
}

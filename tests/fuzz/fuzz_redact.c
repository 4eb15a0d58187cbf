// Whatever stands around a key of ours, the key does not stay.
#include <stdlib.h>

#include "redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY_TEXT "omni_live_4mfTnQ0zv7Yk2Lx9"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned (*const all[])(struct om_str, size_t,
                            struct om_buf *) = { redact_text, redact_form, redact_path,
                                                 redact_body };
    struct om_buf text = { 0 }, out = { 0 };
    if (size < 4)
        return 0;
    size_t max = data[1] * 16u, rest = size - 4;
    size_t place = (data[2] | (size_t)data[3] << 8) % (rest + 1);
    om_buf_put(&text, data + 4, place);
    om_buf_put(&text, KEY_TEXT, strlen(KEY_TEXT));
    om_buf_put(&text, data + 4 + place, rest - place);
    if (data[0] % 5 == 4)
        redact_field(OM_LIT("x-any"), om_buf_str(&text), max, &out);
    else
        all[data[0] % 5](om_buf_str(&text), max, &out);
    if (out.size > max || (out.size && memmem(out.data, out.size, KEY_TEXT, 26)))
        abort();
    om_buf_finish(&text);
    om_buf_finish(&out);
    return 0;
}

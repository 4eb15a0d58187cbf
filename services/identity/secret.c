#include <ctype.h>

#include "secret.h"

void
secret_format(const uint8_t entropy[SECRET_ENTROPY], bool test, char out[SECRET_SIZE + 1])
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    size_t size = sizeof(SECRET_MARK) - 1;
    memcpy(out, test ? SECRET_MARK_TEST : SECRET_MARK, size);
    // Five bytes are eight digits.
    for (size_t i = 0; i < SECRET_ENTROPY; i += 5) {
        uint64_t bits = 0;
        for (size_t byte = 0; byte < 5; byte++)
            bits = bits << 8 | entropy[i + byte];
        for (int shift = 35; shift >= 0; shift -= 5)
            out[size++] = digits[bits >> shift & 31];
    }
    out[size] = '\0';
}

bool
secret_valid(struct om_str text)
{
    size_t mark = sizeof(SECRET_MARK) - 1;
    if (text.size < SECRET_SIZE || text.size > SECRET_SIZE_MAX ||
        memcmp(text.data, SECRET_MARK, mark) != 0)
        return false;
    for (size_t i = mark; i < text.size; i++)
        if (!isalnum((unsigned char)text.data[i]))
            return false;
    return true;
}

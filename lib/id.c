#include <openssl/sha.h>
#include <stdlib.h>
#include <sys/random.h>

#include "clock.h"
#include "id.h"

void
om_random(void *out, size_t size)
{
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0)
            abort(); // a kernel without getrandom cannot run this program
        at += got;
        size -= (size_t)got;
    }
}

const uint8_t *
om_random_id(size_t size)
{
    static _Thread_local uint8_t pool[512];
    static _Thread_local size_t used = sizeof(pool);
    if (sizeof(pool) - used < size) {
        om_random(pool, sizeof(pool));
        used = 0;
    }
    used += size;
    return pool + used - size;
}

struct om_uuid
om_id_new(uint8_t shard)
{
    return om_uuid_make(om_clock_wall_ms(), om_random_id(10), shard);
}

void
om_id_text(const char *prefix, uint8_t shard, char out[OM_TYPEID_MAX])
{
    struct om_uuid id = om_id_new(shard);
    om_typeid_encode(prefix, &id, out);
}

void
om_sha256(struct om_str bytes, uint8_t out[32])
{
    SHA256((const unsigned char *)bytes.data, bytes.size, out);
}

void
om_hex(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

// id.h - new ids and random bytes. Any thread.
#pragma once
#include "uuid.h"

// Bytes no one can guess, from the kernel.
void om_random(void *out, size_t size);

// Up to 64 such bytes for an id that is no secret, borrowed until the thread's next call:
// one system call serves many.
const uint8_t *om_random_id(size_t size);

// A new UUIDv7 that lies in `shard`: om_uuid_shard() of the tenant it is made for.
struct om_uuid om_id_new(uint8_t shard);

// A new id as TypeID text, e.g. om_id_text(OM_ID_TASK, shard, text).
void om_id_text(const char *prefix, uint8_t shard, char out[OM_TYPEID_MAX]);

// SHA-256 of `bytes`; and as 64 lower-case hexadecimal digits with a final zero.
void om_sha256(struct om_str bytes, uint8_t out[32]);
void om_hex(const uint8_t *bytes, size_t size, char *out);

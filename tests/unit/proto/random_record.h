// random_record.h - fills the struct of any record type with random values in range.
#pragma once
#include "ops.h"

struct random_record {
    uint64_t state;     // seed, not 0
    struct om_buf text; // what strings and lists point into; never grows
};

// Bytes of all strings and lists of one record.
enum { RANDOM_RECORD_BYTES = 1024 * 1024 };

void random_record_init(struct random_record *self, uint64_t seed);
void random_record_finish(struct random_record *self);

// 64 random bits.
uint64_t random_record_bits(struct random_record *self);

// Fill the struct at `out`: required fields and those of the mask `needed` always, others
// half the time. What was filled before is no longer valid.
void random_record_fill(struct random_record *self, const struct rec *type,
                        uint64_t needed, void *out);

// Every record type there is, the header of messages included.
extern const struct rec *const random_record_types[];
extern const size_t random_record_type_count;

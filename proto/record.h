// record.h - one codec for every map of named values: the wire's header, and the request
// and reply of each operation.
//
// A record type is a table of fields made from an X-macro list; its struct begins with a
// bit mask of the fields that are present. Decoding borrows: strings and lists point into
// the bytes they were read from. It is a trust boundary: counts, sizes and depth are
// checked against the bytes that remain, and nothing is allocated.
//
// A field list has one row a field:
//
//   #define ID_REQUEST(F, M)  F(M, STR, id, REQUIRED, 1, 48, NULL, "id of the object")
//
//   column     meaning
//   type       one of REC_TYPE_LIST
//   name       member of the struct and key in the map
//   presence   REQUIRED, OPTIONAL, or INTERNAL: optional, and not for HTTP
//   low, high  range of a number; of the size in bytes of STR, BIN; of a list's count
//   item       for RECS the record type of its items, else NULL
//   doc        what it means, for the references and the OpenAPI document
#pragma once
#include <stdatomic.h>

#include "pack.h"
#include "rc.h"

// clang-format off
//  type  C type           what it is in msgpack
#define REC_TYPE_LIST(X)                                                                  \
    X(I64,  int64_t,       "integer")                                                     \
    X(F64,  double,        "number")                                                      \
    X(BOOL, bool,          "boolean")                                                     \
    X(STR,  struct om_str, "string")                                                      \
    X(BIN,  struct om_str, "binary")                                                      \
    X(NUMS, struct om_str, "array of numbers")                                            \
    X(STRS, struct om_str, "array of strings")                                            \
    X(RECS, struct om_str, "array of maps")                                               \
    X(MAP,  struct om_str, "map")
// clang-format on

enum rec_field_type {
#define REC_TYPE_ENUM(name, ctype, text) REC_##name,
    REC_TYPE_LIST(REC_TYPE_ENUM)
#undef REC_TYPE_ENUM
};

#define REC_TYPE_DEF(name, ctype, text) typedef ctype rec_##name##_t;
REC_TYPE_LIST(REC_TYPE_DEF)
#undef REC_TYPE_DEF

enum rec_presence { REC_REQUIRED, REC_OPTIONAL, REC_INTERNAL };

enum {
    REC_FIELDS_MAX = 64, // bits of the mask
    REC_DEPTH_MAX = 16,  // of nested arrays and maps
};

struct rec;

struct rec_field {
    const char *name;  // member of the struct
    struct om_str key; // key in the map; a zero follows
    enum rec_field_type type;
    enum rec_presence presence;
    double low, high;
    const struct rec *item;
    const char *doc;
    size_t offset;
};

enum { REC_SLOTS = 2 * REC_FIELDS_MAX };

// Where the fields stand, by a hash of their keys: made when the first record of the type
// is read, by whichever thread does so.
struct rec_index {
    atomic_bool made;
    _Atomic uint8_t slots[REC_SLOTS]; // number of a field from 1; 0: none
};

struct rec {
    const char *name;
    const struct rec_field *fields;
    const uint64_t *words; // of each field's key
    struct rec_index *index;
    uint64_t required; // mask
    size_t count;
    size_t size; // of the struct
};

// The first eight bytes of a key, the first one lowest, by which a field is found.
#define REC_BYTE(key, i)                                                                 \
    ((uint64_t)(uint8_t)(sizeof(key) > (i) + 1 ? (key)[(i) < sizeof(key) ? (i) : 0] : 0) \
     << (8 * (i)))
#define REC_WORD(key)                                                                    \
    (REC_BYTE(key, 0) | REC_BYTE(key, 1) | REC_BYTE(key, 2) | REC_BYTE(key, 3) |         \
     REC_BYTE(key, 4) | REC_BYTE(key, 5) | REC_BYTE(key, 6) | REC_BYTE(key, 7))

// clang-format off
// struct NAME and enum of its fields' numbers, from a field list.
#define REC_MEMBER(M, type, name, presence, low, high, item, doc) rec_##type##_t name;
#define REC_NUMBER(M, type, name, presence, low, high, item, doc) M##_F_##name,
#define REC_DECLARE(NAME, FIELDS)                                                         \
    struct NAME {                                                                         \
        uint64_t has;                                                                     \
        FIELDS(REC_MEMBER, NAME)                                                          \
    };                                                                                    \
    enum { FIELDS(REC_NUMBER, NAME) NAME##_F_COUNT };                                     \
    extern const struct rec NAME##_rec
// clang-format on

// The table itself; stands in one .c file.
// clang-format off
#define REC_ROW(M, type, name, presence, low, high, item, doc)                            \
    { #name, { #name, sizeof(#name) - 1 }, REC_##type, REC_##presence, low, high, item,   \
      doc, offsetof(struct M, name) },
#define REC_KEY_WORD(M, type, name, presence, low, high, item, doc) REC_WORD(#name),
#define REC_REQUIRED_BIT(M, type, name, presence, low, high, item, doc)                   \
    | (uint64_t)(REC_##presence == REC_REQUIRED) << M##_F_##name
#define REC_DEFINE(NAME, FIELDS)                                                          \
    static const struct rec_field NAME##_fields[] = { FIELDS(REC_ROW, NAME) };            \
    static const uint64_t NAME##_words[] = { FIELDS(REC_KEY_WORD, NAME) };                \
    static struct rec_index NAME##_index;                                                 \
    _Static_assert(OM_COUNT(NAME##_fields) <= REC_FIELDS_MAX, "the mask is 64 bits");     \
    const struct rec NAME##_rec = { #NAME, NAME##_fields, NAME##_words, &NAME##_index,    \
                                    0 FIELDS(REC_REQUIRED_BIT, NAME),                     \
                                    OM_COUNT(NAME##_fields), sizeof(struct NAME) }
// clang-format on

// Is the field present? REC_SET marks it so and sets it.
#define REC_HAS(record, NAME, field) ((record)->has >> NAME##_F_##field & 1)
#define REC_SET(record, NAME, field, value)                                              \
    ((record)->field = (value), (record)->has |= UINT64_C(1) << NAME##_F_##field)

// Read a map into the struct at `out`. Unknown keys are ignored; absent members are zero.
//   OM_EPROTO  not one whole msgpack map, deeper than REC_DEPTH_MAX, or a key twice
//   OM_EINVAL  a value has the wrong type or range, or a required one is missing
// On failure *field (may be NULL) is the offending field, or NULL if there is no one
// field.
OM_MUST_CHECK enum om_rc rec_decode(const struct rec *type, struct om_str bytes,
                                    void *out, const struct rec_field **field);

// The bytes at `from` that the record was decoded from are now at `to`: have its strings
// and lists point there.
void rec_rebase(const struct rec *type, void *record, const char *from, const char *to);

// Append the present fields of the struct at `in` as a map. The caller checks
// buf->failed.
void rec_encode(const struct rec *type, const void *in, struct om_buf *buf);

// Append the fields of `mask` as keys and values, without the map's head.
void rec_encode_fields(const struct rec *type, uint64_t mask, const void *in,
                       struct om_buf *buf);

// Check presence and ranges of a struct filled by other means (JSON, a program).
OM_MUST_CHECK enum om_rc rec_check(const struct rec *type, const void *in,
                                   const struct rec_field **field);

// A walk over the bytes of a NUMS, STRS or RECS member, or of any msgpack array. An
// absent list (data == NULL) is empty. `left` is the number of items not yet read.
struct rec_iter {
    struct om_str rest;
    size_t left;
};

struct rec_iter rec_iter(struct om_str list);

// Read the next item. False at the end, and on an item of another type: then left != 0.
bool rec_next_f64(struct rec_iter *iter, double *value);
bool rec_next_str(struct rec_iter *iter, struct om_str *value); // str or bin
bool rec_next_raw(struct rec_iter *iter, struct om_str *value); // any, as its bytes

// Read the next item as a record of that type; `bytes` are what it was read from. False
// also if it is not valid: then left != 0.
bool rec_next_rec(struct rec_iter *iter, const struct rec *type, void *out,
                  struct om_str *bytes);

// A msgpack value of any type, for a reader that has no table.
struct rec_value {
    enum {
        REC_VALUE_NIL, // also types that have no place in our records
        REC_VALUE_BOOL,
        REC_VALUE_I64,
        REC_VALUE_F64,
        REC_VALUE_STR,
        REC_VALUE_BIN,
        REC_VALUE_ARRAY, // its items come next
        REC_VALUE_MAP,   // its keys and values come next
    } kind;
    int64_t integer; // I64, and BOOL as 0 or 1
    double number;
    struct om_str bytes; // STR, BIN
    size_t count;        // ARRAY: items, MAP: pairs
};

// Read the value at the start of `rest` and step over it, but not over what is in an
// array or a map. False: the bytes end, or are no msgpack. The caller bounds the depth.
bool rec_next_value(struct om_str *rest, struct rec_value *value);

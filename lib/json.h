// json.h - JSON from outside into records, and records out as JSON, by their tables.
//
// What comes in is checked field by field, and a refusal says which field is wrong and
// what would be right. INTERNAL and BIN fields are neither read nor shown. Any thread.
#pragma once
#include "arena.h"
#include "record.h"

enum {
    OM_JSON_DEPTH_MAX = 12, // of a MAP field, within REC_DEPTH_MAX of its record
    OM_JSON_PARAM_MAX = 64,
    OM_JSON_TEXT_MAX = 400,
};

// Why a body is refused.
struct om_json_error {
    char param[OM_JSON_PARAM_MAX]; // the field, "" if there is no one field
    char text[OM_JSON_TEXT_MAX];   // a sentence for people: the field and the fix
};

// Read a JSON object into the record struct at `out`; strings and lists are copied to the
// arena. An empty text is an empty object, and null is as if the field were absent.
// Unknown and repeated keys are refused. OM_EINVAL: see `error`.
OM_MUST_CHECK enum om_rc om_json_to_record(const struct rec *type, struct om_str json,
                                           struct om_arena *arena, void *out,
                                           struct om_json_error *error);

// Append the record struct at `in` as a JSON object. Call it for what rec_decode filled
// in.
void om_json_put_record(struct om_buf *buf, const struct rec *type, const void *in);

// Append a msgpack value of any type as JSON; binary and unknown types become null.
// False: the bytes are not one msgpack value, or too deep; then part of it may be in the
// buffer.
OM_MUST_CHECK bool om_json_put_msgpack(struct om_buf *buf, struct om_str value);

// Append a string in quotes, escaped; bytes that are not UTF-8 become U+FFFD.
void om_json_put_str(struct om_buf *buf, struct om_str text);

// Append a number in as few digits as read back to the same value; NaN and infinities,
// which JSON cannot say, become null.
void om_json_put_f64(struct om_buf *buf, double value);
void om_json_put_i64(struct om_buf *buf, int64_t value);

// Append text as it is: brackets, commas, keys.
void om_json_put(struct om_buf *buf, const char *text);

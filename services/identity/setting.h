// setting.h - what a tenant can set for itself, once: names, types, ranges. Pure.
#pragma once
#include "record.h"

enum setting_type { SETTING_INTEGER, SETTING_BOOLEAN, SETTING_STRING, SETTING_STRINGS };

struct setting {
    const char *name;
    enum setting_type type;
    double low, high; // of a number; of the bytes of a string; of the count of a list
    // What a string, or each of a list, must be beyond that; may be NULL.
    bool (*check)(struct om_str value);
    const char *wanted; // in words, for a refusal
    const char *doc;
};

extern const struct setting settings_known[];
extern const size_t settings_known_count;

enum { SETTING_WHY_MAX = 200 };

// The setting of that name, or NULL.
const struct setting *setting_find(struct om_str name);

const char *setting_type_name(enum setting_type type);

// Is `value`, one msgpack value, right for it? OM_EINVAL: `why` is a sentence for people.
OM_MUST_CHECK enum om_rc setting_check(const struct setting *self, struct om_str value,
                                       char why[SETTING_WHY_MAX]);

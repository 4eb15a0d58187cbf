// base.h - the few things every file needs.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OM_MUST_CHECK __attribute__((warn_unused_result))

// A variable whose destructor, void f(T *), runs when it leaves its scope. A destructor
// that takes T ** and sets it to NULL fits a pointer: OM_AUTO(db_destroy) struct db *db.
#define OM_AUTO(destructor) __attribute__((cleanup(destructor)))

#define OM_COUNT(array)     (sizeof(array) / sizeof((array)[0]))

// Borrowed bytes, not terminated by a zero. An absent value has data == NULL.
struct om_str {
    const char *data;
    size_t size;
};

// A literal as om_str.
#define OM_LIT(literal) ((struct om_str){ (literal), sizeof(literal) - 1 })

static inline struct om_str
om_str(const char *text)
{
    return (struct om_str){ text, text ? strlen(text) : 0 };
}

static inline bool
om_str_eq(struct om_str a, struct om_str b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

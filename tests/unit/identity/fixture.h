// fixture.h - identity's handlers as the edge calls them: requests as JSON, with what the
// edge adds of the caller, and replies as JSON.
#pragma once
#include <jansson.h>

#include "../services/call.h"
#include "identity.h"
#include "json.h"
#include "scope.h"

enum { FIX_COUNTS = 11 };

struct fixture {
    struct call_folder folder;
    struct identity identity;
    struct call call;
    struct om_buf text, granted_names;
    json_t *answer; // the last reply; NULL after a refusal
    // Who asks: the tenant, what its key may do, and the key's id; "" for none.
    struct om_uuid tenant;
    uint64_t granted;
    char by[OM_TYPEID_MAX];
};

extern struct fixture fix;

// The tenant `default` and its owner, who asks; and the end of it.
void fix_open(void);
void fix_close(void);

// Call `op` with `json` as its body and `id` (NULL for none) from the path; with a
// version as If-Match has it, or -1.
enum om_rc fix_ask(enum op op, const char *id, const char *json);
enum om_rc fix_ask_version(enum op op, const char *id, const char *json,
                           int64_t if_version);

#define FIX_OK(...)                                                                      \
    cr_assert_eq(fix_ask(__VA_ARGS__), OM_OK, "%s: %s", fix.call.job.param,              \
                 fix.call.job.text)

// A field of the answer: a text, a number; whether a list has a text; a text to keep.
const char *fix_get(const char *name);
json_int_t fix_number(const char *name);
bool fix_lists(const char *name, const char *value);
void fix_keep(char out[128], const char *name);

// Ask whose key it is.
enum om_rc fix_resolve(const char *key);

// The same as if it were a test key.
enum om_rc fix_resolve_sandbox(const char *key);

// A user with a role, and a key that acts for a user.
void fix_make_user(const char *email, const char *role, char id[128]);
void fix_make_key(const char *user, char key[128]);

// All that is stored, counted; a refused request changes none of it.
void fix_count_rows(int64_t counts[FIX_COUNTS]);

// The number of the newest change in the feed.
int64_t fix_last_change(void);

// error_group.h - errors that are the same one, counted: a group a fingerprint, with how
// often and when it came and the newest samples.
//
// Events are applied once each. A tenant has a bounded number of groups; when it is
// reached, a new error takes the place of the resolved group that was seen longest ago,
// else of an open one that was not seen for a day, and is else counted as "other".
// What is ignored is never removed for another.
#pragma once
#include "db.h"
#include "wire.h"

// Stored.
enum error_status { ERROR_OPEN, ERROR_RESOLVED, ERROR_IGNORED, ERROR_STATUSES };

enum {
    ERROR_SAMPLES = 10,        // of a group
    ERROR_SEEN_MS = 3600000,   // how long a repeat of an event is known as one
    ERROR_QUIET_MS = 86400000, // an open group not seen for that long may be evicted
    ERROR_REMOVED_MAX = 100,   // by a call of error_tidy()
};

struct error_conf {
    int64_t groups_max; // of a tenant
    int64_t keep_ms;    // groups that are not seen for that long are removed
};

extern const char *const error_status_names[ERROR_STATUSES];

// Apply a run of a shard's events of topic "error", as an om_events_handler does. An
// event that is malformed is counted as dropped, and no failure.
enum om_rc error_apply(const struct error_conf *conf, struct om_db *db, uint8_t shard,
                       const struct wire_logged *events, size_t count, int64_t now_ms);

// Remove some of what is over. *more: there is more of it.
OM_MUST_CHECK enum om_rc error_tidy(const struct error_conf *conf, struct om_db *db,
                                    int64_t now_ms, bool *more);

// Show how many groups there are.
enum om_rc error_census(struct om_db *db);

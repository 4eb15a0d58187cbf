// retry.h - RETRY_MANY: failed tasks that match a filter are made ready again.
//
// They are read and reopened in slices, so that many of them keep nobody else waiting.
#pragma once
#include "inner.h"

struct retry {
    struct asker asker;
    struct om_uuid tenant, after;   // the last task looked at; zero: none
    struct label queue, kind, code; // size 0: any
    int64_t left, reopened;
};

void on_retry_many(struct core *self, const struct input *in);

// The next slice of failed tasks was read. Takes `retry`.
void retry_read_done(struct core *self, struct retry **retry_p, const struct read *read);

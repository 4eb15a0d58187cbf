#include <utlist.h>

#include "lease.h"
#include "node.h"
#include "session.h"
#include "stall.h"

// A busy broker's timers are late by less. Workers beat every two seconds, so a pause
// that is not noticed costs less than half of what is left of a lease.
enum { STALL_MS = 1000 };

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void
extend(struct core *self, struct lease *leases, int64_t ms)
{
    struct lease *lease;
    DL_FOREACH (leases, lease) {
        lease->expires_ms =
            least(lease->expires_ms + ms, self->now.mono_ms + lease->lease_ms);
        if (lease->hard_at_ms != INT64_MAX)
            lease->hard_at_ms += ms; // the job's end may be on its way, too
    }
}

void
stall_notice(struct core *self)
{
    int64_t late_ms = self->now.mono_ms - timers_next(&self->mono);
    if (late_ms < STALL_MS)
        return;
    for (struct node *node = self->nodes; node; node = node->hh.next)
        extend(self, node->orphans, late_ms);
    for (struct session *session = self->sessions; session; session = session->hh.next) {
        session_excuse(self, session, late_ms);
        extend(self, session->leases, late_ms);
    }
}

// Who works: counted when somebody asks.
#include "core.h"
#include "lease.h"
#include "session.h"

struct core_workers
core_workers(const struct core *self, struct core_now now)
{
    struct core_workers workers = { 0 };
    const struct session *session, *next;
    HASH_ITER (hh, self->sessions, session, next) {
        if (!session->credits)
            continue; // a client
        int64_t silence_ms = now.mono_ms - session->heard_ms;
        if (silence_ms > workers.silence_ms)
            workers.silence_ms = silence_ms;
        if (session->draining)
            workers.draining++;
        else if (!session_live(self, session))
            workers.silent++;
        else if (session->leases || session->taken)
            workers.busy++;
        else
            workers.idle++;
    }
    return workers;
}

// once.h - has a service do what a request with an Idempotency-Key asks for once, and
// answer the same again (idem.h). Part of the serve loop; not for users of the library.
#pragma once
#include "db.h"
#include "service.h"

// Answers a call: leaves the encoded reply in call->job->result.
typedef enum om_rc om_once_fn(void *context, struct om_call *call);

// Answer the call with what was kept for its key, or have `answer` do so and keep that in
// one transaction with whatever it commits in `db`, but for the field `once` of the reply
// (NULL: none), without which a repeat is refused. The results are those of `answer`,
// and of om_idem_find(); the call has failed with a reason where there is one to give.
OM_MUST_CHECK enum om_rc om_once(struct om_db *db, const char *once, struct om_call *call,
                                 om_once_fn *answer, void *context);

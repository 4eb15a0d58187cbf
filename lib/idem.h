// idem.h - the answers to requests with an Idempotency-Key, kept for OM_IDEM_KEEP_MS in
// the database of the service that had the effect.
//
// An answer is kept in the transaction of the effect, so there is one exactly if the
// other. A failure is not kept: it had no effect, and a repeat tries again.
#pragma once
#include "db.h"
#include "pack.h"

// A statement of the schema of each service that answers such requests.
#define OM_IDEM_TABLE                                                                    \
    "CREATE TABLE idem_answer ("                                                         \
    "  tenant BLOB NOT NULL,"                                                            \
    "  name TEXT NOT NULL,"                                                              \
    "  hash BLOB NOT NULL," /* of what was asked */                                      \
    "  answer BLOB,"        /* NULL: the request is under way */                         \
    "  until_ms BIGINT NOT NULL,"                                                        \
    "  PRIMARY KEY (tenant, name)"                                                       \
    ");"                                                                                 \
    "CREATE INDEX idem_answer_by_end ON idem_answer (until_ms);"

enum { OM_IDEM_KEEP_MS = 24 * 3600 * 1000 };

// A request: `name` says which one it is, `hash` (32 bytes) what it asks for.
struct om_idem {
    struct om_uuid tenant;
    struct om_str name, hash;
};

// Look for the answer, and append it to `answer`.
//   OM_OK         it was answered
//   OM_ENOTFOUND  it was not, or too long ago
//   OM_EBUSY      it is under way
//   OM_EREUSED    it asked for something else
OM_MUST_CHECK enum om_rc om_idem_find(struct om_txn *txn, const struct om_idem *request,
                                      int64_t now_ms, struct om_buf *answer);

// Keep its answer; or, with `answer` absent, note that it is under way. Until then.
void om_idem_keep(struct om_txn *txn, const struct om_idem *request, struct om_str answer,
                  int64_t until_ms);

// It is not under way any more, and was not answered.
void om_idem_drop(struct om_txn *txn, const struct om_idem *request);

// Forget some of what is over. *more: there may be more of it.
OM_MUST_CHECK enum om_rc om_idem_purge(struct om_db *db, int64_t now_ms, bool *more);

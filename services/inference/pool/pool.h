// pool.h - the worker pools of omni-inference: one answers predictions, one trains.
//
// A pool owns no table: it asks the registry for files and models, and reads and writes
// their blobs. Handlers run in the slots' threads; what they share is this struct, which
// does not change, and the cache, which locks.
#pragma once
#include "blob.h"
#include "cache.h"
#include "service.h"
#include "span.h"

enum {
    POOL_REGISTRY_MS = 10000, // how long an answer of the registry is waited for
    POOL_FIT_CPU_MS = 2000,   // a fit in a prediction's call gives up after
};

struct pool_conf {
    struct om_service_conf common;
    const char *blobs;   // OMNI_BLOBS
    const char *pool;    // OMNI_POOL
    int64_t slots;       // OMNI_SLOTS
    int64_t cache_bytes; // OMNI_MODEL_CACHE_BYTES
};

struct pool {
    struct om_blob_store *blobs;
    struct model_cache *cache;
};

extern const struct om_route pool_inference_routes[];
extern const struct om_route pool_training_routes[];

om_handler pool_predict, pool_train, pool_train_check;

// ---- what the handlers share

// Ask the registry, for the tenant of `call`. The reply's strings are borrowed until the
// next question. On failure the call fails with the registry's reason; `param` is the
// field of the call that holds the id asked for.
OM_MUST_CHECK enum om_rc pool_ask_registry(struct om_call *call, enum op op,
                                           const char *param, const void *request,
                                           void *reply);

// For the blob store: the call's grant, and its cancel.
struct om_blob_caller pool_blob_caller(const struct om_call *call);

// CPU time of the calling thread, milliseconds.
int64_t pool_cpu_ms(void);

// Fail the call with `rc` because a model is asked for that there is not.
enum om_rc pool_fail_model(struct om_call *call, enum om_rc rc, struct om_str name);

// End a part of a request, for its trace: what was done ("infer"), with which model.
void pool_part_end(const struct om_span_part *part, const char *name, struct om_str model,
                   enum om_rc rc);

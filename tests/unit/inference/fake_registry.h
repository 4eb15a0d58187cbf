// fake_registry.h - a registry that answers from memory, behind a broker the test plays
// in a thread of its own. It knows one file and one model.
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "client.h"
#include "fake_broker.h"

struct fake_registry {
    struct fake_broker broker;
    pthread_t thread;
    atomic_bool stop;
    atomic_int file_gets, model_gets, model_creates;
    atomic_int outages; // so many model_creates are answered "unavailable"
    char file_id[OM_TYPEID_MAX], file_blob[128], file_sha256[65];
    char model_id[OM_TYPEID_MAX], model_blob[128], model_sha256[65];
    char model_type[65], task_id[OM_TYPEID_MAX];
    int64_t model_bytes;
};

void registry_start(struct fake_registry *self);
void registry_stop(struct fake_registry *self);

// A client of its broker.
struct om_client *registry_client(struct fake_registry *self);

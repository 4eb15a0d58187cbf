// node.h - worker processes by name: the session a node has, and the leases that wait for
// it to come back.
//
// A node is known while it has either. Its name counts within a role, and of tenants'
// workers within the tenant.
#pragma once
#include "inner.h"

struct node_key {
    struct om_uuid tenant; // of ROLE_TENANT
    uint8_t role, size;
    char name[64];
};

struct node {
    struct node_key key;
    struct session *session; // open, or NULL
    struct lease *orphans;
    UT_hash_handle hh;
};

// The node of that name; made if it is new.
struct node *node_get(struct core *self, enum role role, const struct om_uuid *tenant,
                      const struct label *name);

// The node that may hold work of the queue under this name.
struct node *node_of_queue(struct core *self, const struct queue_state *queue,
                           const struct label *name);

// Free the node if it has neither session nor leases.
void node_tidy(struct core *self, struct node *node);

void node_destroy_all(struct core *self);

// WORKERS: who holds what; or have a worker drain.
void on_workers(struct core *self, const struct input *in);

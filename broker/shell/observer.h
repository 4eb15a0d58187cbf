// observer.h - the broker's page of metrics: asks the thread that runs the core.
//
// The core is one thread's, so whoever writes the page leaves a question there and waits
// for a short while; nothing is kept up to date for pages that nobody asks for.
#pragma once
#include "core.h"
#include "sockets.h"

struct observer;

// `wake_fd`, an eventfd, wakes the thread of the core. NULL: no memory.
struct observer *observer_create(int wake_fd);

// The thread of the core: does somebody ask? Then answer.
bool observer_is_asked(const struct observer *self);
void observer_answer(struct observer *self, struct core *core, struct core_now now,
                     const struct sockets *sockets, double disk_free);

// No more answers follow; sets *self_p to NULL.
void observer_destroy(struct observer **self_p);

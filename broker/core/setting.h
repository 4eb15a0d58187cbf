// setting.h - QUEUE: what a tenant, its queues and its limit keys are set to, and what
// goes on in them.
//
// A setting counts, and is answered, when it is on disk. Whether the sender may set it is
// for the edge to know: it speaks for tenants and for operators.
#pragma once
#include "limit.h"

void on_queue(struct core *self, const struct input *in);

// Have `setting` count for the limit once it is on disk; then `asker` (NULL: nobody) is
// answered.
void setting_want(struct core *self, struct limit *limit, const struct setting *setting,
                  const struct asker *asker);

void setting_durable(struct core *self, struct group *group, struct change *change);

// submit.h - a job on its way in: from SUBMIT to SUBMITTED or REJECT.
#pragma once
#include "commit.h"

struct task;

void on_submit(struct core *self, const struct input *in);

// Is there room for one more task of the tenant's? If not, why: OM_ENOSPACE, OM_EDB or
// OM_EFULL, and *why (NULL: what the code says).
enum om_rc submit_check_room(const struct core *self, const struct om_uuid *tenant,
                             const char **why);

// ---- what follows when the group of a SUBMIT is durable, or is not

void submit_durable(struct core *self, struct group *group, struct change *change);
void submit_failed(struct core *self, struct group *group, enum om_rc rc);

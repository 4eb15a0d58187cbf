#include <stdlib.h>

#include "read.h"

void
read_destroy(struct read **self_p)
{
    struct read *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    free(self->tasks);
    payload_unref(&self->payload);
    om_buf_finish(&self->memory);
    free(self);
}

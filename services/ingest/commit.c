#include <stdlib.h>

#include "commit.h"
#include "exchange.h"
#include "offload.h"

struct commit {
    struct om_offload_job job;
    struct exchange *x; // NULL: nobody waits for it
    struct om_blob_writer *writer;
    const char *param;
    commit_fn *fn;
    enum om_rc rc;
    struct om_blob_info info;
};

static void
run(struct om_offload_job *job)
{
    struct commit *self = (struct commit *)job;
    self->rc = om_blob_commit(&self->writer, &self->info);
}

static void
done(struct om_offload_job *job)
{
    struct commit *self = (struct commit *)job;
    struct exchange *x = self->x;
    if (x)
        x->commit = NULL;
    if (x && self->rc == OM_OK)
        self->fn(x, &self->info);
    else if (x)
        exchange_fail(x, self->rc, self->param, "the bytes cannot be stored: %s",
                      om_rc_info(self->rc)->text);
    free(self);
}

void
commit_upload(struct exchange *x, const char *param, commit_fn *fn)
{
    struct commit *self = calloc(1, sizeof(*self));
    if (self) {
        *self = (struct commit){ .job = { .run = run, .done = done },
                                 .x = x,
                                 .writer = x->upload->writer,
                                 .param = param,
                                 .fn = fn };
        if (om_offload_start(x->edge->commits, &self->job)) {
            x->upload->writer = NULL; // the job's
            x->commit = self;
            return;
        }
    }
    free(self);
    exchange_fail(x, OM_EUNAVAILABLE, NULL, "too many uploads are being stored");
}

void
commit_forget(struct commit *self)
{
    self->x = NULL;
}

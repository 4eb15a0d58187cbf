// Which jobs may be started, and what is set for them.
#include "model.h"

enum { PASSED_OVER_MAX = 32 };

int
model_limit_of_queue(int queue)
{
    return 1 + queue;
}

int
model_limit_of_key(int key)
{
    return 1 + MODEL_QUEUES + key;
}

void
model_limit(struct model *self, int tenant, int limit, int64_t concurrency)
{
    model_next_step(self);
    self->limits[tenant][limit].concurrency = concurrency;
}

void
model_pause(struct model *self, int tenant, int queue, bool paused)
{
    model_next_step(self);
    self->limits[tenant][model_limit_of_queue(queue)].paused = paused;
}

// Does the limit stand on the job?
static bool
applies(const struct model_job *job, int limit)
{
    return limit == 0 || limit == model_limit_of_queue(job->spec.queue) ||
           (job->spec.key && limit == model_limit_of_key(job->spec.key));
}

static bool
is_limited(const struct model *self, const struct model_job *job)
{
    for (int i = 0; i < MODEL_LIMITS; i++) {
        const struct model_limit *limit = &self->limits[job->spec.tenant][i];
        if (applies(job, i) && (limit->concurrency || limit->paused))
            return true;
    }
    return false;
}

static bool
has_room(const struct model *self, const struct model_job *job, int number)
{
    const struct model_limit *limit = &self->limits[job->spec.tenant][number];
    int64_t running = 0;
    for (int i = 0; i < MODEL_JOBS; i++) {
        const struct model_job *other = &self->jobs[i];
        running += other->held && other->spec.tenant == job->spec.tenant &&
                   applies(other, number);
    }
    return !limit->paused && (!limit->concurrency || running < limit->concurrency);
}

static bool
may_start(const struct model *self, const struct model_job *job, int queue)
{
    if (!job->known || job->state != STATE_READY || job->spec.queue != queue)
        return false;
    for (int i = 0; i < MODEL_LIMITS; i++)
        if (applies(job, i) && !has_room(self, job, i))
            return false;
    return true;
}

const char *
model_give(struct model *self, int number, int worker)
{
    struct model_job *job = &self->jobs[number];
    if (job->state != STATE_READY)
        return "a job was given that is not ready";
    if (!may_start(self, job, job->spec.queue))
        return "a job was given beyond its limits";
    job->given_step = self->step;
    job->given_ready_step = job->ready_step;
    model_hold(self, job, worker);
    self->starts[job->spec.queue]++;
    return NULL;
}

// Was `waiting` passed over when `given` was given? Under limits that depends on when the
// limit opened.
static const char *
is_passed_over(struct model *self, const struct model_job *waiting,
               const struct model_job *given)
{
    int64_t *starts = &self->starts[given->spec.queue];
    if (!given->given_step || !may_start(self, waiting, given->spec.queue) ||
        is_limited(self, waiting) || waiting->ready_step > given->given_step ||
        waiting->spec.priority > given->spec.priority)
        return NULL;
    if (waiting->spec.priority < given->spec.priority) {
        bool turn = *starts >= PASSED_OVER_MAX; // of the lower band's
        *starts = turn ? 0 : *starts;
        return turn ? NULL : "a job was given while a more urgent one waits";
    }
    if (waiting->spec.tenant == given->spec.tenant &&
        waiting->spec.key == given->spec.key &&
        waiting->ready_step < given->given_ready_step)
        return "a job was given while an older one of its tenant waits";
    return NULL;
}

const char *
model_check_order(struct model *self)
{
    const char *complaint = NULL;
    for (int i = 0; i < MODEL_JOBS; i++)
        for (int k = 0; k < MODEL_JOBS && !complaint; k++)
            complaint = is_passed_over(self, &self->jobs[k], &self->jobs[i]);
    for (int i = 0; i < MODEL_JOBS; i++)
        self->jobs[i].given_step = 0;
    return complaint;
}

bool
model_has_work(const struct model *self, int queue)
{
    for (int i = 0; i < MODEL_JOBS; i++)
        if (may_start(self, &self->jobs[i], queue))
            return true;
    return false;
}

size_t
model_list(const struct model *self, int tenant, const char *status, int jobs[MODEL_JOBS])
{
    size_t count = 0;
    for (int64_t number = self->last_number; number > 0; number--)
        for (int i = 0; i < MODEL_JOBS; i++) {
            const struct model_job *job = &self->jobs[i];
            bool same =
                !status || strcmp(state_info(job->state)->public_name, status) == 0;
            if (job->known && job->number == number && job->spec.tenant == tenant && same)
                jobs[count++] = i;
        }
    return count;
}

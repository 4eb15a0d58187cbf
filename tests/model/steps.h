// steps.h - a sequence of random steps, done by the model and by the real core.
#pragma once
#include "real.h"

#define STEP_LIST(X)                                                                     \
    X(submit, 8)                                                                         \
    X(cancel, 2)                                                                         \
    X(retry, 2)                                                                          \
    X(credit, 6)                                                                         \
    X(start, 4)                                                                          \
    X(done, 4)                                                                           \
    X(fail, 4)                                                                           \
    X(release, 1)                                                                        \
    X(cancelled, 1)                                                                      \
    X(pass, 6)                                                                           \
    X(freeze, 1)                                                                         \
    X(die, 1)                                                                            \
    X(restart, 1)                                                                        \
    X(set, 2)                                                                            \
    X(pause, 1)                                                                          \
    X(resume, 2)                                                                         \
    X(purge, 1)                                                                          \
    X(list, 2)

enum step_kind {
#define STEP_ENUM(name, share) STEP_##name,
    STEP_LIST(STEP_ENUM)
#undef STEP_ENUM
        STEP_COUNT
};

// What a kind does not use is ignored. A step that makes no sense any more, because one
// before it was left out, does nothing.
struct step {
    enum step_kind kind;
    int job, worker, queue;
    int64_t value;
    bool flag;
};

enum { STEPS_MAX = 400 };

struct steps {
    struct core_conf conf;
    struct model_spec specs[MODEL_JOBS];
    size_t max_open;
    struct step list[STEPS_MAX];
    size_t count;
};

// Draw a sequence.
void steps_make(struct steps *self, uint64_t seed);

// Do it. False: the two differ; `why` says how, and *done is how many steps were done.
bool steps_run(const struct steps *self, char *why, size_t why_size, size_t *done);

// Leave out what the difference does not need.
void steps_shrink(struct steps *self);

void steps_print(const struct steps *self);

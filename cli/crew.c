#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "beside.h"
#include "crew.h"
#include "id.h"
#include "log.h"

enum {
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    HEALTHY_MS = 60 * 1000,
    PROVEN_MS = 5 * 1000,
    FAILURES_MAX = 3,
};

// Counted from the start of the stopping: all is over within five seconds.
static const int64_t phase_deadline_ms[CREW_PHASE_COUNT] = {
    [CREW_EDGE] = 1000,
    [CREW_SERVICE] = 4400,
    [CREW_BROKER] = 4800,
};

struct child {
    const struct crew_member *member;
    char path[PATH_MAX];
    pid_t pid; // 0: not running
    int64_t started_ms, due_ms;
    bool proven;           // it has once run for a while
    unsigned failures;     // in a row
    unsigned cannot_start; // of these, how many said so
    int status;            // exit status of the last failure
};

struct crew {
    bool stopping;
    enum crew_phase phase; // that is being stopped
    int64_t stopped_ms;
    size_t count;
    struct child children[];
};

int64_t
crew_backoff_ms(unsigned failures, uint32_t random)
{
    int64_t wait_ms = BACKOFF_MIN_MS;
    for (unsigned i = 1; i < failures && wait_ms < BACKOFF_MAX_MS; i++)
        wait_ms *= 2;
    wait_ms = wait_ms < BACKOFF_MAX_MS ? wait_ms : BACKOFF_MAX_MS;
    return wait_ms - (int64_t)(random % (uint32_t)(wait_ms / 4 + 1));
}

// ---- one child

// In the child, between fork and exec: only what is safe there.
static void
become(const struct child *child, pid_t parent, int null_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EX_UNAVAILABLE);
    // A session of its own: ^C on the terminal is for the parent, who stops in order.
    setsid();
    dup2(null_fd, STDIN_FILENO);
    // Standard output belongs to the parent's one line.
    dup2(STDERR_FILENO, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    const char *argv[OM_COUNT(child->member->args) + 1] = { child->member->program };
    for (size_t i = 0; child->member->args[i]; i++)
        argv[i + 1] = child->member->args[i];
    execv(child->path, (char *const *)argv);
    _exit(EX_OSFILE);
}

static void
plan_restart(struct child *child, int64_t now_ms)
{
    uint32_t random;
    om_random(&random, sizeof(random));
    child->failures++;
    child->due_ms = now_ms + crew_backoff_ms(child->failures, random);
}

static void
start(struct child *child, int64_t now_ms)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    // By its name the broker knows that it takes the place of one that is dead, and gives
    // what that one held to a worker at once, not when its leases end.
    setenv("OMNI_NODE", child->member->name, 1);
    setenv("OMNI_ADMIN", child->member->admin, 1);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(child, parent, null_fd);
    if (null_fd >= 0)
        close(null_fd);
    if (pid < 0) {
        om_log(OM_ERROR, "cannot fork", LOG_S("err", strerror(errno)));
        plan_restart(child, now_ms);
        return;
    }
    child->pid = pid;
    child->started_ms = now_ms;
    om_log(OM_DEBUG, "started", LOG_S("child", child->member->name), LOG_I("pid", pid));
}

// Did the program say, with a code of sysexits.h, that it cannot run like this?
static bool
says_cannot_start(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) >= EX__BASE &&
           WEXITSTATUS(status) <= EX__MAX && WEXITSTATUS(status) != EX_TEMPFAIL;
}

static void
note_end(struct child *child, int status, int64_t now_ms)
{
    int64_t lived_ms = now_ms - child->started_ms;
    child->pid = 0;
    child->proven |= lived_ms >= PROVEN_MS;
    if (lived_ms >= HEALTHY_MS)
        child->failures = 0;
    child->cannot_start = says_cannot_start(status) ? child->cannot_start + 1 : 0;
    child->status = status;
    plan_restart(child, now_ms);
    om_log(OM_WARN, "a child ended and will be restarted",
           LOG_S("child", child->member->name),
           LOG_I("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
           LOG_I("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
           LOG_I("wait_ms", child->due_ms - now_ms));
}

static bool
reap(struct child *child, int *status)
{
    if (child->pid == 0)
        return false;
    pid_t pid = waitpid(child->pid, status, WNOHANG);
    return pid == child->pid;
}

// ---- the crew

struct crew *
crew_create(const struct crew_member *members, size_t count, char *why, size_t why_size)
{
    struct crew *self = calloc(1, sizeof(*self) + count * sizeof(self->children[0]));
    if (!self) {
        snprintf(why, why_size, "no memory");
        return NULL;
    }
    self->count = count;
    for (size_t i = 0; i < count; i++) {
        struct child *child = &self->children[i];
        child->member = &members[i];
        if (!beside_path(members[i].program, child->path) ||
            access(child->path, X_OK) != 0) {
            snprintf(why, why_size, "%s cannot be run: %s", child->path, strerror(errno));
            free(self);
            return NULL;
        }
    }
    return self;
}

void
crew_destroy(struct crew **self_p)
{
    struct crew *self = *self_p;
    if (!self)
        return;
    crew_kill(self);
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid)
            waitpid(self->children[i].pid, NULL, 0);
    free(self);
    *self_p = NULL;
}

static bool
phase_runs(const struct crew *self, enum crew_phase phase)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid && self->children[i].member->phase == phase)
            return true;
    return false;
}

static void
signal_phase(const struct crew *self, enum crew_phase phase, int signal)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid && self->children[i].member->phase == phase)
            kill(self->children[i].pid, signal);
}

// The next phase is told to stop when the one before has ended or is out of time.
static int64_t
go_on_stopping(struct crew *self, int64_t now_ms)
{
    while (self->phase < CREW_PHASE_COUNT) {
        int64_t deadline_ms = self->stopped_ms + phase_deadline_ms[self->phase];
        if (phase_runs(self, self->phase)) {
            if (now_ms < deadline_ms)
                return deadline_ms;
            signal_phase(self, self->phase, SIGKILL);
            om_log(OM_WARN, "killed what did not stop in time");
        }
        if (++self->phase < CREW_PHASE_COUNT)
            signal_phase(self, self->phase, SIGTERM);
    }
    return INT64_MAX;
}

int64_t
crew_tick(struct crew *self, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < self->count; i++) {
        struct child *child = &self->children[i];
        int status;
        if (reap(child, &status)) {
            if (self->stopping)
                child->pid = 0;
            else
                note_end(child, status, now_ms);
        }
        if (child->pid == 0 && !self->stopping) {
            if (child->due_ms <= now_ms)
                start(child, now_ms);
            if (child->pid == 0 && child->due_ms < next_ms)
                next_ms = child->due_ms;
        }
    }
    return self->stopping ? go_on_stopping(self, now_ms) : next_ms;
}

const char *
crew_broken(const struct crew *self, int *status)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct child *child = &self->children[i];
        if (!child->proven && child->cannot_start >= FAILURES_MAX) {
            *status = WEXITSTATUS(child->status);
            return child->member->name;
        }
    }
    return NULL;
}

void
crew_stop(struct crew *self, int64_t now_ms)
{
    if (self->stopping)
        return;
    self->stopping = true;
    self->stopped_ms = now_ms;
    self->phase = 0;
    signal_phase(self, self->phase, SIGTERM);
}

void
crew_kill(struct crew *self)
{
    self->stopping = true;
    self->phase = CREW_PHASE_COUNT;
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid)
            kill(self->children[i].pid, SIGKILL);
}

bool
crew_ended(const struct crew *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->children[i].pid)
            return false;
    return true;
}

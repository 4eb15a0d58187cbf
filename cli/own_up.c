#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "clock.h"
#include "home.h"
#include "own_up.h"

enum { READY_MS = 30 * 1000, STOP_MS = 8 * 1000, LINE_BYTES = 512 };

static volatile sig_atomic_t running_pid, interrupted;

static void
on_signal(int signal)
{
    (void)signal;
    if (!interrupted && running_pid)
        kill((pid_t)running_pid, SIGTERM);
    interrupted = 1;
}

bool
own_up_interrupted(void)
{
    return interrupted;
}

static void
become(const char *dir, pid_t parent, int out_fd, int log_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    // ^C on the terminal reaches only the parent, who then stops it once.
    setsid();
    dup2(out_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execl("/proc/self/exe", "omni", "up", "--data", dir, "--listen", "127.0.0.1:0",
          (char *)NULL);
    _exit(1);
}

static bool
launch(struct own_up *self, int *out_fd)
{
    char log[PATH_MAX];
    int pipe_fds[2];
    snprintf(log, sizeof(log), "%s/omni.log", self->dir);
    int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) != 0) {
        args_fail(0, "cannot write %s: %s", log, strerror(errno));
        return false;
    }
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    fflush(stdout);
    pid_t parent = getpid();
    self->pid = fork();
    if (self->pid == 0)
        become(self->dir, parent, pipe_fds[1], log_fd);
    running_pid = self->pid > 0 ? self->pid : 0; // kill(-1) would signal everybody
    close(log_fd);
    close(pipe_fds[1]);
    *out_fd = pipe_fds[0];
    return self->pid > 0;
}

// Read the line that says where it is ready. False at the deadline or when it ended.
static bool
await_line(int fd, char line[LINE_BYTES])
{
    size_t size = 0;
    int64_t deadline_ms = om_clock_mono_ms() + READY_MS;
    while (size < LINE_BYTES - 1) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int64_t left_ms = deadline_ms - om_clock_mono_ms();
        if (left_ms <= 0 || (poll(&poll_fd, 1, (int)left_ms) < 0 && errno != EINTR))
            return false;
        if (!poll_fd.revents)
            continue;
        ssize_t got = read(fd, line + size, LINE_BYTES - 1 - size);
        if (got <= 0)
            return false;
        size += (size_t)got;
        line[size] = '\0';
        if (strchr(line, '\n'))
            return true;
    }
    return false;
}

static void
show_log(const struct own_up *self)
{
    char path[PATH_MAX], line[4096];
    snprintf(path, sizeof(path), "%s/omni.log", self->dir);
    FILE *log = fopen(path, "r");
    if (!log)
        return;
    fprintf(stderr, "its log, %s:\n", path);
    if (fseek(log, -8192, SEEK_END) == 0 && !fgets(line, sizeof(line), log))
        line[0] = '\0';
    while (fgets(line, sizeof(line), log))
        fputs(line, stderr);
    fclose(log);
}

bool
own_up_start(struct own_up *self, const char *dir)
{
    char line[LINE_BYTES] = "";
    int out_fd = -1;
    *self = (struct own_up){ .made_dir = !dir };
    snprintf(self->dir, sizeof(self->dir), "%s", dir ? dir : "/tmp/omni-demo-XXXXXX");
    if (dir ? mkdir(dir, 0700) != 0 && errno != EEXIST : !mkdtemp(self->dir)) {
        args_fail(0, "cannot make %s: %s", self->dir, strerror(errno));
        return false;
    }
    int64_t started_ms = om_clock_mono_ms();
    bool ready = launch(self, &out_fd) && await_line(out_fd, line) &&
                 sscanf(line, "Omni is ready at %255s", self->url) == 1 &&
                 home_read_key(self->dir, self->key, sizeof(self->key));
    self->start_ms = om_clock_mono_ms() - started_ms;
    if (out_fd >= 0)
        close(out_fd);
    if (!ready) {
        if (!interrupted)
            args_fail(0, "Omni did not start");
        own_up_stop(self, true);
        if (!interrupted)
            show_log(self);
    }
    return ready;
}

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

int64_t
own_up_stop(struct own_up *self, bool keep)
{
    int64_t started_ms = om_clock_mono_ms();
    int status = 0;
    bool clean = true;
    if (self->pid > 0) {
        if (!interrupted)
            kill(self->pid, SIGTERM);
        int pid_fd = (int)syscall(SYS_pidfd_open, self->pid, 0);
        struct pollfd poll_fd = { .fd = pid_fd, .events = POLLIN };
        while (poll(&poll_fd, 1, STOP_MS) < 0 && errno == EINTR)
            ;
        if (!poll_fd.revents)
            kill(self->pid, SIGKILL);
        close(pid_fd);
        running_pid = 0;
        clean = waitpid(self->pid, &status, 0) == self->pid && status == 0;
        self->pid = 0;
    }
    if (self->made_dir && !keep)
        nftw(self->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return clean ? om_clock_mono_ms() - started_ms : -1;
}

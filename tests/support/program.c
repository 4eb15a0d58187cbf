#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "program.h"

enum { LOG_WAIT_MS = 10 * 1000 };

static void
run_child(const char *name, const char *const *settings, const char *const *arguments,
          pid_t parent, int log_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); // it died before
    dup2(log_fd, STDERR_FILENO);
    for (; *settings; settings++)
        putenv((char *)(uintptr_t)*settings);
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", OMNI_BIN_DIR, name);
    const char *argv[8] = { name };
    for (size_t i = 0; arguments && arguments[i] && i < OM_COUNT(argv) - 2; i++)
        argv[i + 1] = arguments[i];
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

void
program_start(struct program *self, const char *name, const char *const *settings,
              const char *const *arguments)
{
    int fds[2];
    cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t parent = getpid();
    *self = (struct program){ .log_fd = fds[0] };
    self->pid = fork();
    cr_assert_geq(self->pid, 0);
    if (self->pid == 0)
        run_child(name, settings, arguments, parent, fds[1]);
    close(fds[1]);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
}

// Take in what it has written.
static void
read_log(struct program *self)
{
    ssize_t size;
    do {
        if (self->log_size == sizeof(self->log) - 1)
            self->log_size = 0;
        size = read(self->log_fd, self->log + self->log_size,
                    sizeof(self->log) - 1 - self->log_size);
        if (size > 0)
            self->log_size += (size_t)size;
        self->log[self->log_size] = '\0';
    } while (size > 0);
}

void
program_expect_log(struct program *self, const char *text)
{
    int64_t deadline_ms = om_clock_mono_ms() + LOG_WAIT_MS;
    for (;;) {
        read_log(self);
        if (strstr(self->log, text))
            return;
        int64_t left = deadline_ms - om_clock_mono_ms();
        struct pollfd log = { self->log_fd, POLLIN, 0 };
        cr_assert(left > 0 && poll(&log, 1, (int)left) > 0 && !(log.revents & POLLERR),
                  "no \"%s\" in: %s", text, self->log);
        cr_assert(log.revents & POLLIN, "it ended; no \"%s\" in: %s", text, self->log);
    }
}

void
program_signal(struct program *self, int number)
{
    cr_assert_gt(self->pid, 0);
    kill(self->pid, number);
}

int
program_wait(struct program *self, int64_t wait_ms)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, self->pid, 0);
    cr_assert_geq(pid_fd, 0);
    int64_t deadline_ms = om_clock_mono_ms() + wait_ms;
    int status = 0;
    while (waitpid(self->pid, &status, WNOHANG) == 0) {
        int64_t left = deadline_ms - om_clock_mono_ms();
        if (left <= 0) {
            close(pid_fd);
            return -1;
        }
        struct pollfd items[] = { { pid_fd, POLLIN, 0 }, { self->log_fd, POLLIN, 0 } };
        poll(items, 2, (int)left); // its log is read, or a full pipe would hold it up
        read_log(self);
    }
    read_log(self);
    close(pid_fd);
    close(self->log_fd);
    self->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void
program_finish(struct program *self)
{
    if (self->pid <= 0)
        return;
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    close(self->log_fd);
    self->pid = 0;
}

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"

enum { STOP_MS = 10000 };

void
bench_die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("omni-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static pid_t
fork_child(void)
{
    fflush(NULL);
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        bench_die("cannot fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

pid_t
child_fork(void (*body)(void *context), void *context)
{
    pid_t child = fork_child();
    if (child == 0) {
        body(context);
        _exit(0);
    }
    return child;
}

pid_t
child_exec(const char *const *arguments, const char *const *environment)
{
    if (access(arguments[0], X_OK) != 0)
        bench_die("cannot run %s: %s", arguments[0], strerror(errno));
    pid_t child = fork_child();
    if (child > 0)
        return child;
    for (; *environment; environment++)
        putenv((char *)*environment); // the strings live until exec
    // What the program logs goes to stderr: stdout is for the one line of JSON.
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execv(arguments[0], (char *const *)arguments);
    fprintf(stderr, "omni-bench: cannot run %s: %s\n", arguments[0], strerror(errno));
    _exit(127);
}

void
child_stop(pid_t child)
{
    kill(child, SIGTERM);
    int64_t end_ms = om_clock_mono_ms() + STOP_MS;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        if (om_clock_mono_ms() >= end_ms)
            kill(child, SIGKILL);
        usleep(2000);
    }
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

void
folder_remove(const char *folder)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// All children hold the other end of `pipe_fd`, which is not closed on exec: it is at its
// end when nobody is left who could write into the folder.
static _Noreturn void
outlive(int pipe_fd, const char *folder)
{
    char byte;
    setsid(); // an interrupt is for the bench
    dup2(pipe_fd, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, UINT_MAX, 0); // also the end that the children hold
    while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
        continue;
    folder_remove(folder);
    _exit(0);
}

void
folder_make(const char *parent, char *out, size_t size)
{
    snprintf(out, size, "%s/omni-bench-XXXXXX", parent);
    if (!mkdtemp(out))
        bench_die("cannot make a folder in %s: %s", parent, strerror(errno));
    int ends[2];
    pid_t remover = pipe(ends) == 0 ? fork() : -1;
    if (remover == 0)
        outlive(ends[0], out);
    if (remover < 0) {
        folder_remove(out);
        bench_die("cannot fork");
    }
    close(ends[0]);
}

void
program_folder(char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    if (length < 0)
        bench_die("cannot find this program's folder");
    out[length] = '\0';
    *strrchr(out, '/') = '\0';
}

int64_t
process_kb(pid_t process, const char *field)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "re");
    if (!file)
        return -1;
    int64_t kb = -1;
    size_t size = strlen(field);
    while (kb < 0 && fgets(line, sizeof(line), file))
        if (strncmp(line, field, size) == 0 && line[size] == ':')
            kb = strtoll(line + size + 1, NULL, 10);
    fclose(file);
    return kb;
}

// Fields 14 and 15 of /proc/PID/stat, after the name, which may contain anything.
static int64_t
cpu_us(pid_t process)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    unsigned long long user = 0, kernel = 0;
    const char *rest = strrchr(text, ')');
    if (rest)
        sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
               &kernel);
    return (int64_t)((user + kernel) * 1000000 /
                     (unsigned long long)sysconf(_SC_CLK_TCK));
}

int64_t
processes_cpu_us(const pid_t *processes, int count)
{
    int64_t sum_us = cpu_us(getpid());
    for (int i = 0; i < count; i++)
        sum_us += cpu_us(processes[i]);
    return sum_us;
}

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "redis_server.h"

pid_t
redis_start(const char *folder, const char *password)
{
    char socket[108];
    snprintf(socket, sizeof(socket), "%s/redis", folder);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket,
               "--dir", folder, "--save", "", "--logfile", "/dev/null", "--requirepass",
               password, (char *)NULL);
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    return pid;
}

void
redis_kill(pid_t *pid)
{
    if (*pid == 0)
        return;
    kill(*pid, SIGKILL);
    cr_assert_eq(waitpid(*pid, NULL, 0), *pid);
    *pid = 0;
}

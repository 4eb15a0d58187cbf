#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "tools.h"

void
omni_start_worker(struct omni *self, struct program *worker, const char *scope,
                  const char *queue)
{
    char endpoint[128], key[192];
    omni_endpoint(self, "OMNI_BROKER_WORK", endpoint, sizeof(endpoint));
    json_t *body = json_pack("{s:s,s:[s]}", "name", "worker", "scopes", scope);
    cr_assert_eq(omni_ask(self, "POST", body, "/developer/keys"), 201);
    snprintf(key, sizeof(key), "%s", omni_text("key"));
    const char *const settings[] = { NULL };
    const char *const arguments[] = { endpoint, key, queue, NULL };
    program_start(worker, "../tests/echo_worker", settings, arguments);
}

void
omni_stop_worker(struct program *worker)
{
    if (worker->pid <= 0)
        return;
    program_signal(worker, SIGTERM);
    cr_assert_eq(program_wait(worker, 5000), 0, "%s", worker->log);
}

int
tool_run(const char *command, const char **out)
{
    static char printed[256 * 1024];
    FILE *pipe = popen(command, "r");
    cr_assert(pipe);
    printed[fread(printed, 1, sizeof(printed) - 1, pipe)] = '\0';
    *out = printed;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
omni_run(struct omni *self, const char *arguments, const char **out)
{
    char command[1024];
    int size = snprintf(command, sizeof(command), "OMNI_DATA=%s %s/omni %s", self->dir,
                        OMNI_BIN_DIR, arguments);
    cr_assert_lt(size, (int)sizeof(command));
    return tool_run(command, out);
}

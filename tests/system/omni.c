#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "contract.h"
#include "home.h"
#include "omni.h"

enum { START_MS = 30 * 1000, STOP_MS = 5000, EVENT_MS = 20 * 1000, POLL_MS = 5 };

static struct api_reply answer;

void
omni_pause(void)
{
    poll(NULL, 0, POLL_MS);
}

// ---- processes

static void
become(const struct omni *self, const char *const *arguments, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    int log_fd = open(self->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(log_fd, STDERR_FILENO);
    dup2(log_fd, STDOUT_FILENO);
    const char *argv[10] = { "omni", "up" };
    for (size_t i = 0; arguments[i] && i < OM_COUNT(argv) - 3; i++)
        argv[i + 2] = arguments[i];
    execv(OMNI_BIN_DIR "/omni", (char *const *)(uintptr_t)argv);
    _exit(127);
}

static pid_t
spawn(const struct omni *self, const char *const *arguments)
{
    pid_t parent = getpid(), pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        become(self, arguments, parent);
    return pid;
}

// Wait for the end of a child; false at the deadline.
static bool
wait_end(pid_t pid, int64_t wait_ms, int *status)
{
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    cr_assert_geq(pid_fd, 0);
    struct pollfd item = { pid_fd, POLLIN, 0 };
    int ready;
    do
        ready = poll(&item, 1, (int)wait_ms);
    while (ready < 0 && errno == EINTR);
    close(pid_fd);
    return ready == 1 && waitpid(pid, status, 0) == pid;
}

static bool
file_holds(const char *path, const char *text)
{
    static char bytes[64 * 1024];
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return memmem(bytes, size, text, strlen(text)) != NULL;
}

// Live processes of this Omni; those that only wait to be reaped do not count.
static bool
is_alive(const char *pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && name_end[1] && name_end[2] != 'Z' && name_end[2] != 'X';
}

typedef bool visit_fn(void *context, pid_t pid, const char *command);

static void
visit_processes(const struct omni *self, visit_fn *visit, void *context)
{
    char path[64], command[512];
    DIR *proc = opendir("/proc");
    cr_assert(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0 || pid == getpid())
            continue;
        snprintf(path, sizeof(path), "/proc/%d/environ", pid);
        bool ours = file_holds(path, self->dir);
        snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
        FILE *file = fopen(path, "r");
        size_t size = file ? fread(command, 1, sizeof(command) - 1, file) : 0;
        if (file)
            fclose(file);
        for (size_t i = 0; i < size; i++)
            command[i] = command[i] ? command[i] : ' ';
        command[size] = '\0';
        if ((ours || strstr(command, self->dir)) && is_alive(entry->d_name) &&
            !visit(context, pid, command))
            break;
    }
    closedir(proc);
}

static bool
count_one(void *context, pid_t pid, const char *command)
{
    (void)pid, (void)command;
    ++*(int *)context;
    return true;
}

int
omni_processes(const struct omni *self)
{
    int count = 0;
    visit_processes(self, count_one, &count);
    return count;
}

struct search {
    const char *name;
    pid_t old, parent, found;
};

static bool
match_one(void *context, pid_t pid, const char *command)
{
    struct search *search = context;
    char program[64], pool[64];
    snprintf(program, sizeof(program), "omni-%s ", search->name);
    snprintf(pool, sizeof(pool), "--pool %s ", search->name);
    if (pid != search->old && pid != search->parent &&
        (strncmp(command, program, strlen(program)) == 0 || strstr(command, pool)))
        search->found = pid;
    return !search->found;
}

pid_t
omni_child_after(struct omni *self, const char *name, pid_t old)
{
    struct search search = { name, old, self->pid, 0 };
    int64_t deadline_ms = om_clock_mono_ms() + EVENT_MS;
    for (;;) {
        visit_processes(self, match_one, &search);
        if (search.found)
            return search.found;
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "no child %s", name);
        omni_pause();
    }
}

pid_t
omni_child(struct omni *self, const char *name)
{
    return omni_child_after(self, name, 0);
}

// ---- its life

static void
show_log(const struct omni *self)
{
    char line[1024];
    FILE *log = fopen(self->log, "r");
    while (log && fgets(line, sizeof(line), log))
        fputs(line, stderr);
    if (log)
        fclose(log);
}

static void
connect_api(struct omni *self)
{
    api_close(&self->api);
    self->api = api_open_at(self->url, self->key);
    cr_assert(self->api);
}

void
omni_start(struct omni *self)
{
    const char *arguments[] = { "--data",    self->dir, "--listen", "127.0.0.1:0",
                                "--workers", "2",       NULL };
    int64_t started_ms = om_clock_mono_ms();
    self->pid = spawn(self, arguments);
    while (!home_find_url(self->dir, self->url, sizeof(self->url)) ||
           !home_read_key(self->dir, self->key, sizeof(self->key))) {
        int status;
        bool ended = waitpid(self->pid, &status, WNOHANG) == self->pid;
        if (ended || om_clock_mono_ms() - started_ms > START_MS) {
            show_log(self);
            cr_assert_fail("omni up %s", ended ? "ended" : "was not ready in time");
        }
        omni_pause();
    }
    self->ready_ms = om_clock_mono_ms() - started_ms;
    connect_api(self);
}

void
omni_open(struct omni *self)
{
    *self = (struct omni){ .folder = "/tmp/omni-system-XXXXXX" };
    cr_assert(mkdtemp(self->folder));
    snprintf(self->dir, sizeof(self->dir), "%s/data", self->folder);
    snprintf(self->log, sizeof(self->log), "%s/log", self->folder);
    setenv("OMNI_LOG_FORMAT", "json", 1);
    omni_start(self);
}

int
omni_try(struct omni *self, const char *const *arguments, char *text, size_t size)
{
    char log[sizeof(self->log)];
    int status = 0;
    memcpy(log, self->log, sizeof(log));
    snprintf(self->log, sizeof(self->log), "%s/try", self->folder);
    unlink(self->log);
    pid_t pid = spawn(self, arguments);
    bool ended = wait_end(pid, START_MS, &status);
    if (!ended)
        kill(pid, SIGKILL);
    FILE *file = fopen(self->log, "r");
    size_t got = file ? fread(text, 1, size - 1, file) : 0;
    text[got] = '\0';
    if (file)
        fclose(file);
    memcpy(self->log, log, sizeof(log));
    cr_assert(ended, "it still runs: %s", text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void
await_nothing_left(const struct omni *self)
{
    int64_t deadline_ms = om_clock_mono_ms() + EVENT_MS;
    while (omni_processes(self) > 0) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "%d processes are left",
                     omni_processes(self));
        omni_pause();
    }
}

void
omni_stop(struct omni *self)
{
    int status = 0;
    int64_t started_ms = om_clock_mono_ms();
    kill(self->pid, SIGTERM);
    bool ended = wait_end(self->pid, EVENT_MS, &status);
    int64_t took_ms = om_clock_mono_ms() - started_ms;
    if (ended)
        self->pid = 0;
    bool clean = ended && status == 0 && took_ms <= STOP_MS &&
                 !file_holds(self->log, "Sanitizer") &&
                 !file_holds(self->log, "runtime error");
    if (!clean || omni_processes(self))
        show_log(self);
    cr_assert(clean, "stopped with status %d after %lld ms", status, (long long)took_ms);
    cr_assert_eq(omni_processes(self), 0, "something is left running");
}

void
omni_kill(struct omni *self)
{
    int status;
    kill(self->pid, SIGKILL);
    cr_assert(wait_end(self->pid, EVENT_MS, &status));
    self->pid = 0;
    await_nothing_left(self);
}

static int
remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void
omni_close(struct omni *self)
{
    if (self->pid > 0)
        omni_stop(self);
    api_reply_finish(&answer);
    api_close(&self->api);
    nftw(self->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
omni_endpoint(const struct omni *self, const char *name, char *out, size_t size)
{
    char path[128], line[256];
    size_t name_size = strlen(name);
    snprintf(path, sizeof(path), "%s/omni.lock", self->dir);
    FILE *file = fopen(path, "r");
    cr_assert(file);
    out[0] = '\0';
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, name, name_size) == 0 && line[name_size] == '=')
            snprintf(out, size, "%.*s", (int)strcspn(line + name_size + 1, "\n"),
                     line + name_size + 1);
    fclose(file);
    cr_assert(*out, "no %s in the lock file", name);
}

// ---- asking

// Every answer is one that the document says a request may get.
static void
expect_documented(struct omni *self, const char *method, const char *path)
{
    static struct api_reply document;
    if (!document.body &&
        api_call(self->api, &document, "GET", NULL, "/openapi.json") != EXIT_DONE)
        cr_assert_fail("there is no document");
    struct contract_answer seen = {
        .method = method, .path = path, .status = answer.status, .body = answer.body
    };
    const char *why = contract_check(document.body, &seen);
    char *text = why ? json_dumps(answer.body, JSON_ENCODE_ANY) : NULL;
    cr_expect_null(why, "%s\n%s", why, text);
    free(text);
}

long
omni_ask(struct omni *self, const char *method, json_t *body, const char *path, ...)
{
    char text[512];
    va_list list;
    va_start(list, path);
    vsnprintf(text, sizeof(text), path, list);
    va_end(list);
    api_reply_finish(&answer);
    int status = api_call(self->api, &answer, method, body, "%s", text);
    if (status == EXIT_UNREACHABLE)
        show_log(self);
    cr_assert_neq(status, EXIT_UNREACHABLE, "%s %s", method, text);
    expect_documented(self, method, text);
    return answer.status;
}

json_t *
omni_answer(void)
{
    return answer.body;
}

static json_t *
find(const char *path)
{
    json_t *value = answer.body;
    char part[64];
    while (value && *path) {
        size_t size = strcspn(path, ".");
        snprintf(part, sizeof(part), "%.*s", (int)size, path);
        value = json_object_get(value, part);
        path += size + (path[size] == '.');
    }
    return value;
}

const char *
omni_text(const char *path)
{
    const char *text = json_string_value(find(path));
    return text ? text : "";
}

double
omni_number(const char *path)
{
    return json_number_value(find(path));
}

void
omni_await_status(struct omni *self, long status, int64_t wait_ms)
{
    int64_t deadline_ms = om_clock_mono_ms() + wait_ms;
    for (;;) {
        api_reply_finish(&answer);
        // Also a connection that is refused is asked again.
        int result = api_call(self->api, &answer, "GET", NULL, "/api/v1/tasks?limit=1");
        if (result != EXIT_UNREACHABLE && answer.status == status)
            return;
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "answered %ld, not %ld",
                     answer.status, status);
        omni_pause();
    }
}

void
omni_await_back(struct omni *self)
{
    omni_await_status(self, 200, EVENT_MS);
}

void
omni_upload(struct omni *self, int rows, char id[64])
{
    char text[8192];
    FILE *file = fopen(OMNI_SOURCE_DIR "/examples/airline-passengers.csv", "r");
    cr_assert(file);
    size_t size = 0;
    for (int row = -1; row < rows; row++)
        if (fgets(text + size, (int)(sizeof(text) - size), file))
            size += strlen(text + size);
    fclose(file);
    api_reply_finish(&answer);
    cr_assert_eq(
        api_upload_bytes(self->api, &answer, "dataset", "airline.csv", text, size),
        EXIT_DONE);
    cr_assert_eq(answer.status, 201);
    snprintf(id, 64, "%s", omni_text("id"));
}

void
omni_train(struct omni *self, const char *file, int epochs, char id[64])
{
    json_t *body = json_pack("{s:s,s:s,s:s,s:i,s:i,s:{s:i}}", "model", "revenue-lstm",
                             "training_file", file, "target", "passengers", "horizon", 12,
                             "period", 12, "params", "epochs", epochs);
    cr_assert_eq(omni_ask(self, "POST", body, "/api/v1/train/custom-model"), 202);
    cr_assert_str_eq(omni_text("status"), "submitted");
    snprintf(id, 64, "%s", omni_text("task_id"));
}

// Is `word` one of the words of `list`?
static bool
is_one_of(const char *word, const char *list)
{
    size_t size = strlen(word);
    for (; *list; list += strcspn(list, " "), list += *list == ' ')
        if (size && strcspn(list, " ") == size && strncmp(word, list, size) == 0)
            return true;
    return false;
}

void
omni_await(struct omni *self, const char *task, const char *statuses, int64_t wait_ms)
{
    int64_t deadline_ms = om_clock_mono_ms() + wait_ms;
    bool ending = strstr(statuses, "complete") || strstr(statuses, "failed") ||
                  strstr(statuses, "cancelled");
    for (;;) {
        long status =
            omni_ask(self, "GET", NULL, "/api/v1/tasks/%s?wait=%d", task, ending ? 1 : 0);
        // While a child is being restarted the edge may answer 503.
        cr_assert(status == 200 || status == 503 || status == 504, "answered %ld",
                  status);
        if (status == 200 && is_one_of(omni_text("status"), statuses))
            return;
        bool over = status == 200 && json_is_number(find("finished_at"));
        if (over || om_clock_mono_ms() > deadline_ms) {
            show_log(self);
            cr_assert_fail("%s is %s (%s), not %s", task, omni_text("status"),
                           omni_text("error.message"), statuses);
        }
        if (status != 200 || !ending)
            omni_pause();
    }
}

long long
omni_metered(struct omni *self, const char *meter)
{
    size_t index;
    json_t *item;
    if (omni_ask(self, "GET", NULL, "/api/v1/usage?group_by=meter") != 200)
        return -1;
    json_array_foreach (json_object_get(answer.body, "data"), index, item) {
        const char *name = json_string_value(json_object_get(item, "meter"));
        const char *quantity = json_string_value(json_object_get(item, "quantity"));
        if (name && quantity && strcmp(name, meter) == 0)
            return atoll(quantity);
    }
    return 0;
}

void
omni_await_metered(struct omni *self, const char *meter, long long quantity)
{
    int64_t deadline_ms = om_clock_mono_ms() + EVENT_MS;
    long long seen;
    while ((seen = omni_metered(self, meter)) != quantity) {
        cr_assert_lt(seen, quantity, "%s was counted %lld times", meter, seen);
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "%s is %lld, not %lld", meter, seen,
                     quantity);
        omni_pause();
    }
}

long long
omni_verify_audit(struct omni *self)
{
    int64_t deadline_ms = om_clock_mono_ms() + EVENT_MS;
    long status;
    while ((status = omni_ask(self, "POST", NULL, "/api/v1/compliance/audit/verify")) ==
               503 ||
           status == 504) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "compliance does not answer");
        omni_pause();
    }
    cr_assert_eq(status, 200);
    cr_assert(json_is_true(json_object_get(answer.body, "valid")));
    return (long long)omni_number("entries");
}

void
omni_await_audited(struct omni *self)
{
    int64_t deadline_ms = om_clock_mono_ms() + EVENT_MS;
    while (omni_verify_audit(self) == 0) {
        cr_assert_lt(om_clock_mono_ms(), deadline_ms, "the audit log stays empty");
        omni_pause();
    }
}

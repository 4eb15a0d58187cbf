#include <stdio.h>
#include <time.h>

#include "clock.h"
#include "print.h"
#include "task.h"

// Silent, the server is asked to wait; to show progress it is asked often, and less often
// the longer it takes.
enum { WAIT_S = 30, INTERVAL_MIN_MS = 50, INTERVAL_MAX_MS = 500 };

static const char *const ended[] = { "complete", "failed", "cancelled", "expired" };

const char *
task_text(const struct api_reply *reply, const char *field)
{
    const char *text = json_string_value(json_object_get(reply->body, field));
    return text ? text : "";
}

static bool
has_ended(const struct api_reply *reply)
{
    for (size_t i = 0; i < OM_COUNT(ended); i++)
        if (strcmp(task_text(reply, "status"), ended[i]) == 0)
            return true;
    return false;
}

bool
task_complete(const struct api_reply *reply)
{
    return strcmp(task_text(reply, "status"), "complete") == 0;
}

static void
pause_until(int64_t due_ms)
{
    int64_t wait_ms = due_ms - om_clock_mono_ms();
    if (wait_ms <= 0)
        return;
    struct timespec time = { wait_ms / 1000, wait_ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

int
task_follow(struct api *api, const char *id, const char *label, int64_t timeout_ms,
            struct api_reply *reply)
{
    struct print_progress progress = { 0 };
    int64_t interval_ms = INTERVAL_MIN_MS, deadline_ms = om_clock_mono_ms() + timeout_ms;
    for (;;) {
        int64_t asked_ms = om_clock_mono_ms();
        int64_t left_s = (deadline_ms - asked_ms) / 1000;
        int64_t wait_s = label ? 0 : left_s < WAIT_S ? left_s : WAIT_S;
        int status = api_call(api, reply, "GET", NULL, "/api/v1/tasks/%s?wait=%lld",
                              api_escape(id), (long long)(wait_s > 0 ? wait_s : 0));
        if (status == EXIT_DONE && label)
            print_progress(&progress, label,
                           task_complete(reply) ? 1
                                                : json_number_value(json_object_get(
                                                      reply->body, "progress")),
                           json_object_get(reply->body, "detail"), om_clock_mono_ms());
        if (status != EXIT_DONE || has_ended(reply)) {
            print_progress_end(&progress);
            return status;
        }
        if (om_clock_mono_ms() >= deadline_ms) {
            print_progress_end(&progress);
            return args_fail(EXIT_REFUSED, "%s is still %s; not waiting any longer", id,
                             task_text(reply, "status"));
        }
        api_reply_finish(reply);
        pause_until(asked_ms + interval_ms);
        interval_ms += interval_ms < INTERVAL_MAX_MS ? interval_ms / 5 : 0;
    }
}

void
task_report(const struct api_reply *reply)
{
    const char *message = NULL, *code = NULL;
    json_unpack(reply->body, "{s:{s?s,s?s}}", "error", "message", &message, "code",
                &code);
    args_fail(0, "%s is %s%s%s%s%s%s", task_text(reply, "id"), task_text(reply, "status"),
              message ? ": " : "", message ? message : "", code ? " (" : "",
              code ? code : "", code ? ")" : "");
}

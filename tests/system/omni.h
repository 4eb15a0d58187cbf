// omni.h - a whole Omni as users run it, `omni up`, for a test: started, asked, hurt.
//
// Every wait has a deadline, after which the test fails with the log.
#pragma once
#include <criterion/criterion.h>
#include <sys/types.h>

#include "api.h"

struct omni {
    char folder[64]; // holds the data folder and the log
    char dir[96];    // the data folder
    char log[96];
    char url[128], key[192];
    pid_t pid; // 0: not running
    struct api *api;
    int64_t ready_ms; // how long the last start took
};

// Make a folder, start on it, and wait until it is ready.
void omni_open(struct omni *self);

// Start again on the same folder, on any free port.
void omni_start(struct omni *self);

// Start and wait for its end, with `arguments` behind `up` (ends with NULL); its standard
// error is in `text`. Returns the exit status.
int omni_try(struct omni *self, const char *const *arguments, char *text, size_t size);

// SIGTERM, and wait; the test fails when it takes longer than five seconds, when
// something is left running, or when a sanitizer complained in the log.
void omni_stop(struct omni *self);

// SIGKILL, and wait until nothing of it is left.
void omni_kill(struct omni *self);

// Stop if it runs and remove the folder.
void omni_close(struct omni *self);

// The process id of a child: its program's name, or the pool of an omni-inference. The
// test fails if it does not appear in time.
pid_t omni_child(struct omni *self, const char *name);

// The same, of a process other than `old`.
pid_t omni_child_after(struct omni *self, const char *name, pid_t old);

// The processes whose command line or environment names the data folder.
int omni_processes(const struct omni *self);

// The value of a line of the lock file, e.g. "OMNI_BROKER_WORK".
void omni_endpoint(const struct omni *self, const char *name, char *out, size_t size);

// Wait until it answers again after one of its processes was killed.
void omni_await_back(struct omni *self);

// Ask for the tasks until that is answered with `status`; the test fails after `wait_ms`.
void omni_await_status(struct omni *self, long status, int64_t wait_ms);

// Let a moment pass before something is looked at again; the caller has a deadline.
void omni_pause(void);

// ---- asking it; failures of the connection fail the test

// Send a request; returns the HTTP status. The answer lives until the next request.
long omni_ask(struct omni *self, const char *method, json_t *body, const char *path, ...)
    __attribute__((format(printf, 4, 5)));

// The last answer, and a text or number in it: "a.b" is the field b of the object a.
json_t *omni_answer(void);
const char *omni_text(const char *path);
double omni_number(const char *path);

// Upload the sample data's first `rows` rows; the file's id is in `id`.
void omni_upload(struct omni *self, int rows, char id[64]);

// Submit a training of `epochs` passes on the file; the task's id is in `id`.
void omni_train(struct omni *self, const char *file, int epochs, char id[64]);

// Ask for a task until its status is one of `statuses` ("running", or "complete failed");
// the test fails when that takes longer than `wait_ms`.
void omni_await(struct omni *self, const char *task, const char *statuses,
                int64_t wait_ms);

// The metered quantity of a meter.
long long omni_metered(struct omni *self, const char *meter);

// Ask until the meter shows `quantity`, which it must not pass.
void omni_await_metered(struct omni *self, const char *meter, long long quantity);

// Check the audit chain; returns how many entries it has.
long long omni_verify_audit(struct omni *self);

// Check it until it has entries: what is not privileged is audited within a second.
void omni_await_audited(struct omni *self);

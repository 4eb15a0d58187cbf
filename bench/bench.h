// bench.h - what the parts of omni-bench share: options, the board on which processes
// note what has come to its end, the processes themselves.
#pragma once
#include <stdatomic.h>
#include <stdio.h>
#include <sys/types.h>

#include "base.h"

struct bench_options {
    int64_t window, jobs, payload_bytes, workers, slots, threads;
    int64_t tenants; // whose jobs they are, in turns
    int64_t rate;    // jobs started a second; 0: as fast as the window lets
    int64_t sampled; // of a hundred jobs, as their trace contexts say
    const char *queue;
    const char *broker, *work; // endpoints of a broker that runs; NULL: start one
    const char *folder;        // for the store of the broker that is started
};

// One piece of work, on the monotonic clock in µs.
struct bench_mark {
    int64_t start_us;
    _Atomic int64_t end_us; // 0: not yet
    atomic_uint ends, events, runs;
};

// Memory that the processes share. The client sleeps on `wake_fd`, and is woken only if
// it says that it sleeps, so that a busy bench does not pay for waking.
struct bench_board {
    atomic_bool client_sleeps;
    _Atomic int64_t ended, events;
    int wake_fd;
    int64_t count;
    struct bench_mark marks[];
};

// Made before the first fork. Exits on failure; so does everything here that can fail.
struct bench_board *board_create(int64_t count);

// Note that a handler begins work `index`.
void board_run(struct bench_board *self, int64_t index);

// Note the end of work `index`, and wake the client.
void board_end(struct bench_board *self, int64_t index);

// Note an event of work `index`.
void board_event(struct bench_board *self, int64_t index);

// Sleep until work ends, one of two further descriptors (-1: none) is readable, or
// `wait_us` is over, unless more than `seen` have ended. In µs, because a client that
// submits at a rate would else take a processor to wait.
void board_sleep(struct bench_board *self, int64_t seen, const int fds[2],
                 int64_t wait_us);

// Quantiles of the time from start to end of marks [first, last), in µs.
struct bench_latency {
    int64_t p50_us, p99_us, max_us;
};
struct bench_latency board_latency(const struct bench_board *self, int64_t first,
                                   int64_t last);

// A child that ends with this process, and runs `body` and exits, or a program.
pid_t child_fork(void (*body)(void *context), void *context);
pid_t child_exec(const char *const *arguments, const char *const *environment);

// Ask it to end, and wait; it is killed after 10 s.
void child_stop(pid_t child);

// A folder of its own under `parent`, removed with all it holds: by folder_remove(), or,
// however this process ends, when its children have ended too.
void folder_make(const char *parent, char *out, size_t size);
void folder_remove(const char *folder);

// The folder this program is in.
void program_folder(char *out, size_t size);

// Memory of a process as /proc/PID/status tells it, in KiB; -1 if it cannot be read.
int64_t process_kb(pid_t process, const char *field);

// Processor time of these processes and of this one so far, in µs, to 10 ms each.
int64_t processes_cpu_us(const pid_t *processes, int count);

// The file in which fsync_count.c counts.
#define BENCH_FSYNC_VARIABLE "OMNI_BENCH_FSYNCS"

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The modes; each prints one line of JSON.
void bench_jobs(const struct bench_options *options);
void bench_backlog(const struct bench_options *options);
void bench_calls(const struct bench_options *options);

// peer.h - what the clients of other queues share: options, processes, the window, the
// report. A peer says how its server is started, a job submitted, taken and acknowledged.
//
// A job is outstanding from its submit until its consumer has acknowledged it, with an
// answer where the peer gives one; a run ends when each submit was confirmed, too. The
// peers keep no result, no usage event and no state of a job: they do less than Omni.
#pragma once
#include "bench.h"

struct peer_run {
    struct bench_board *board;
    char folder[256], socket[300]; // for the server: its files, and its Unix socket
    int port;                      // ... or a free port on 127.0.0.1
    int64_t window, jobs, payload_bytes, workers, slots;
    const char *fsync; // --appendfsync, Redis's only
    bool ack_each;     // false: --ack-batch, Redis's only
    char *payload;     // of the next job; begins with its number
    void *client;      // what `open` made
};

// Everything here exits when it fails.
struct peer {
    const char *name;
    const char *durable; // what a confirmed submit outlives, for the report

    // Start the server; `environment` has what counts its fsyncs, and ends with NULL.
    pid_t (*start)(struct peer_run *run, const char *const *environment);

    // Connect as soon as the server is up, and make the queue.
    void (*open)(struct peer_run *run);
    void (*close)(struct peer_run *run);

    // Add the job in run->payload to what is to be sent.
    void (*submit)(struct peer_run *run);

    // Send, and receive without waiting: how many submits were confirmed since.
    int64_t (*confirmed)(struct peer_run *run);
    int (*fd)(const struct peer_run *run);

    // In a process of its own: take jobs for ever, and peer_ended() for each that was
    // acknowledged.
    void (*consume)(struct peer_run *run);
};

// A port of 127.0.0.1 that is free at this moment.
int peer_free_port(void);

void peer_ended(struct peer_run *run, struct om_str payload);

// The main function of a peer's client.
int peer_main(const struct peer *peer, int argc, char **argv);

// worker_fixture.h - a worker against a broker that the test plays itself, message by
// message.
#pragma once
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>

#include "fake_broker.h"
#include "worker.h"

extern char token_bytes[WIRE_TOKEN_BYTES]; // of the jobs sent singly
extern sem_t turns;                        // for "turn"

// "echo" answers its payload; "wait" runs until it is cancelled; "turn" until the test
// lets it end; "fail" fails; "parts" answers with its payload as many times as are taken,
// three at most, and meters them.
void handle_echo(void *context, struct om_job *job);

struct fixture {
    struct fake_broker broker;
    struct om_worker *worker;
    pthread_t thread;
    bool quick; // it answers calls of the kind "echo" in its control thread
};

// Start a worker that has said how many jobs it takes, and end it.
void open_worker(struct fixture *self, int slots);
void open_worker_of(struct fixture *self, int slots, int64_t heartbeat_ms);
void stop_worker(struct fixture *self);
void close_worker(struct fixture *self); // and its broker

void broker_send_job(struct fake_broker *self, const char *kind, const char *payload);
void broker_send_token(struct fake_broker *self, enum wire_type type);

// Jobs of one kind in one bundle, with the numbers 0, 1, ... as their tokens' first byte.
void broker_send_jobs(struct fake_broker *self, const char *kind, char round, char count);

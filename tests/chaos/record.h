// record.h - what a process of the chaos run saw, a line at a time, in a log of its own.
//
// A line is "KIND MS WORDS…" with the time on the mono clock, which all processes of a
// machine share. It is written with one call, so a process that is killed leaves whole
// lines and at most one that is cut short. Any thread.
//
//  kind  words                                   written by
//  S     ref task tenant queue parent            the load, before it submits
//  A     ref task                                ... when SUBMITTED came
//  R     ref code                                ... when it was refused, or nobody knows
//  C     task                                    ... before it cancels
//  K     task                                    ... when CANCEL_ACK came
//  B     pid task tenant attempt ref             a worker, when its handler begins
//  E     pid task attempt outcome nonce          ... and before it returns
//  D     pid task attempt                        ... when DONE_ACK came
//  U     shard seq id meter quantity ref         the subscriber: one usage event
//  F     task state attempts lost code result    the drain: how a task ended
//  L     task state                              the drain: a task that is listed
#pragma once
#include <stdio.h>

#include "clock.h"

struct record {
    int fd;
};

// Open the log, behind what an earlier process has written. Exits on failure, as
// everything here does: a run whose records are not whole proves nothing.
void record_open(struct record *self, const char *path);

void record_line(struct record *self, char kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Several lines that were made before, in one write.
void record_put(struct record *self, const char *text, size_t size);

// Have all lines on disk.
void record_sync(struct record *self);

_Noreturn void record_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The value of "ref" in a job's payload, a JSON object; "-" if there is none.
enum { RECORD_REF_MAX = 32 };
void record_ref(struct om_str payload, char out[RECORD_REF_MAX]);

// platform.h - an edge as a real program, with the broker and services behind it, for the
// tests of the suite `ingest`.
//
// Every answer is held to the API's document, and has the id of its request. One thread.
#pragma once
#include "edge_program.h"
#include "http_ask.h"

enum { PLATFORM_WAIT_MS = 20000 };

extern struct platform {
    struct stage stage;
    char url[EDGE_PROGRAM_URL], admin[128];
    struct program broker, identity, registry, billing, ingest;
    struct http_answer answer; // the last one
} platform;

// Ask the edge, over a connection of its own. Each returns the status.
long ask(struct http_ask ask);
long get(const char *path);                    // as the operator
long post(const char *path, const char *body); // as the operator

// A member of the last answer: its text, "" if it has none; its number, 0.
const char *said(const char *path);
int64_t number(const char *path);

// edge_program.h - omni-ingest as a test's program.
#pragma once
#include "program.h"
#include "stage.h"

enum { EDGE_PROGRAM_URL = 64 };

// Start it and wait until it listens, on the port that `url` then names.
void edge_program_start(struct program *self, const struct stage *stage,
                        char url[EDGE_PROGRAM_URL]);

// Wait until it says that all it needs is there.
void edge_program_await(const char *url);

// End it as an operator would: the test fails when it ends badly or a sanitizer spoke.
void edge_program_stop(struct program *self);

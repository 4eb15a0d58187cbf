// store_suite.h - a store for each test of a suite:
// TestSuite(name, .init = store_begin, .fini = store_end).
#pragma once
#include "store_fixture.h"

extern struct fixture fx;

// Open it, on a disk that does not fail; and end both.
void store_begin(void);
void store_end(void);

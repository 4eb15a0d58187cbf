// airline.h - the sample series of examples/airline-passengers.csv, for tests.
#pragma once
#include <criterion/criterion.h>
#include <stdio.h>

enum { AIRLINE_COUNT = 144, AIRLINE_KNOWN = 132 };

static inline void
airline_read(double out[AIRLINE_COUNT])
{
    FILE *file = fopen(OMNI_SOURCE_DIR "/examples/airline-passengers.csv", "r");
    cr_assert(file);
    char line[64];
    cr_assert(fgets(line, sizeof(line), file)); // the header
    for (int i = 0; i < AIRLINE_COUNT; i++)
        cr_assert_eq(fscanf(file, "%*d-%*d,%lf", &out[i]), 1, "row %d", i + 1);
    fclose(file);
}

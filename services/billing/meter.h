// meter.h - what is metered, once. Pure.
//
// Quantities are integers in the meter's base unit. Usage of a meter that is not in the
// list is kept all the same and reported in the unit "unit"; what a tenant's own workers
// meter comes from the broker with "own." before its name.
#pragma once
#include "base.h"

// clang-format off
//  name                  unit     what it counts
#define METER_LIST(X)                                                                     \
    X(api_call,              "call",  "authenticated HTTP requests")                      \
    X(ml_inference,          "call",  "predictions")                                      \
    X(custom_model,          "model", "trainings that were completed")                    \
    X(custom_model_removed,  "model", "models that were deleted")                         \
    X(storage_bytes,         "byte",  "files and models that were stored")                \
    X(storage_bytes_removed, "byte",  "files and models that were deleted")               \
    X(compute_ms,            "ms",    "time a worker spent on jobs")
// clang-format on

// The base unit of a meter; static text.
const char *meter_unit(struct om_str name);

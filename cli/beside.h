// beside.h - where this program's binary is, and what lies beside it.
#pragma once
#include <limits.h>

#include "base.h"

// The path of `name` in the folder of the running binary. False if it is too long.
bool beside_path(const char *name, char out[PATH_MAX]);

// commands.h - what each command of `omni` runs.
#pragma once
#include "args.h"

extern const struct args_command commands[];

int cmd_up(const struct args *args);
int cmd_version(const struct args *args);

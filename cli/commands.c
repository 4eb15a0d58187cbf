#include <stdio.h>

#include "commands.h"

// clang-format off
const struct args_command commands[] = {
    { "up", NULL, "", 0, 0, false,
      "Run all of Omni on this machine until it is told to stop.", cmd_up,
      { { "data", "DIR", "where everything is kept (default: OMNI_DATA, ./data)" },
        { "listen", "HOST:PORT", "address of the interface (default 127.0.0.1:8080); port 0 is any free one" },
        { "workers", "N", "predictions at a time (default: one a core); half as many trainings" } } },
    { "version", NULL, "", 0, 0, false, "Print the version.", cmd_version, { { 0 } } },
    { "help", NULL, "", 0, 0, false, "List the commands.", NULL, { { 0 } } },
    { 0 },
};
// clang-format on

int
cmd_version(const struct args *args)
{
    (void)args;
    printf("omni %s\n", OMNI_VERSION);
    return EXIT_DONE;
}

#include "commands.h"

int
main(int argc, char **argv)
{
    return args_run(commands, argc, argv);
}

#include <stdio.h>
#include <unistd.h>

#include "beside.h"

bool
beside_path(const char *name, char out[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (size <= 0)
        return false;
    self[size] = '\0';
    int folder = (int)(strrchr(self, '/') - self);
    return snprintf(out, PATH_MAX, "%.*s/%s", folder, self, name) < PATH_MAX;
}

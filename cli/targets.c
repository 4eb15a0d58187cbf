#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "targets.h"

bool
targets_take(struct targets *out, struct crew_member *members, size_t count, char *why,
             size_t why_size)
{
    const char *set = getenv("OMNI_ADMIN");
    const char *listen = set && *set ? set : "127.0.0.1:0";
    const char *port = strrchr(listen, ':');
    bool off = strcmp(listen, "off") == 0;
    out->count = 0;
    if (!off && (!port || strcmp(port, ":0") != 0)) {
        snprintf(why, why_size,
                 "OMNI_ADMIN is \"%s\": each program has a port of its own, so give "
                 "HOST:0, or off",
                 listen);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        members[i].admin = "off";
        if (off)
            continue;
        if (port_take(listen, &out->ports[i], why, why_size) != OM_OK) {
            targets_release(out);
            return false;
        }
        out->count++;
        members[i].admin = out->ports[i].listen;
    }
    return true;
}

// The host and port of "http://HOST:PORT".
static const char *
target_of(const struct port *port)
{
    const char *at = strstr(port->url, "://");
    return at ? at + 3 : port->url;
}

static bool
write_file(const struct targets *self, const struct crew_member *members,
           const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return false;
    for (size_t i = 0; i < self->count; i++)
        fprintf(file, "%s{\"targets\":[\"%s\"],\"labels\":{\"process\":\"%s\"}}%s",
                i ? " " : "[", target_of(&self->ports[i]), members[i].name,
                i + 1 < self->count ? ",\n" : "]\n");
    bool failed = ferror(file);
    return fclose(file) == 0 && !failed;
}

bool
targets_publish(const struct targets *self, const struct crew_member *members,
                const char *dir, char *why, size_t why_size)
{
    char path[PATH_MAX + 32], fresh[PATH_MAX + 40];
    snprintf(path, sizeof(path), "%s/prometheus.json", dir);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    // Prometheus may read at any time, so the file is put there as a whole.
    if (self->count == 0 ? unlink(path) == 0 || errno == ENOENT
                         : write_file(self, members, fresh) && rename(fresh, path) == 0)
        return true;
    snprintf(why, why_size, "cannot write %s: %s", path, strerror(errno));
    return false;
}

void
targets_release(struct targets *self)
{
    for (size_t i = 0; i < self->count; i++)
        close(self->ports[i].fd);
    self->count = 0;
}

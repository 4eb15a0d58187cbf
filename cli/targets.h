// targets.h - where the programs of one `omni up` show their metrics: a port each, and
// the file that tells Prometheus of them (file_sd_configs).
#pragma once
#include "crew.h"
#include "port.h"

enum { TARGETS_MAX = 16 };

struct targets {
    size_t count; // 0: there are none
    struct port ports[TARGETS_MAX];
};

// Take a port for each member and set its `admin`. OMNI_ADMIN may name another host than
// the loopback, as HOST:0, or be "off". False with the reason in `why`.
bool targets_take(struct targets *out, struct crew_member *members, size_t count,
                  char *why, size_t why_size);

// Write DIR/prometheus.json, or remove it if there are none.
bool targets_publish(const struct targets *self, const struct crew_member *members,
                     const char *dir, char *why, size_t why_size);

void targets_release(struct targets *self);

#include <malloc.h>
#include <stdio.h>
#include <sysexits.h>

#include "admin.h"
#include "broker.h"
#include "conf.h"
#include "keys.h"
#include "log.h"

#define AT(member) offsetof(struct broker_conf, member)

static const struct om_setting settings[] = {
    { "OMNI_BROKER", CONF_STR, AT(client), "ipc://run/broker", 0, 0,
      "where clients connect: endpoints, separated by commas" },
    { "OMNI_BROKER_WORK", CONF_STR, AT(work), "ipc://run/work", 0, 0,
      "where workers connect: endpoints, separated by commas" },
    { "OMNI_DATABASE", CONF_STR, AT(database), "sqlite:data", 0, 0,
      "where jobs and events are kept: sqlite:DIR" },
    { "OMNI_KEYS", CONF_STR, AT(keys), "", 0, 0, "folder of CURVE keys, needed on tcp" },
    { "OMNI_NODE", CONF_STR, AT(node), "broker", 0, 0,
      "name of this process in logs and listings" },
    OM_ADMIN_SETTING(AT(admin)),
    { "OMNI_RETENTION_HOURS", CONF_INT, AT(retention_hours), "24", 1, 8760,
      "how long ended jobs are kept; applied events at most so long" },
    { "OMNI_JOBS_MAX", CONF_INT, AT(jobs_max), "20000000", 1, 1000000000,
      "open jobs in all; one more is refused as queue_full" },
    { "OMNI_TENANT_JOBS_MAX", CONF_INT, AT(tenant_jobs_max), "1000000", 1, 1000000000,
      "open jobs of a tenant" },
    { "OMNI_PENDING_BYTES_MAX", CONF_INT, AT(pending_bytes_max), "67108864", 1048576,
      4294967296, "payloads on their way to the disk; beyond it jobs are refused" },
    { 0 },
};

static int
make_keys(const char *directory)
{
    char why[4200];
    if (keys_make(directory, why, sizeof(why)) == OM_OK)
        return EX_OK;
    fprintf(stderr, "omni-broker: %s\n", why);
    return EX_CANTCREAT;
}

// Left to itself the C library learns from the first large block that is freed to keep
// such blocks in its heap, tens of MiB of them, in pieces.
static void
bound_heap(void)
{
    mallopt(M_MMAP_THRESHOLD, 2 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--make-keys") == 0)
        return make_keys(argv[2]);
    bool check = false;
    int status = om_conf_arguments("omni-broker", "\n       omni-broker --make-keys DIR",
                                   settings, argc, argv, &check);
    if (status >= 0)
        return status;
    char why[512];
    struct broker_conf conf = { 0 };
    om_log_init("broker");
    bound_heap();
    status = EX_CONFIG;
    if (om_conf_load(settings, &conf, why, sizeof(why)) == OM_OK)
        status = check ? EX_OK : broker_run(&conf);
    else
        om_log(OM_ERROR, "cannot start", LOG_S("why", why));
    om_conf_free(settings, &conf);
    return status;
}

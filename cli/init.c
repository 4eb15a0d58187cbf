#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "beside.h"
#include "commands.h"
#include "home.h"

// The keys are the broker's affair; this program becomes it.
static int
make_keys(const char *keys)
{
    char broker[PATH_MAX];
    if (beside_path("omni-broker", broker))
        execl(broker, "omni-broker", "--make-keys", keys, (char *)NULL);
    return args_fail(EX_OSFILE, "omni-broker is not beside this program: %s",
                     strerror(errno));
}

int
cmd_init(const struct args *args)
{
    struct home home;
    char why[PATH_MAX + 128];
    const char *dir = args_get(args, "data"), *keys = args_get(args, "keys");
    umask(077);
    enum om_rc rc = home_open(&home, dir ? dir : "data", why, sizeof(why));
    if (rc != OM_OK)
        return args_fail(rc == OM_ECONFLICT ? EX_UNAVAILABLE : EX_CANTCREAT, "%s", why);
    home_close(&home);
    return keys ? make_keys(keys) : EX_OK;
}

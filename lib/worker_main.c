#include <signal.h>

#include "tracing.h"
#include "worker.h"

static struct om_worker *running;

static void
on_signal(int number)
{
    (void)number;
    om_worker_stop(running);
}

static void
on_end(void (*handler)(int))
{
    signal(SIGTERM, handler);
    signal(SIGINT, handler);
}

enum om_rc
om_worker_main(const struct om_worker_conf *conf, const char **why)
{
    enum om_rc rc = om_worker_create(conf, &running, why);
    if (rc != OM_OK)
        return rc;
    on_end(on_signal);
    om_tracing_start("worker", conf->link.node);
    om_worker_run(running);
    on_end(SIG_DFL);
    om_worker_destroy(&running);
    om_tracing_stop();
    return OM_OK;
}

#include <stdio.h>
#include <time.h>

#include "pool.h"

const struct om_route pool_inference_routes[] = {
    { OP_predict, pool_predict },
    { OP_train_check, pool_train_check },
    { 0 },
};

const struct om_route pool_training_routes[] = {
    { OP_train, pool_train },
    { 0 },
};

enum om_rc
pool_ask_registry(struct om_call *call, enum op op, const char *param,
                  const void *request, void *reply)
{
    struct om_str text = { 0 };
    enum om_rc rc = om_client_call(om_call_client(call), op, call->tenant, request, reply,
                                   POOL_REGISTRY_MS, &text);
    if (rc == OM_OK)
        return OM_OK;
    if (text.size == 0)
        text = om_str(om_rc_info(rc)->text);
    return om_job_fail(call->job, rc, param, "%s%s%.*s", param ? param : "",
                       param ? ": " : "", (int)text.size, text.data);
}

static bool
is_cancelled(void *context)
{
    return om_job_cancelled(context);
}

struct om_blob_caller
pool_blob_caller(const struct om_call *call)
{
    return (struct om_blob_caller){ call->grant, is_cancelled, call->job };
}

int64_t
pool_cpu_ms(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * 1000 + spent.tv_nsec / 1000000;
}

enum om_rc
pool_fail_model(struct om_call *call, enum om_rc rc, struct om_str name)
{
    char names[256] = "";
    int used = 0;
    for (size_t i = 0; i < model_plugin_count && used < (int)sizeof(names); i++)
        used += snprintf(names + used, sizeof(names) - (size_t)used, "%s%s",
                         i ? ", " : "", model_plugins[i]->name);
    return om_job_fail(call->job, rc, "model",
                       "model: there is no model named %.*s; there are: %s",
                       (int)name.size, name.data ? name.data : "", names);
}

void
pool_part_end(const struct om_span_part *part, const char *name, struct om_str model,
              enum om_rc rc)
{
    const struct om_rc_info *info = om_rc_info(rc);
    bool failed = rc != OM_OK && info->http_status >= 500;
    struct om_span *span = om_span_part_end(part, failed ? info->code : NULL);
    if (rc != OM_OK && !failed) // what was asked for was wrong
        om_span_str(span, OM_ATTR_ERROR, om_str(info->code));
    om_span_name(span, "%s", name);
    om_span_str(span, OM_ATTR_MODEL, model);
    om_span_end(span);
}

// Forgetting answers that are cached.
#include "api.h"
#include "commands.h"

int
cmd_cache_purge(const struct args *args)
{
    static const char *const names[] = { "model", "key-of" };
    static const char *const fields[] = { "model", "key" };
    struct api_reply reply = { 0 };
    struct api *api = api_open(args);
    int status;
    if (!api)
        return EXIT_USAGE;
    json_t *body = json_object();
    for (size_t i = 0; i < OM_COUNT(names); i++)
        if (args_get(args, names[i]))
            json_object_set_new(body, fields[i], json_string(args_get(args, names[i])));
    const char *tenant = args_get(args, "tenant");
    if (tenant)
        status = api_call(api, &reply, "POST", body,
                          "/api/v1/admin/tenants/%s/cache/purge", api_escape(tenant));
    else
        status = api_call(api, &reply, "POST", body, "/api/v1/cache/purge");
    return finish_object(args, &api, &reply, status);
}

#include <math.h>
#include <stdio.h>

#include "model.h"
#include "record.h"

#define MODEL_ROW(plugin) &plugin,
const struct model_plugin *const model_plugins[] = { MODEL_LIST(MODEL_ROW) };
const size_t model_plugin_count = OM_COUNT(model_plugins);

const struct model_plugin *
model_find(struct om_str name)
{
    for (size_t i = 0; i < model_plugin_count; i++)
        if (om_str_eq(name, om_str(model_plugins[i]->name)))
            return model_plugins[i];
    return NULL;
}

static enum om_rc
refuse_unknown(const struct model_plugin *plugin, struct om_str name, char *why)
{
    int used = snprintf(why, SERIES_WHY_MAX, "%.*s is no parameter of %s; it takes",
                        name.size < 64 ? (int)name.size : 64, name.data, plugin->name);
    for (size_t i = 0; i < plugin->param_count && used < SERIES_WHY_MAX; i++)
        used += snprintf(why + used, SERIES_WHY_MAX - (size_t)used, "%s %s", i ? "," : "",
                         plugin->params[i].name);
    if (plugin->param_count == 0)
        snprintf(why + used, SERIES_WHY_MAX - (size_t)used, " none");
    return OM_EINVAL;
}

static enum om_rc
read_param(const struct model_param *param, struct rec_iter *iter, double *out, char *why)
{
    double value;
    if (rec_next_f64(iter, &value) && value >= param->min && value <= param->max &&
        (!param->integer || value <= floor(value))) {
        *out = value;
        return OM_OK;
    }
    snprintf(why, SERIES_WHY_MAX, "%s must be %s from %.16g to %.16g", param->name,
             param->integer ? "a whole number" : "a number", param->min, param->max);
    return OM_EINVAL;
}

enum om_rc
model_params_read(const struct model_plugin *plugin, struct om_str map, double *out,
                  char *why)
{
    for (size_t i = 0; i < plugin->param_count; i++)
        out[i] = plugin->params[i].standard;
    struct rec_iter iter = rec_iter(map);
    size_t pairs = iter.left;
    iter.left *=
        2; // the iterator counts a map's pairs; keys and values are read one by one
    for (; pairs > 0; pairs--) {
        struct om_str name;
        if (!rec_next_str(&iter, &name)) {
            snprintf(why, SERIES_WHY_MAX, "every parameter needs a name");
            return OM_EINVAL;
        }
        size_t i = 0;
        while (i < plugin->param_count &&
               !om_str_eq(name, om_str(plugin->params[i].name)))
            i++;
        if (i == plugin->param_count)
            return refuse_unknown(plugin, name, why);
        enum om_rc rc = read_param(&plugin->params[i], &iter, &out[i], why);
        if (rc != OM_OK)
            return rc;
    }
    return OM_OK;
}

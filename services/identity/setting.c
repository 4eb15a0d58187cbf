#include <ctype.h>
#include <stdio.h>

#include "setting.h"

// "*", or scheme://host[:port] without a path, as browsers send it.
static bool
is_origin(struct om_str text)
{
    static const char *const schemes[] = { "https://", "http://" };
    if (om_str_eq(text, OM_LIT("*")))
        return true;
    for (size_t i = 0; i < OM_COUNT(schemes); i++) {
        size_t size = strlen(schemes[i]);
        if (text.size <= size || memcmp(text.data, schemes[i], size) != 0)
            continue;
        for (size_t at = size; at < text.size; at++) {
            unsigned char c = (unsigned char)text.data[at];
            if (!islower(c) && !isdigit(c) && !strchr(".-:[]", c))
                return false;
        }
        return true;
    }
    return false;
}

static bool
is_name(struct om_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (!isalnum(c) && !strchr("._:/-", c))
            return false;
    }
    return text.size > 0;
}

// clang-format off
const struct setting settings_known[] = {
    { "cors_origins", SETTING_STRINGS, 0, 32, is_origin,
      "an origin such as https://app.example.com, or *",
      "web origins whose pages may use the tenant's keys" },
    { "default_model", SETTING_STRING, 1, 64, is_name,
      "letters, digits and . _ : / -",
      "model for requests that name none" },
    { "requests_per_minute", SETTING_INTEGER, 0, 1e9, NULL, NULL,
      "requests of all the tenant's keys in any minute; 0: as the plan says" },
    { "tokens_per_minute", SETTING_INTEGER, 0, 1e12, NULL, NULL,
      "tokens of all the tenant's keys in any minute; 0: as the plan says" },
    { "concurrent_requests", SETTING_INTEGER, 0, 1e6, NULL, NULL,
      "requests of all the tenant's keys at a time; 0: as the plan says" },
    { "cache", SETTING_BOOLEAN, 0, 1, NULL, NULL,
      "answers of predictions may be kept and given again; true if absent" },
};
// clang-format on

const size_t settings_known_count = OM_COUNT(settings_known);

const struct setting *
setting_find(struct om_str name)
{
    for (size_t i = 0; i < settings_known_count; i++)
        if (om_str_eq(name, om_str(settings_known[i].name)))
            return &settings_known[i];
    return NULL;
}

const char *
setting_type_name(enum setting_type type)
{
    static const char *const names[] = { "integer", "boolean", "string",
                                         "array of strings" };
    return names[type];
}

static enum om_rc
refuse_type(const struct setting *self, char why[SETTING_WHY_MAX])
{
    snprintf(why, SETTING_WHY_MAX, "\"%s\" must be an %s", self->name,
             setting_type_name(self->type));
    if (!strchr("aeiou", setting_type_name(self->type)[0]))
        snprintf(why, SETTING_WHY_MAX, "\"%s\" must be a %s", self->name,
                 setting_type_name(self->type));
    return OM_EINVAL;
}

static enum om_rc
check_range(const struct setting *self, double measure, const char *unit,
            char why[SETTING_WHY_MAX])
{
    if (measure >= self->low && measure <= self->high)
        return OM_OK;
    snprintf(why, SETTING_WHY_MAX, "\"%s\" must be %.15g to %.15g%s, not %.15g",
             self->name, self->low, self->high, unit, measure);
    return OM_EINVAL;
}

static enum om_rc
check_text(const struct setting *self, struct om_str text, char why[SETTING_WHY_MAX])
{
    enum { TEXT_MAX = 255 };
    if (text.size <= TEXT_MAX && (!self->check || self->check(text)))
        return OM_OK;
    snprintf(why, SETTING_WHY_MAX, "\"%s\": \"%.*s\" is not %s", self->name,
             (int)(text.size < 64 ? text.size : 64), text.size ? text.data : "",
             self->wanted);
    return OM_EINVAL;
}

enum om_rc
setting_check(const struct setting *self, struct om_str value, char why[SETTING_WHY_MAX])
{
    struct rec_value head;
    struct om_str rest = value, text;
    if (!rec_next_value(&rest, &head))
        return refuse_type(self, why);
    if (self->type == SETTING_INTEGER && head.kind == REC_VALUE_I64)
        return check_range(self, (double)head.integer, "", why);
    if (self->type == SETTING_BOOLEAN && head.kind == REC_VALUE_BOOL)
        return OM_OK;
    if (self->type == SETTING_STRING && head.kind == REC_VALUE_STR) {
        enum om_rc rc = check_range(self, (double)head.bytes.size, " bytes", why);
        return rc ? rc : check_text(self, head.bytes, why);
    }
    if (self->type != SETTING_STRINGS || head.kind != REC_VALUE_ARRAY)
        return refuse_type(self, why);
    enum om_rc rc = check_range(self, (double)head.count, " items", why);
    struct rec_iter iter = rec_iter(value);
    while (!rc && rec_next_str(&iter, &text))
        rc = check_text(self, text, why);
    return !rc && iter.left > 0 ? refuse_type(self, why) : rc;
}

#include <strings.h>

#include "trace_http.h"

enum { HEADERS_MAX = OM_HTTP_FIELDS_MAX };

// All header fields of that name. Returns how many there are.
static size_t
find_all(const struct om_http_request *request, const char *name, struct om_str *out)
{
    size_t count = 0, size = strlen(name);
    for (size_t i = 0; i < request->field_count && count < HEADERS_MAX; i++) {
        const struct om_http_field *field = &request->fields[i];
        if (field->name.size == size && strncasecmp(field->name.data, name, size) == 0)
            out[count++] = field->value;
    }
    return count;
}

bool
om_trace_of_request(const struct om_http_request *request, struct om_trace *out,
                    char state[OM_TRACESTATE_MAX + 1], size_t *state_size)
{
    struct om_str headers[HEADERS_MAX];
    *out = (struct om_trace){ 0 };
    *state_size = 0;
    size_t count = find_all(request, "traceparent", headers);
    if (count != 1 || om_trace_parse(headers[0], out) != OM_OK)
        return false;
    count = find_all(request, "tracestate", headers);
    *state_size = om_tracestate_read(headers, count, state);
    return true;
}

#include <strings.h>

#include "pack.h"
#include "proxy.h"

static bool
is_trusted(const struct proxies *self, const struct om_http_request *request,
           struct om_address *remote)
{
    return self->count > 0 &&
           om_address_parse(om_str(request->remote), remote) == OM_OK &&
           om_cidr_any(self->networks, self->count, remote);
}

// All fields of the name, as if they were one (RFC 9110, 5.3): a proxy may add a field of
// its own behind one that a stranger made up.
static void
join(const struct om_http_request *request, const char *name, struct om_buf *out)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < request->field_count; i++) {
        const struct om_http_field *field = &request->fields[i];
        if (field->name.size != size || strncasecmp(field->name.data, name, size) != 0)
            continue;
        om_buf_put(out, ",", out->size > 0);
        om_buf_put(out, field->value.data, field->value.size);
    }
}

const char *
proxy_client(const struct proxies *self, const struct om_http_request *request,
             struct om_arena *arena)
{
    struct om_address remote;
    char text[OM_ADDRESS_MAX];
    if (!is_trusted(self, request, &remote))
        return request->remote;
    OM_AUTO(om_buf_finish) struct om_buf field = { 0 };
    join(request, "x-forwarded-for", &field);
    struct om_address client =
        om_forwarded_for(&remote, om_buf_str(&field), self->networks, self->count);
    size_t size = om_address_text(&client, text);
    return om_arena_strdup(arena, (struct om_str){ text, size });
}

bool
proxy_is_secure(const struct proxies *self, const struct om_http_request *request,
                bool direct)
{
    struct om_address remote;
    if (direct || !is_trusted(self, request, &remote))
        return direct;
    // Of a list the last one is said by the proxy that is known.
    OM_AUTO(om_buf_finish) struct om_buf field = { 0 };
    join(request, "x-forwarded-proto", &field);
    struct om_str text = om_buf_str(&field);
    const char *comma = text.size ? memrchr(text.data, ',', text.size) : NULL;
    if (comma) {
        text.size -= (size_t)(comma + 1 - text.data);
        text.data = comma + 1;
    }
    while (text.size > 0 && text.data[0] == ' ')
        text.data++, text.size--;
    return text.size == 5 && strncasecmp(text.data, "https", 5) == 0;
}

#include "handlers.h"
#include "identity.h"

const struct om_route identity_routes[] = {
#define HANDLER_ROW(name) { OP_##name, on_##name },
    HANDLER_LIST(HANDLER_ROW)
#undef HANDLER_ROW
        { 0 },
};

const struct om_shown_once identity_shown_once[] = {
    { OP_key_create, "key" },
    { OP_key_rotate, "key" },
    { OP_tenant_create, "key" },
    { 0, NULL },
};

#include "handlers.h"
#include "identity.h"

const struct om_route identity_routes[] = {
#define HANDLER_ROW(name) { OP_##name, on_##name },
    HANDLER_LIST(HANDLER_ROW)
#undef HANDLER_ROW
        { 0 },
};

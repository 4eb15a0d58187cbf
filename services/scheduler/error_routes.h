// error_routes.h - what is asked of groups of errors. A tenant sees its own; who runs the
// platform sees those of the platform, of all tenants, and none of tenants' own queues.
#pragma once
#include "scheduler.h"

om_handler on_error_list, on_error_get, on_error_resolve, on_error_ignore,
    on_error_reopen, on_error_list_all, on_error_get_any;

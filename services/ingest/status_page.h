// status_page.h - the status of the platform as a page that needs nothing but itself: no
// script, no picture, nothing from elsewhere; read on a phone as well.
#pragma once
#include "ops.h"
#include "pack.h"

// Append the page. Whatever `status` holds is escaped. Days without a look are shown as
// such, up to the day of `status->updated_at`.
void status_page_put(struct om_buf *out, const struct status_get_reply *status);

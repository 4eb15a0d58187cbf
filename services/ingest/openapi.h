// openapi.h - the OpenAPI 3.1 document, made from the route table and the record tables.
#pragma once
#include "pack.h"

void openapi_write(struct om_buf *out);

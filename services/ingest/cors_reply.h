// cors_reply.h - requests of web pages of other origins: what cors.h decides, said and
// done.
#pragma once
#include "exchange.h"

// Answer a preflight, whose path allows the methods of `allow`. False: it is none.
bool cors_preflight(struct exchange *x, const char *allow);

// The caller is known: may this page use its key? False: refused, and replied.
bool cors_admit(struct exchange *x);

// Add what tells the browser to show the page this answer.
void cors_fields(struct exchange *x, struct om_http_response *response);

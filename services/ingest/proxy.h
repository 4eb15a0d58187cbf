// proxy.h - who sends a request, and how, when proxies that we trust stand before us
// (OMNI_TRUSTED_PROXIES). What anybody else says of it counts for nothing.
#pragma once
#include "arena.h"
#include "cidr.h"
#include "http_message.h"

enum { PROXIES_MAX = 64 };

struct proxies {
    struct om_cidr networks[PROXIES_MAX];
    size_t count;
};

// The client's address: the peer's, or what X-Forwarded-For says (om_forwarded_for()).
// In the arena, or the request's.
const char *proxy_client(const struct proxies *self,
                         const struct om_http_request *request, struct om_arena *arena);

// Did the client use TLS? `direct`: its connection to us does. Else X-Forwarded-Proto of
// a trusted peer says.
bool proxy_is_secure(const struct proxies *self, const struct om_http_request *request,
                     bool direct);

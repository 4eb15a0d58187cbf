// cors.h - which web pages may use this interface from a browser (WHATWG Fetch, 3.3).
// Pure.
//
// OMNI_CORS_ORIGINS says for the whole server: nobody (""), these origins, or whoever a
// tenant names ("*"). A preflight has no key, so it is answered by that alone. The
// request itself must also come from one of the tenant's origins, if it names any; with
// "*" it must name some. Keys travel in a header of their own, so credentials (cookies)
// are never allowed.
#pragma once
#include "rc.h"

enum { CORS_ORIGINS_MAX = 64, CORS_ORIGIN_SIZE = 256 };

struct cors {
    struct om_str origins[CORS_ORIGINS_MAX]; // borrowed from the setting
    size_t count;
    bool by_tenant; // "*"
};

// Read OMNI_CORS_ORIGINS. OM_EINVAL: `bad` is no origin, as browsers write them:
// scheme://host or scheme://host:port, in lower case. OM_ETOOBIG: too many.
OM_MUST_CHECK enum om_rc cors_parse(struct om_str text, struct cors *out,
                                    struct om_str *bad);

enum cors_answer {
    CORS_SILENT,  // no page of another origin asks, or the server knows nothing of them
    CORS_ALLOWED, // say so
    CORS_REFUSED,
};

struct cors_facts {
    const struct cors *cors;
    struct om_str origin, host; // the request's fields; absent: data == NULL
    bool known;                 // the caller is known, and these are its tenant's:
    const struct om_str *origins;
    size_t count;
};

enum cors_answer cors_decide(const struct cors_facts *facts);

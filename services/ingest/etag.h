// etag.h - entity tags of objects that have a version (RFC 9110, 8.8.3 and 13.1). Pure.
//
// A route with ROUTE_ETAG needs no more than a `version` in its reply, and in a request
// that changes the object an INTERNAL field `if_version`: operate() does the rest.
#pragma once
#include "base.h"

enum { ETAG_MAX = 24 };

// The tag of a version, e.g. "v7" with its quotes. Returns its length.
size_t etag_write(int64_t version, char out[ETAG_MAX]);

// What If-Match wants.
enum etag_wish {
    ETAG_ANY,     // nothing, or any version: the field is absent or *
    ETAG_VERSION, // one version
    ETAG_NEVER,   // a tag that is none of ours, or a weak one: no version has it
    ETAG_BAD,     // not one entity tag
};

enum etag_wish etag_read(struct om_str field, int64_t *version);

// Is the version in an If-None-Match: then who asks has it?
bool etag_listed(struct om_str field, int64_t version);

// cidr.h - IP addresses and networks, and whose word about an address counts. Pure.
//
// Texts are read strictly (RFC 4291 and RFC 6943, 3.1.1): four decimal numbers without
// leading zeros, or IPv6 without a zone. An IPv4 address that is written as IPv6
// (::ffff:192.0.2.1) is the IPv4 address, so a network means the same on any socket; no
// IPv6 network contains an IPv4 address.
#pragma once
#include "rc.h"

enum {
    OM_ADDRESS_MAX = 46, // an address as text with its final zero
    OM_CIDR_MAX = 50,    // a network, so too
};

struct om_address {
    uint8_t bytes[16]; // network order; of IPv4 the first four
    uint8_t bits;      // 32 or 128; 0: none
};

struct om_cidr {
    struct om_address address; // the bits behind the prefix are zero
    uint8_t prefix;
};

// OM_EINVAL: not an address.
OM_MUST_CHECK enum om_rc om_address_parse(struct om_str text, struct om_address *out);

// Write the usual text with a final zero; returns its length.
size_t om_address_text(const struct om_address *address, char out[OM_ADDRESS_MAX]);

// Read "192.0.2.0/24" or "2001:db8::/32"; an address alone is a network of one. OM_EINVAL
// also when a bit behind the prefix is set: then one of the two is a mistake.
OM_MUST_CHECK enum om_rc om_cidr_parse(struct om_str text, struct om_cidr *out);

size_t om_cidr_text(const struct om_cidr *cidr, char out[OM_CIDR_MAX]);

bool om_cidr_contains(const struct om_cidr *cidr, const struct om_address *address);

// Is the address in any of these networks?
bool om_cidr_any(const struct om_cidr *cidrs, size_t count,
                 const struct om_address *address);

// Read a list with commas, spaces around them allowed. The empty text is no network.
// OM_EINVAL: one of them is none; OM_ETOOBIG: more than `max`. `bad` (may be NULL) is the
// item then.
OM_MUST_CHECK enum om_rc om_cidr_list(struct om_str text, struct om_cidr *out, size_t max,
                                      size_t *count, struct om_str *bad);

// Who made a request that came over proxies: of the addresses that X-Forwarded-For lists,
// the rightmost that is no trusted proxy. `remote` is the peer of the connection; if it
// is not trusted itself, the field is what a stranger says and counts for nothing. What
// cannot be read is not looked behind: then it is the last proxy known.
struct om_address om_forwarded_for(const struct om_address *remote, struct om_str field,
                                   const struct om_cidr *trusted, size_t count);

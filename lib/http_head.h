// http_head.h - reads the head of a request: the only place that knows the parser
// library.
//
// http-parser 2.9.4 is strict and fast but no longer maintained; replacing it means
// rewriting parse() in http_head.c. Framing is decided here from the checked fields, not
// by the parser, so that a body can be read in one way only (RFC 9112, 6.3 and 11.2).
#pragma once
#include "http_message.h"

// A scan for the end of a head, over bytes that arrive piece by piece.
struct om_http_scan {
    size_t at;   // bytes looked at
    size_t line; // start of the line that is not complete
};

enum om_http_scan_result {
    OM_HTTP_SCAN_MORE,
    OM_HTTP_SCAN_DONE, // `at` is the size of the head
    OM_HTTP_SCAN_BAD,  // no head of HTTP/1.x can begin like this
};

// Go on scanning `bytes`, which start with the head and have only grown.
enum om_http_scan_result om_http_scan(struct om_http_scan *scan, struct om_str bytes);

// Why a head is refused.
struct om_http_refusal {
    int status;
    const char *reason; // for people
};

// Parse a whole head into `out`, which has tables, and whose strings point into `head`
// and, when they had to be decoded, into `decoded` of at least head.size bytes. False:
// refused, see `why`.
bool om_http_head_parse(struct om_str head, char *decoded, struct om_http_request *out,
                        struct om_http_refusal *why);

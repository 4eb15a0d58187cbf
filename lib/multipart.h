// multipart.h - reads multipart/form-data piece by piece (RFC 7578, RFC 2046 5.1.1).
//
// Nothing is allocated: bytes of a part are given out as they come, and its header lines
// are kept in the parser, bounded.
#pragma once
#include "base.h"

enum {
    OM_MULTIPART_BOUNDARY_MAX = 70,
    OM_MULTIPART_HEAD_MAX = 2048, // of the header lines of a part
    OM_MULTIPART_PARTS_MAX = 32,
    OM_MULTIPART_NAME_MAX = 64,
    OM_MULTIPART_FILENAME_MAX = 255,
};

struct om_multipart {
    int state;
    char delimiter[4 + OM_MULTIPART_BOUNDARY_MAX]; // CR LF - - boundary
    size_t delimiter_size, matched;
    char head[OM_MULTIPART_HEAD_MAX];
    size_t head_size, parts;
    // Of the current part, unescaped:
    char name_text[OM_MULTIPART_NAME_MAX], filename_text[OM_MULTIPART_FILENAME_MAX];
    struct om_str name, filename; // a field that is no file has filename.data == NULL
};

enum om_multipart_event {
    OM_MULTIPART_MORE,     // all input is used
    OM_MULTIPART_PART,     // a part begins: name and filename are set
    OM_MULTIPART_DATA,     // *data has bytes of the part
    OM_MULTIPART_PART_END, // the part ended
    OM_MULTIPART_END,      // the form ended; what follows is ignored
    OM_MULTIPART_BAD,      // not a form, or over a limit
};

// Take the boundary out of a Content-Type. False: it is not multipart/form-data with one.
bool om_multipart_init(struct om_multipart *self, struct om_str content_type);

// Step over input up to the next event. *data borrows from the input or from `self`.
enum om_multipart_event om_multipart_take(struct om_multipart *self, struct om_str *input,
                                          struct om_str *data);

// Has the form ended? To be asked when the body has.
bool om_multipart_ended(const struct om_multipart *self);

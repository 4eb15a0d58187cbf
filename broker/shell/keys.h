// keys.h - the folder of CURVE keys that tcp endpoints need.
//
// For each platform role <role>.key (secret) and <role>.pub, z85 text. The broker reads
// its own pair and every role's public key; a peer reads its own pair and broker.pub.
#pragma once
#include "peer.h"

enum {
    KEY_TEXT = 40, // z85, without the final zero
    KEY_BYTES = 32,
};

struct keys {
    char secret[KEY_TEXT + 1]; // the broker's
    struct {
        bool known;
        uint8_t bytes[KEY_BYTES];
    } roles[ROLE_COUNT]; // public keys
};

// Read the folder. A role without a public key cannot connect; the broker's secret key
// must be there and private. OM_EINVAL with the reason in `why`.
OM_MUST_CHECK enum om_rc keys_load(const char *directory, struct keys *out, char *why,
                                   size_t why_size);

// The platform role whose key this is; ROLE_NONE if it is nobody's.
enum role keys_find(const struct keys *self, const uint8_t public_key[KEY_BYTES]);

// Make the folder and the keys of all platform roles, readable by this user only; keys
// that are there stay. OM_EINVAL with the reason in `why`.
OM_MUST_CHECK enum om_rc keys_make(const char *directory, char *why, size_t why_size);

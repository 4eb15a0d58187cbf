#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "grant.h"
#include "id.h"

// Claims: tenant (16 bytes), expires_ms (8, big endian), rights (1), task (1 to 48).
enum { FIXED_BYTES = 25, CLAIMS_MAX = FIXED_BYTES + OM_GRANT_TASK_MAX, MAC_BYTES = 32 };

static const char head[] = "omg1.";
static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Base64url without padding (RFC 4648, section 5). Returns the length.
static size_t
encode(const uint8_t *bytes, size_t size, char *out)
{
    size_t length = 0;
    uint32_t window = 0;
    int bits = 0;
    for (size_t i = 0; i < size; i++) {
        window = window << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            out[length++] = alphabet[window >> (bits - 6) & 63];
    }
    if (bits)
        out[length++] = alphabet[window << (6 - bits) & 63];
    return length;
}

// The only text encode() makes for the bytes is taken: left-over bits are zero. Returns
// the size, or 0.
static size_t
decode(struct om_str text, uint8_t *out, size_t room)
{
    size_t size = 0;
    uint32_t window = 0;
    int bits = 0;
    if (text.size % 4 == 1 || text.size * 3 / 4 > room)
        return 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!at)
            return 0;
        window = window << 6 | (uint32_t)(at - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[size++] = (uint8_t)(window >> bits);
        }
    }
    return window & ((1u << bits) - 1) ? 0 : size;
}

static void
sign(const struct om_secret *secret, struct om_str text, uint8_t out[MAC_BYTES])
{
    unsigned size = MAC_BYTES;
    if (!HMAC(EVP_sha256(), secret->bytes, OM_SECRET_BYTES, (const uint8_t *)text.data,
              text.size, out, &size))
        abort(); // a libcrypto without SHA-256
}

size_t
om_grant_mint(const struct om_secret *secret, const struct om_grant *grant,
              char out[OM_GRANT_MAX])
{
    uint8_t claims[CLAIMS_MAX], mac[MAC_BYTES];
    size_t task = strnlen(grant->task, OM_GRANT_TASK_MAX);
    memcpy(claims, grant->tenant.bytes, 16);
    for (int i = 0; i < 8; i++)
        claims[16 + i] = (uint8_t)((uint64_t)grant->expires_ms >> (56 - 8 * i));
    claims[24] = (uint8_t)grant->rights;
    memcpy(claims + FIXED_BYTES, grant->task, task);

    size_t size = sizeof(head) - 1;
    memcpy(out, head, size);
    size += encode(claims, FIXED_BYTES + task, out + size);
    sign(secret, (struct om_str){ out, size }, mac);
    out[size++] = '.';
    size += encode(mac, sizeof(mac), out + size);
    out[size] = '\0';
    return size;
}

static void
read_claims(const uint8_t *claims, size_t size, struct om_grant *out)
{
    *out = (struct om_grant){ .rights = claims[24] };
    memcpy(out->tenant.bytes, claims, 16);
    uint64_t expires = 0;
    for (int i = 0; i < 8; i++)
        expires = expires << 8 | claims[16 + i];
    out->expires_ms = (int64_t)expires;
    memcpy(out->task, claims + FIXED_BYTES, size - FIXED_BYTES);
}

enum om_rc
om_grant_verify(const struct om_secret *secret, int64_t now_ms, struct om_str text,
                struct om_grant *out)
{
    uint8_t claims[CLAIMS_MAX], given[MAC_BYTES], right[MAC_BYTES];
    size_t start = sizeof(head) - 1;
    *out = (struct om_grant){ 0 };
    if (text.size >= OM_GRANT_MAX || text.size < start ||
        memcmp(text.data, head, start) != 0)
        return OM_EAUTH;
    const char *dot = memchr(text.data + start, '.', text.size - start);
    if (!dot)
        return OM_EAUTH;
    size_t signed_size = (size_t)(dot - text.data);
    struct om_str mac = { dot + 1, text.size - signed_size - 1 };
    if (decode(mac, given, sizeof(given)) != MAC_BYTES)
        return OM_EAUTH;
    sign(secret, (struct om_str){ text.data, signed_size }, right);
    if (CRYPTO_memcmp(given, right, MAC_BYTES) != 0)
        return OM_EAUTH;

    struct om_str body = { text.data + start, signed_size - start };
    size_t size = decode(body, claims, sizeof(claims));
    if (size < FIXED_BYTES)
        return OM_EAUTH;
    struct om_grant grant;
    read_claims(claims, size, &grant);
    if (grant.expires_ms <= now_ms)
        return OM_EAUTH;
    *out = grant;
    return OM_OK;
}

enum om_rc
om_secret_load(const char *path, struct om_secret *out, char *why, size_t why_size)
{
    uint8_t bytes[OM_SECRET_BYTES + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (got == OM_SECRET_BYTES) {
        memcpy(out->bytes, bytes, OM_SECRET_BYTES);
        OPENSSL_cleanse(bytes, sizeof(bytes));
        return OM_OK;
    }
    if (got < 0)
        snprintf(why, why_size, "cannot read the secret %s: %s", path, strerror(error));
    else
        snprintf(why, why_size, "%s is no secret: it must be %d random bytes", path,
                 OM_SECRET_BYTES);
    return OM_EINVAL;
}

// Write the secret under a temporary name and link it: a link never replaces.
static bool
create_file(const char *path, const char *temporary)
{
    struct om_secret secret;
    om_random(&secret, sizeof(secret));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool done = write(fd, secret.bytes, OM_SECRET_BYTES) == OM_SECRET_BYTES &&
                fsync(fd) == 0 && link(temporary, path) == 0;
    int error = errno;
    close(fd);
    unlink(temporary);
    OPENSSL_cleanse(&secret, sizeof(secret));
    errno = error;
    return done;
}

static bool
sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

enum om_rc
om_secret_create(const char *path, char *why, size_t why_size)
{
    // Asked first: a full disk must not keep a program from a secret that is there.
    if (access(path, F_OK) == 0)
        return OM_EDUP;
    char *temporary;
    uint8_t random[8];
    char suffix[17];
    om_random(random, sizeof(random));
    om_hex(random, sizeof(random), suffix);
    if (asprintf(&temporary, "%s.%s", path, suffix) < 0)
        abort();
    errno = 0;
    bool done = create_file(path, temporary) && sync_folder(path);
    int error = errno;
    free(temporary);
    if (done)
        return OM_OK;
    if (error == EEXIST)
        return OM_EDUP;
    snprintf(why, why_size, "cannot make the secret %s: %s", path, strerror(error));
    return error == ENOSPC || error == EDQUOT ? OM_ENOSPACE : OM_EDB;
}

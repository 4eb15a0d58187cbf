#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "keys.h"

static enum om_rc
refuse(char *why, size_t why_size, const char *path, const char *text)
{
    snprintf(why, why_size, "%s: %s", path, text);
    return OM_EINVAL;
}

static bool
key_path(const char *directory, enum role role, const char *suffix, char out[4096])
{
    int size = snprintf(out, 4096, "%s/%s.%s", directory, role_name(role), suffix);
    return size > 0 && size < 4096;
}

static bool
is_platform(enum role role)
{
    return ROLES_PLATFORM >> role & 1;
}

// Read z85 text as text and as bytes. False if the file is not a key.
static bool
read_key(const char *path, char text[KEY_TEXT + 1], uint8_t bytes[KEY_BYTES])
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, KEY_TEXT, file);
    fclose(file);
    text[size] = '\0';
    return size == KEY_TEXT && zmq_z85_decode(bytes, text);
}

enum om_rc
keys_load(const char *directory, struct keys *out, char *why, size_t why_size)
{
    char path[4096], text[KEY_TEXT + 1];
    uint8_t bytes[KEY_BYTES];
    *out = (struct keys){ 0 };
    if (!key_path(directory, ROLE_BROKER, "key", path))
        return refuse(why, why_size, "OMNI_KEYS", "the path is too long");

    struct stat file;
    if (stat(path, &file) != 0)
        return refuse(why, why_size, path, strerror(errno));
    if (file.st_mode & 077)
        return refuse(why, why_size, path, "others can read it; run chmod 600");
    if (!read_key(path, out->secret, bytes))
        return refuse(why, why_size, path, "is not a CURVE key (40 characters of z85)");

    for (enum role role = ROLE_NONE; role < ROLE_COUNT; role++) {
        if (!is_platform(role) || !key_path(directory, role, "pub", path) ||
            access(path, F_OK) != 0)
            continue;
        if (!read_key(path, text, out->roles[role].bytes))
            return refuse(why, why_size, path,
                          "is not a CURVE key (40 characters of z85)");
        out->roles[role].known = true;
    }
    return OM_OK;
}

enum role
keys_find(const struct keys *self, const uint8_t public_key[KEY_BYTES])
{
    for (enum role role = ROLE_NONE; role < ROLE_COUNT; role++)
        if (self->roles[role].known &&
            memcmp(self->roles[role].bytes, public_key, KEY_BYTES) == 0)
            return role;
    return ROLE_NONE;
}

// ---- making keys

static bool
write_key(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = write(fd, text, KEY_TEXT) == KEY_TEXT && fsync(fd) == 0;
    return close(fd) == 0 && written;
}

static enum om_rc
make_pair(const char *directory, enum role role, char *why, size_t why_size)
{
    char secret_path[4096], public_path[4096];
    if (!key_path(directory, role, "key", secret_path) ||
        !key_path(directory, role, "pub", public_path))
        return refuse(why, why_size, directory, "the path is too long");

    char public_text[KEY_TEXT + 1], secret_text[KEY_TEXT + 1];
    uint8_t bytes[KEY_BYTES];
    if (read_key(secret_path, secret_text, bytes)) {
        if (zmq_curve_public(public_text, secret_text) != 0)
            return refuse(why, why_size, secret_path, zmq_strerror(errno));
    } else {
        if (access(secret_path, F_OK) == 0)
            return refuse(why, why_size, secret_path, "is there and is not a CURVE key");
        if (zmq_curve_keypair(public_text, secret_text) != 0)
            return refuse(why, why_size, "libzmq cannot make CURVE keys",
                          zmq_strerror(errno));
        if (!write_key(secret_path, secret_text))
            return refuse(why, why_size, secret_path, strerror(errno));
    }
    if (!write_key(public_path, public_text))
        return refuse(why, why_size, public_path, strerror(errno));
    return OM_OK;
}

enum om_rc
keys_make(const char *directory, char *why, size_t why_size)
{
    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return refuse(why, why_size, directory, strerror(errno));
    enum om_rc rc = OM_OK;
    for (enum role role = ROLE_NONE; role < ROLE_COUNT && rc == OM_OK; role++)
        if (is_platform(role))
            rc = make_pair(directory, role, why, why_size);
    return rc;
}

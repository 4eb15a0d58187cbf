#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "identity.h"
#include "scope.h"
#include "secret.h"

enum { TEXT_MAX = SECRET_SIZE_MAX + 2 }; // a key, a line end, a final zero

OM_SQL(tenant_any, "SELECT 1 FROM tenant LIMIT 1");
OM_SQL(tenant_insert, "INSERT INTO tenant (id, slug, name, plan, created_ms, updated_ms) "
                      "VALUES ($1, $2, $2, 'enterprise', $3, $3)");
OM_SQL(first_key_insert, "INSERT INTO api_key (id, tenant, name, prefix, hash, scopes, "
                         "created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)");

static enum om_rc
fail(char *why, size_t why_size, const char *what, const char *path)
{
    snprintf(why, why_size, "cannot %s %s: %s", what, path, strerror(errno));
    return OM_EINVAL;
}

// Read the key in `path`, which ends at the first white space.
static enum om_rc
read_key(const char *path, char text[TEXT_MAX], char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(why, why_size, "open", path);
    ssize_t size = read(fd, text, TEXT_MAX - 1);
    close(fd);
    if (size < 0)
        return fail(why, why_size, "read", path);
    text[size] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    if (!secret_valid(om_str(text))) {
        snprintf(why, why_size,
                 "%s holds no key: a key is " SECRET_MARK " and at least 32 letters and "
                 "digits",
                 path);
        return OM_EINVAL;
    }
    return OM_OK;
}

static bool
sync_folder_of(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return synced;
}

// Write the key whole and durably: to a new file that takes the name when it is on disk.
static enum om_rc
write_key(const char *path, const char *text, char *why, size_t why_size)
{
    char temporary[PATH_MAX], line[SECRET_SIZE + 2];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >=
        (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return fail(why, why_size, "write", path);
    }
    size_t size = (size_t)snprintf(line, sizeof(line), "%s\n", text);
    unlink(temporary); // left by an interrupted start
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(why, why_size, "make", temporary);
    bool written = write(fd, line, size) == (ssize_t)size && fsync(fd) == 0;
    close(fd);
    if (!written || rename(temporary, path) || !sync_folder_of(path))
        return fail(why, why_size, "write", path);
    return OM_OK;
}

static enum om_rc
choose_key(const struct identity_conf *conf, char text[TEXT_MAX], char *why,
           size_t why_size)
{
    if (*conf->bootstrap_key_file)
        return read_key(conf->bootstrap_key_file, text, why, why_size);
    if (access(conf->admin_key_file, F_OK) == 0)
        return read_key(conf->admin_key_file, text, why, why_size);
    uint8_t entropy[SECRET_ENTROPY];
    om_random(entropy, sizeof(entropy));
    secret_format(entropy, false, text);
    return write_key(conf->admin_key_file, text, why, why_size);
}

static enum om_rc
insert_first(struct om_txn *txn, const char *text)
{
    struct om_uuid tenant, key;
    uint8_t shard, hash[32];
    om_random(&shard, sizeof(shard));
    tenant = om_id_new(shard);
    key = om_id_new(shard);
    om_sha256(om_str(text), hash);
    int64_t now_ms = om_clock_wall_ms();
    struct om_str prefix = { text, SECRET_SHOWN };
    om_db_exec(txn, &sql_tenant_insert, DB_UUID(&tenant), DB_STR(OM_LIT("default")),
               DB_I64(now_ms));
    return om_db_exec(txn, &sql_first_key_insert, DB_UUID(&key), DB_UUID(&tenant),
                      DB_STR(OM_LIT("first key")), DB_STR(prefix), DB_HASH(hash),
                      DB_I64((int64_t)(SCOPES_OWNER | SCOPE_BIT(OPERATOR))),
                      DB_I64(now_ms));
}

enum om_rc
identity_bootstrap(struct identity *self, const struct identity_conf *conf, char *why,
                   size_t why_size)
{
    char text[TEXT_MAX];
    snprintf(why, why_size, "storage failed");
    OM_AUTO(om_db_rollback) struct om_txn *txn = om_db_begin(self->db);
    if (!txn)
        return OM_EDB;
    OM_AUTO(om_rows_close) struct om_rows *rows = om_db_query(txn, &sql_tenant_any);
    if (!om_rows_next(rows) && !om_db_rc(txn)) {
        enum om_rc rc = choose_key(conf, text, why, why_size);
        if (rc)
            return rc;
        insert_first(txn, text);
    }
    explicit_bzero(text, sizeof(text));
    enum om_rc rc = om_db_commit(&txn);
    if (rc)
        snprintf(why, why_size, "%s", om_db_error(self->db));
    return rc;
}

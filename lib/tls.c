#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tls.h"

struct om_tls {
    char *certificate, *key; // paths
    pthread_mutex_t lock;
    SSL_CTX *context; // a connection has a reference of its own
};

// ---- files

static void
say(char *why, size_t why_size, const char *what, const char *path, const char *reason)
{
    snprintf(why, why_size, "the %s %s: %s", what, path, reason);
}

static const char *
ssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "OpenSSL refuses it";
}

// Does nobody read the key who should not? `reason` says what is wrong.
static bool
is_private(int fd, const char **reason)
{
    struct stat info;
    *reason = NULL;
    if (fstat(fd, &info) != 0)
        *reason = strerror(errno);
    else if (!S_ISREG(info.st_mode))
        *reason = "it is no file";
    else if (info.st_mode & (info.st_uid == 0 ? S_IWGRP | S_IRWXO : S_IRWXG | S_IRWXO))
        *reason = "others can read it; make it readable by its owner alone (chmod 600)";
    return !*reason;
}

// A key that is encrypted would make OpenSSL ask the terminal.
static int
no_password(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return 0;
}

static EVP_PKEY *
read_key(const char *path, char *why, size_t why_size)
{
    const char *reason = NULL;
    EVP_PKEY *key = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        say(why, why_size, "key", path, strerror(errno));
        return NULL;
    }
    if (is_private(fd, &reason)) {
        BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
        key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        if (!key)
            reason = "it is no private key in PEM without a password";
    }
    close(fd);
    if (!key)
        say(why, why_size, "key", path, reason);
    return key;
}

static bool
use_key(SSL_CTX *context, const char *path, char *why, size_t why_size)
{
    EVP_PKEY *key = read_key(path, why, why_size);
    if (!key)
        return false;
    bool fits = SSL_CTX_use_PrivateKey(context, key) == 1 &&
                SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    if (!fits)
        say(why, why_size, "key", path, "it is not that of the certificate");
    return fits;
}

static bool
use_certificate(SSL_CTX *context, const char *path, char *why, size_t why_size)
{
    if (access(path, R_OK) != 0) {
        say(why, why_size, "certificate", path, strerror(errno));
        return false;
    }
    if (SSL_CTX_use_certificate_chain_file(context, path) == 1)
        return true;
    say(why, why_size, "certificate", path, ssl_reason());
    return false;
}

// ---- the protocol

static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                const unsigned char *in, unsigned int in_size, void *context)
{
    static const unsigned char http[] = "\x08http/1.1";
    (void)ssl;
    (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, http, sizeof(http) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

// A peer that ends without saying so cut nothing off: a request says how long it is.
static bool
set_protocol(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

static SSL_CTX *
make_context(const struct om_tls *self, char *why, size_t why_size)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || !set_protocol(context)) {
        snprintf(why, why_size, "TLS cannot be set up: %s", ssl_reason());
    } else if (use_certificate(context, self->certificate, why, why_size) &&
               use_key(context, self->key, why, why_size)) {
        return context;
    }
    SSL_CTX_free(context);
    return NULL;
}

// ---- life

enum om_rc
om_tls_create(const char *certificate, const char *key, struct om_tls **out, char *why,
              size_t why_size)
{
    struct om_tls *self = calloc(1, sizeof(*self));
    *out = NULL;
    snprintf(why, why_size, "no memory");
    if (!self)
        return OM_EUNAVAILABLE;
    pthread_mutex_init(&self->lock, NULL);
    self->certificate = strdup(certificate);
    self->key = strdup(key);
    if (self->certificate && self->key)
        self->context = make_context(self, why, why_size);
    if (!self->context) {
        om_tls_destroy(&self);
        return OM_EINVAL;
    }
    *out = self;
    return OM_OK;
}

enum om_rc
om_tls_reload(struct om_tls *self, char *why, size_t why_size)
{
    SSL_CTX *fresh = make_context(self, why, why_size);
    if (!fresh)
        return OM_EINVAL;
    pthread_mutex_lock(&self->lock);
    SSL_CTX *old = self->context;
    self->context = fresh;
    pthread_mutex_unlock(&self->lock);
    SSL_CTX_free(old);
    return OM_OK;
}

bool
om_tls_expiry(struct om_tls *self, int64_t *wall_ms)
{
    struct tm end;
    pthread_mutex_lock(&self->lock);
    const X509 *certificate = SSL_CTX_get0_certificate(self->context);
    bool known = certificate && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end);
    pthread_mutex_unlock(&self->lock);
    if (known)
        *wall_ms = (int64_t)timegm(&end) * 1000;
    return known;
}

void
om_tls_destroy(struct om_tls **self_p)
{
    struct om_tls *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    SSL_CTX_free(self->context);
    pthread_mutex_destroy(&self->lock);
    free(self->certificate);
    free(self->key);
    free(self);
}

bool
om_tls_accept(struct om_tls *self, struct om_transport *transport)
{
    pthread_mutex_lock(&self->lock);
    SSL *ssl = SSL_new(self->context);
    pthread_mutex_unlock(&self->lock);
    if (!ssl || SSL_set_fd(ssl, transport->fd) != 1) {
        SSL_free(ssl);
        return false;
    }
    SSL_set_accept_state(ssl);
    transport->ssl = ssl;
    return true;
}

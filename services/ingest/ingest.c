#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admin.h"
#include "guess.h"
#include "id.h"
#include "ingest.h"
#include "openapi.h"
#include "route.h"
#include "stats.h"

enum { DISK_THREADS = 4, DISK_WAITING_MAX = 256 };

#define AT(member) offsetof(struct ingest_conf, member)

const struct om_setting ingest_settings[] = {
    { "OMNI_LISTEN", CONF_STR, AT(listen), "127.0.0.1:8080", 0, 0,
      "HOST:PORT to serve HTTP on; port 0 is any free one" },
    { "OMNI_BROKER", CONF_STR, AT(broker), "ipc://run/broker", 0, 0,
      "the broker's client socket" },
    { "OMNI_KEYS", CONF_STR, AT(keys), "", 0, 0, "folder of CURVE keys, needed on tcp" },
    { "OMNI_NODE", CONF_STR, AT(node), "", 0, 0,
      "name of this process in logs and listings" },
    OM_ADMIN_SETTING(AT(admin)),
    { "OMNI_BLOBS", CONF_STR, AT(blobs), "dir:data/blobs", 0, 0,
      "where files are kept: dir:PATH" },
    { "OMNI_SECRET_FILE", CONF_STR, AT(secret_file), "data/secret", 0, 0,
      "the secret that signs the grants of jobs; made if it is not there" },
    { "OMNI_INGEST_THREADS", CONF_INT, AT(threads), "2", 1, INGEST_THREADS_MAX,
      "event loops" },
    { "OMNI_DRAIN_MS", CONF_INT, AT(drain_ms), "450", 0, 600000,
      "when stopping: how long requests may be finished, and reports sent" },
    { "OMNI_STREAMS_MAX", CONF_INT, AT(streams_max), "100", 1, 100000,
      "open streams of events of a tenant, in this process" },
    { "OMNI_STREAM_QUIET_MS", CONF_INT, AT(stream_quiet_ms), "15000", 10, 600000,
      "a stream that says nothing for so long says that it is there" },
    { "OMNI_LIMITS_MAX", CONF_INT, AT(limits_max), "65536", 1024, 1 << 20,
      "rate limits counted at a time, of up to 1.1 KiB each" },
    { "OMNI_FAILED_KEYS", CONF_INT, AT(failed_keys), "60", 0, 1000000,
      "requests a minute whose key does not hold, of an address; 0: any number" },
    { "OMNI_DEFAULT_REQUESTS", CONF_INT, AT(default_requests), "600", 0, 1000000000,
      "requests a minute of a tenant whose plan billing has not told yet" },
    { "OMNI_DEFAULT_CONCURRENT", CONF_INT, AT(default_concurrent), "100", 0, 1000000,
      "and its requests at a time" },
    { "OMNI_QUOTA_HOLD_MS", CONF_INT, AT(quota_hold_ms), "0", 0, 86400000,
      "how long tenants that pay afterwards are served on trust when billing is silent" },
    { "OMNI_TLS_CERT", CONF_STR, AT(tls_cert), "", 0, 0,
      "PEM file with the certificate and its chain: serve HTTPS alone" },
    { "OMNI_TLS_KEY", CONF_STR, AT(tls_key), "", 0, 0, "PEM file with its key" },
    { "OMNI_CACHE", CONF_STR, AT(cache), "memory", 0, 0,
      "what edges share: memory (nothing) or redis://[:PASSWORD@]HOST[:PORT][/DB]" },
    { "OMNI_CACHE_MS", CONF_INT, AT(cache_ms), "50", 5, 1000,
      "how long a request waits for it" },
    { "OMNI_CACHE_BYTES", CONF_INT, AT(cache_bytes), "67108864", 0, INT64_C(1) << 40,
      "memory for answers of the cache, at least 5 MiB for large ones; 0: none" },
    { "OMNI_REQUEST_LOG_RATE", CONF_INT, AT(request_rate), "60", 0, 6000,
      "requests that failed, kept of a tenant in a minute by each event loop; 0: none" },
    { "OMNI_TRACE_TRUST", CONF_STR, AT(trace_trust), "authenticated", 0, 0,
      "whose traceparent is gone on with: never, authenticated or always" },
    { "OMNI_TRACE_ASKED", CONF_INT, AT(trace_asked), "100", 0, 1000000,
      "traces a second, of a thread, that are recorded only because a caller asks" },
    { "OMNI_TRUSTED_PROXIES", CONF_STR, AT(proxies), "", 0, 0,
      "networks of proxies that may say who the client is, with commas" },
    { "OMNI_CORS_ORIGINS", CONF_STR, AT(origins), "", 0, 0,
      "web origins whose pages may ask, with commas; *: those that a tenant names" },
    { 0 },
};

// SIGHUP reads the files again.
static bool
open_tls(struct ingest *self, char *why, size_t why_size)
{
    const struct ingest_conf *conf = &self->conf;
    if (!*conf->tls_cert && !*conf->tls_key)
        return true;
    if (!*conf->tls_cert || !*conf->tls_key) {
        snprintf(why, why_size,
                 "OMNI_TLS_CERT and OMNI_TLS_KEY belong together: %s is "
                 "not set",
                 *conf->tls_cert ? "OMNI_TLS_KEY" : "OMNI_TLS_CERT");
        return false;
    }
    return om_tls_create(conf->tls_cert, conf->tls_key, &self->tls, why, why_size) ==
           OM_OK;
}

// What is said of who may ask, and through whom.
static bool
read_clients(struct ingest *self, char *why, size_t why_size)
{
    const struct ingest_conf *conf = &self->conf;
    struct om_str bad = { 0 };
    if (!traced_trust_find(conf->trace_trust, &self->trust)) {
        snprintf(why, why_size,
                 "OMNI_TRACE_TRUST is \"%s\": set it to never, authenticated or always",
                 conf->trace_trust);
        return false;
    }
    const char *name = "OMNI_TRUSTED_PROXIES", *kind = "network, as 10.0.0.0/8";
    enum om_rc rc = om_cidr_list(om_str(conf->proxies), self->proxies.networks,
                                 PROXIES_MAX, &self->proxies.count, &bad);
    if (rc == OM_OK) {
        name = "OMNI_CORS_ORIGINS";
        kind = "origin, as https://app.example";
        rc = cors_parse(om_str(conf->origins), &self->cors, &bad);
    }
    if (rc == OM_ETOOBIG)
        snprintf(why, why_size, "%s names too many", name);
    else if (rc != OM_OK)
        snprintf(why, why_size, "%s: \"%.*s\" is no %s", name, (int)bad.size, bad.data,
                 kind);
    return rc == OM_OK;
}

// A connection is a descriptor, and the usual limit of 1,024 of them is soft.
static void
raise_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

bool
ingest_open(struct ingest *self, char *why, size_t why_size)
{
    const struct ingest_conf *conf = &self->conf;
    if (*conf->node)
        snprintf(self->node, sizeof(self->node), "%s", conf->node);
    else
        snprintf(self->node, sizeof(self->node), "ingest-%d", (int)getpid());
    pthread_mutex_init(&self->streams.lock, NULL);
    self->self = om_id_new(0);
    raise_descriptors();
    if (!share_configure(self, why, why_size))
        return false;
    enum om_rc rc = om_secret_create(conf->secret_file, why, why_size);
    if (rc != OM_OK && rc != OM_EDUP)
        return false;
    if (om_secret_load(conf->secret_file, &self->secret, why, why_size) != OM_OK ||
        om_blob_store_create(conf->blobs, &self->blobs, why, why_size) != OM_OK ||
        !open_tls(self, why, why_size) || !read_clients(self, why, why_size))
        return false;
    self->counters = counters_create((size_t)conf->limits_max);
    self->guesses = counters_create(GUESS_ADDRESSES_MAX);
    if (!self->counters || !self->guesses) {
        snprintf(why, why_size, "no memory for OMNI_LIMITS_MAX limits");
        return false;
    }
    self->offload = om_offload_create(DISK_THREADS, DISK_WAITING_MAX);
    if (!self->offload) {
        snprintf(why, why_size, "no memory for threads");
        return false;
    }
    openapi_write(&self->openapi);
    self->cache = cache_create((size_t)conf->cache_bytes);
    if (!self->cache) {
        snprintf(why, why_size, "no memory for the cache");
        return false;
    }
    self->quotas = quotas_create(conf->quota_hold_ms);
    snprintf(why, why_size, "no memory");
    if (!self->quotas)
        return false;
    stats_open(self);
    return true;
}

void
ingest_close(struct ingest *self)
{
    stats_close(self);
    om_offload_destroy(&self->offload);
    om_blob_store_destroy(&self->blobs);
    om_tls_destroy(&self->tls);
    om_buf_finish(&self->openapi);
    pthread_mutex_destroy(&self->streams.lock);
    counters_destroy(&self->counters);
    counters_destroy(&self->guesses);
    quotas_destroy(&self->quotas);
    cache_destroy(&self->cache);
}

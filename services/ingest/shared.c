#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "id.h"
#include "shared.h"
#include "shared_scripts.h"

enum script { SCRIPT_TAKE, SCRIPT_GIVE, SCRIPT_RENEW };

static const char *const scripts[] = {
    [SCRIPT_TAKE] = shared_take_lua,
    [SCRIPT_GIVE] = shared_give_lua,
    [SCRIPT_RENEW] = shared_renew_lua,
    NULL,
};

// What is to be done with an answer. As many as Redis may owe.
struct waiting {
    uint64_t number; // of the question; 0: free
    size_t count;    // of wants
    shared_taken_fn *taken;
    shared_value_fn *value;
    void *context;
    struct shared *self;
    struct waiting *next_free;
};

struct shared {
    struct redis *redis;
    struct waiting *free;
    struct waiting waiting[REDIS_PENDING_MAX];
};

struct shared *
shared_create(const struct redis_conf *conf, int64_t deadline_ms,
              const struct redis_hooks *hooks)
{
    struct shared *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    for (size_t i = 0; i < REDIS_PENDING_MAX; i++) {
        self->waiting[i].self = self;
        self->waiting[i].next_free = self->free;
        self->free = &self->waiting[i];
    }
    self->redis = redis_create(conf, scripts, deadline_ms, hooks);
    if (!self->redis)
        shared_destroy(&self);
    return self;
}

void
shared_destroy(struct shared **self_p)
{
    struct shared *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    redis_destroy(&self->redis);
    free(self);
}

struct redis *
shared_redis(struct shared *self)
{
    return self->redis;
}

// ---- words of a command

// The words of one command, and the memory of those that are made for it.
struct words {
    struct om_str list[REDIS_ARGS_MAX];
    size_t count, used;
    char text[COUNTERS_WANTS_MAX * 160];
};

static void
words_begin(struct words *self)
{
    self->count = self->used = 0;
}

static void
add(struct words *self, struct om_str word)
{
    assert(self->count < REDIS_ARGS_MAX);
    self->list[self->count++] = word;
}

static void
add_number(struct words *self, int64_t number)
{
    char *at = self->text + self->used;
    int size = snprintf(at, sizeof(self->text) - self->used, "%lld", (long long)number);
    self->used += (size_t)size + 1;
    assert(self->used < sizeof(self->text));
    add(self, (struct om_str){ at, (size_t)size });
}

// omni:limit:{TENANT}:SCOPE:KIND:SUBJECT; the braces keep a tenant's in one slot of a
// cluster.
static void
add_key(struct words *self, const struct counter_key *key)
{
    char tenant[2 * sizeof(key->tenant.bytes) + 1], subject[2 * COUNTER_SUBJECT + 1];
    char *at = self->text + self->used;
    om_hex(key->tenant.bytes, sizeof(key->tenant.bytes), tenant);
    om_hex(key->subject, COUNTER_SUBJECT, subject);
    int size = snprintf(at, sizeof(self->text) - self->used, "omni:limit:{%s}:%u:%u:%s",
                        tenant, key->scope, key->kind, subject);
    self->used += (size_t)size + 1;
    assert(self->used < sizeof(self->text));
    add(self, (struct om_str){ at, (size_t)size });
}

static void
add_keys(struct words *self, const struct counter_want *wants, size_t count)
{
    add_number(self, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        add_key(self, &wants[i].key);
}

static struct om_str
bytes_of(const struct om_uuid *id)
{
    return (struct om_str){ (const char *)id->bytes, sizeof(id->bytes) };
}

// ---- who waits

static struct waiting *
wait_for(struct shared *self, void *context)
{
    struct waiting *waiting = self->free;
    if (!waiting)
        return NULL;
    self->free = waiting->next_free;
    waiting->context = context;
    waiting->taken = NULL;
    waiting->value = NULL;
    return waiting;
}

static void
wait_no_more(struct waiting *waiting)
{
    struct shared *self = waiting->self;
    waiting->number = 0;
    waiting->next_free = self->free;
    self->free = waiting;
}

// Asked: keep it until the answer; not asked: free it.
static uint64_t
asked(struct waiting *waiting, uint64_t number)
{
    waiting->number = number;
    if (!number)
        wait_no_more(waiting);
    return number;
}

void
shared_forget(struct shared *self, uint64_t number)
{
    redis_forget(self->redis, number);
    for (size_t i = 0; number && i < REDIS_PENDING_MAX; i++)
        if (self->waiting[i].number == number) {
            wait_no_more(&self->waiting[i]);
            return;
        }
}

// ---- counters

static bool
read_states(const redisReply *reply, size_t count, struct counter_state *states)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 + 3 * count)
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    for (size_t i = 0; i < count; i++)
        states[i] = (struct counter_state){ reply->element[2 + 3 * i]->integer,
                                            reply->element[3 + 3 * i]->integer,
                                            reply->element[4 + 3 * i]->integer };
    return true;
}

static void
on_taken(void *context, const redisReply *reply)
{
    struct waiting waiting = *(struct waiting *)context;
    struct counter_state states[COUNTERS_WANTS_MAX];
    wait_no_more(context);
    if (read_states(reply, waiting.count, states))
        waiting.taken(waiting.context, reply->element[0]->integer == 1 ? OM_OK : OM_ERATE,
                      states, reply->element[1]->integer);
    else
        waiting.taken(waiting.context, OM_EUNAVAILABLE, NULL, 0);
}

uint64_t
shared_take(struct shared *self, const struct om_uuid *request,
            const struct counter_want *wants, size_t count, shared_taken_fn *fn,
            void *context)
{
    struct words words;
    words_begin(&words);
    if (!redis_is_up(self->redis))
        return 0;
    struct waiting *waiting = wait_for(self, context);
    if (!waiting)
        return 0;
    waiting->taken = fn;
    waiting->count = count;
    add_keys(&words, wants, count);
    add(&words, bytes_of(request));
    add_number(&words, SHARED_LEASE_MS);
    for (size_t i = 0; i < count; i++) {
        add_number(&words, wants[i].key.kind);
        add_number(&words, wants[i].limit);
        add_number(&words, wants[i].amount);
    }
    return asked(waiting, redis_run(self->redis, SCRIPT_TAKE, words.count, words.list,
                                    on_taken, waiting));
}

void
shared_give(struct shared *self, const struct om_uuid *request, int64_t at_ms,
            const struct counter_want *wants, size_t count)
{
    struct words words;
    words_begin(&words);
    if (count == 0 || !redis_is_up(self->redis))
        return;
    add_keys(&words, wants, count);
    add(&words, bytes_of(request));
    add_number(&words, at_ms);
    for (size_t i = 0; i < count; i++) {
        add_number(&words, wants[i].key.kind);
        add_number(&words, wants[i].amount);
    }
    redis_run(self->redis, SCRIPT_GIVE, words.count, words.list, NULL, NULL);
}

void
shared_renew(struct shared *self, const struct om_uuid *request,
             const struct counter_want *wants, size_t count)
{
    struct words words;
    words_begin(&words);
    if (count == 0 || !redis_is_up(self->redis))
        return;
    add_keys(&words, wants, count);
    add(&words, bytes_of(request));
    add_number(&words, SHARED_LEASE_MS);
    redis_run(self->redis, SCRIPT_RENEW, words.count, words.list, NULL, NULL);
}

// ---- values

// omni:cache:{TENANT}:KEY
static struct om_str
value_key(const struct om_uuid *tenant, struct om_str key, char out[SHARED_KEY_MAX + 64])
{
    static const char prefix[] = "omni:cache:{";
    char *at = out + sizeof(prefix) - 1;
    memcpy(out, prefix, sizeof(prefix) - 1);
    om_hex(tenant->bytes, sizeof(tenant->bytes), at);
    at += 2 * sizeof(tenant->bytes);
    *at++ = '}';
    *at++ = ':';
    memcpy(at, key.data, key.size);
    return (struct om_str){ out, (size_t)(at - out) + key.size };
}

static void
on_value(void *context, const redisReply *reply)
{
    struct waiting waiting = *(struct waiting *)context;
    wait_no_more(context);
    if (reply && reply->type == REDIS_REPLY_STRING)
        waiting.value(waiting.context, OM_OK,
                      (struct om_str){ reply->str, (size_t)reply->len });
    else
        waiting.value(waiting.context, reply ? OM_ENOTFOUND : OM_EUNAVAILABLE,
                      (struct om_str){ 0 });
}

uint64_t
shared_get(struct shared *self, const struct om_uuid *tenant, struct om_str key,
           shared_value_fn *fn, void *context)
{
    char text[SHARED_KEY_MAX + 64];
    if (key.size > SHARED_KEY_MAX || !redis_is_up(self->redis))
        return 0;
    struct waiting *waiting = wait_for(self, context);
    if (!waiting)
        return 0;
    waiting->value = fn;
    const struct om_str words[] = { OM_LIT("GET"), value_key(tenant, key, text) };
    return asked(waiting, redis_ask(self->redis, 2, words, on_value, waiting));
}

void
shared_set(struct shared *self, const struct om_uuid *tenant, struct om_str key,
           struct om_str value, int64_t ttl_ms)
{
    char text[SHARED_KEY_MAX + 64], ttl[24];
    if (key.size > SHARED_KEY_MAX || ttl_ms <= 0)
        return;
    snprintf(ttl, sizeof(ttl), "%lld", (long long)ttl_ms);
    const struct om_str words[] = { OM_LIT("SET"), value_key(tenant, key, text), value,
                                    OM_LIT("PX"), om_str(ttl) };
    redis_ask(self->redis, OM_COUNT(words), words, NULL, NULL);
}

void
shared_delete(struct shared *self, const struct om_uuid *tenant, struct om_str key)
{
    char text[SHARED_KEY_MAX + 64];
    if (key.size > SHARED_KEY_MAX)
        return;
    const struct om_str words[] = { OM_LIT("UNLINK"), value_key(tenant, key, text) };
    redis_ask(self->redis, OM_COUNT(words), words, NULL, NULL);
}

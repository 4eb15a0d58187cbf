#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "clock.h"
#include "id.h"
#include "redis.h"

enum {
    OPEN_MS = 2000, // to be connected and ready
    POLL_MS = 10,   // while something happens that no descriptor tells of
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    SHA_DIGITS = 40,
};

// A question. They are answered in the order they were asked in.
struct question {
    struct redis *redis;
    uint64_t number;
    int64_t until_ms;
    redis_fn *fn; // NULL: answered, or nobody wants to know
    void *context;
    size_t script, count; // of a script that may have to be sent again
    char *words;          // its keys and arguments; NULL: another command
};

struct redis {
    const struct redis_conf *conf;
    const char *const *scripts;
    struct redis_hooks hooks;
    int64_t deadline_ms;
    char shas[REDIS_SCRIPTS_MAX][SHA_DIGITS + 1];
    enum redis_state state;
    redisAsyncContext *link; // NULL: there is none
    bool failed;             // the link is to be given up
    bool wants_write;
    int fd;
    int64_t now_ms, due_ms; // the loop's clock; when the next step is due
    int64_t backoff_ms, retry_ms, open_until_ms;
    size_t setup; // answers the setup of a connection waits for
    char why[128];
    struct gaicb lookup;
    bool looking_up;
    size_t tries; // of a host's addresses each has its turn
    // The questions in the order they were asked, in a ring.
    struct question ring[REDIS_PENDING_MAX];
    uint64_t asked, answered; // numbers of the newest, and of the newest answered
    uint64_t late;            // the newest that was given up while its answer is owed
};

static struct question *
question_at(struct redis *self, uint64_t number)
{
    return &self->ring[number % REDIS_PENDING_MAX];
}

static void
set_state(struct redis *self, enum redis_state state)
{
    enum redis_state before = self->state;
    self->state = state;
    if (before != state)
        self->hooks.changed(self->hooks.context, state, self->why);
}

static void
fail(struct redis *self, const char *why)
{
    snprintf(self->why, sizeof(self->why), "%s", why);
    self->failed = true;
}

// ---- answers

static void
answer(struct question *question, const redisReply *reply)
{
    redis_fn *fn = question->fn;
    question->fn = NULL;
    free(question->words);
    question->words = NULL;
    if (fn)
        fn(question->context, reply);
}

static bool
begins(const redisReply *reply, const char *text)
{
    return reply && reply->type == REDIS_REPLY_ERROR &&
           strncmp(reply->str, text, strlen(text)) == 0;
}

static uint64_t put_question(struct redis *self, size_t count, const char **words,
                             const size_t *sizes, redis_fn *fn, void *context);

// Redis forgot a script (SCRIPT FLUSH, a replica that took over): send it whole.
static bool
send_script_again(struct redis *self, struct question *question)
{
    const char *words[REDIS_ARGS_MAX] = { "EVAL", self->scripts[question->script] };
    size_t sizes[REDIS_ARGS_MAX] = { 4, strlen(words[1]) };
    const char *at = question->words;
    if (!at)
        return false;
    for (size_t i = 0; i < question->count; i++) {
        memcpy(&sizes[i + 2], at, sizeof(size_t));
        words[i + 2] = at + sizeof(size_t);
        at += sizeof(size_t) + sizes[i + 2];
    }
    uint64_t number = put_question(self, question->count + 2, words, sizes, question->fn,
                                   question->context);
    if (!number)
        return false;
    question_at(self, number)->until_ms = question->until_ms;
    question->fn = NULL; // it is the other one's now
    return true;
}

static void
on_reply(redisAsyncContext *link, void *reply, void *context)
{
    struct question *question = context;
    struct redis *self = question->redis;
    (void)link;
    self->answered = question->number;
    if (begins(reply, "NOSCRIPT") && send_script_again(self, question))
        reply = NULL;
    if (begins(reply, "LOADING") || begins(reply, "READONLY") || begins(reply, "NOAUTH"))
        fail(self, ((redisReply *)reply)->str);
    answer(question, begins(reply, "") ? NULL : reply);
}

// ---- the connection

static void
on_want(void *context)
{
    (void)context;
}

static void
on_want_write(void *context)
{
    ((struct redis *)context)->wants_write = true;
}

static void
on_no_write(void *context)
{
    ((struct redis *)context)->wants_write = false;
}

static void
on_cleanup(void *context)
{
    struct redis *self = context;
    if (self->fd >= 0)
        self->hooks.unwatch(self->hooks.context, self->fd);
    self->fd = -1;
    self->wants_write = false;
}

static void
on_disconnect(const redisAsyncContext *link, int status)
{
    struct redis *self = link->data;
    self->link = NULL;
    fail(self, status == REDIS_OK ? "closed" : link->errstr);
}

static void
on_setup(void *context, const redisReply *reply)
{
    struct redis *self = context;
    self->setup--;
    if (!reply) {
        if (!self->failed)
            fail(self, "it refuses the password, the database or a script");
        return;
    }
    if (self->setup == 0 && !self->failed) {
        self->backoff_ms = 0;
        set_state(self, REDIS_UP);
    }
}

static void
on_script(void *context, const redisReply *reply)
{
    struct redis *self = context;
    size_t script = 0;
    while (self->shas[script][0])
        script++;
    if (reply && reply->type == REDIS_REPLY_STRING && reply->len == SHA_DIGITS)
        memcpy(self->shas[script], reply->str, SHA_DIGITS);
    else
        reply = NULL;
    on_setup(self, reply);
}

// The first commands of a connection; what is asked later waits behind them.
static void
set_up(struct redis *self)
{
    const struct redis_conf *conf = self->conf;
    char db[8];
    const char *auth[] = { "AUTH", *conf->user ? conf->user : conf->password,
                           conf->password };
    const char *select[] = { "SELECT", db };
    snprintf(db, sizeof(db), "%d", conf->db);
    memset(self->shas, 0, sizeof(self->shas));
    self->setup = 1;
    if (*conf->password && ++self->setup)
        put_question(self, *conf->user ? 3 : 2, auth, NULL, on_setup, self);
    put_question(self, 2, select, NULL, on_setup, self);
    for (size_t i = 0; self->scripts[i]; i++) {
        const char *load[] = { "SCRIPT", "LOAD", self->scripts[i] };
        self->setup++;
        put_question(self, 3, load, NULL, on_script, self);
    }
    self->open_until_ms = self->now_ms + OPEN_MS;
}

static void
on_connect(const redisAsyncContext *link, int status)
{
    struct redis *self = link->data;
    if (status == REDIS_OK) {
        set_up(self);
        return;
    }
    self->link = NULL;
    fail(self, link->errstr);
}

// ... to a numeric address, or to the path.
static void
connect_to(struct redis *self, const char *address)
{
    const struct redis_conf *conf = self->conf;
    redisAsyncContext *link = *conf->path ? redisAsyncConnectUnix(conf->path)
                                          : redisAsyncConnect(address, conf->port);
    if (!link || link->err) {
        fail(self, link ? link->errstr : "no memory");
        if (link)
            redisAsyncFree(link);
        return;
    }
    self->link = link;
    self->fd = link->c.fd;
    link->data = self;
    link->ev.data = self;
    link->ev.addRead = link->ev.delRead = on_want;
    link->ev.addWrite = on_want_write;
    link->ev.delWrite = on_no_write;
    link->ev.cleanup = on_cleanup;
    redisAsyncSetDisconnectCallback(link, on_disconnect);
    redisAsyncSetConnectCallback(link, on_connect);
    self->open_until_ms = self->now_ms + OPEN_MS;
    if (!self->hooks.watch(self->hooks.context, self->fd))
        fail(self, "no descriptor to watch it");
}

// The resolver works in a thread of its own, so that a slow name server stops nobody.
static void
look_up(struct redis *self)
{
    struct in6_addr address;
    const char *host = self->conf->host;
    self->open_until_ms = self->now_ms + OPEN_MS;
    if (*self->conf->path || inet_pton(AF_INET, host, &address) == 1 ||
        inet_pton(AF_INET6, host, &address) == 1) {
        connect_to(self, host);
        return;
    }
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct gaicb *lookups[] = { &self->lookup };
    self->lookup = (struct gaicb){ .ar_name = host, .ar_request = &hints };
    self->looking_up = getaddrinfo_a(GAI_NOWAIT, lookups, 1, NULL) == 0;
    if (!self->looking_up)
        fail(self, "the resolver has no room");
}

static int
write_address(struct redis *self, char *out, size_t size)
{
    const struct addrinfo *first = self->lookup.ar_result, *one = first;
    for (size_t i = 0; i < self->tries; i++)
        one = one->ai_next ? one->ai_next : first;
    self->tries = (self->tries + 1) % 16;
    return getnameinfo(one->ai_addr, one->ai_addrlen, out, (socklen_t)size, NULL, 0,
                       NI_NUMERICHOST);
}

static void
end_look_up(struct redis *self)
{
    char address[INET6_ADDRSTRLEN];
    int rc = gai_error(&self->lookup);
    if (rc == EAI_INPROGRESS)
        return; // until the system's own timeout
    self->looking_up = false;
    if (rc == 0)
        rc = write_address(self, address, sizeof(address));
    if (self->lookup.ar_result)
        freeaddrinfo(self->lookup.ar_result);
    if (rc == 0)
        connect_to(self, address);
    else
        fail(self, gai_strerror(rc));
}

static void
begin(struct redis *self)
{
    self->failed = false;
    set_state(self, REDIS_OPENING);
    look_up(self);
}

// Close what is left, answer everybody, and come back later.
static void
give_up(struct redis *self)
{
    redisAsyncContext *link = self->link;
    self->link = NULL;
    if (link) {
        link->onDisconnect = NULL; // it is known
        redisAsyncFree(link);      // answers with NULL what it owes
    }
    for (uint64_t number = self->answered + 1; number <= self->asked; number++)
        answer(question_at(self, number), NULL);
    self->answered = self->late = self->asked;
    uint16_t chance;
    om_random(&chance, sizeof(chance));
    self->backoff_ms = self->backoff_ms ? self->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (self->backoff_ms > BACKOFF_MAX_MS)
        self->backoff_ms = BACKOFF_MAX_MS;
    self->retry_ms =
        self->now_ms + self->backoff_ms - self->backoff_ms * chance / (2 * UINT16_MAX);
    self->failed = false;
    set_state(self, REDIS_DOWN);
}

// ---- questions

static uint64_t
put_question(struct redis *self, size_t count, const char **words, const size_t *sizes,
             redis_fn *fn, void *context)
{
    if (!self->link || self->asked - self->answered >= REDIS_PENDING_MAX - 1)
        return 0;
    uint64_t number = self->asked + 1;
    struct question *question = question_at(self, number);
    *question = (struct question){ .redis = self,
                                   .number = number,
                                   .until_ms = self->now_ms + self->deadline_ms,
                                   .fn = fn,
                                   .context = context };
    if (redisAsyncCommandArgv(self->link, on_reply, question, (int)count, words, sizes) !=
        REDIS_OK)
        return 0;
    self->asked = number;
    return number;
}

bool
redis_is_up(const struct redis *self)
{
    return self->state == REDIS_UP && !self->failed && self->late <= self->answered;
}

static uint64_t
ask(struct redis *self, size_t lead, const char *const *leads, size_t count,
    const struct om_str *words, redis_fn *fn, void *context)
{
    const char *data[REDIS_ARGS_MAX];
    size_t sizes[REDIS_ARGS_MAX];
    if (!redis_is_up(self) || lead + count > REDIS_ARGS_MAX)
        return 0;
    for (size_t i = 0; i < lead; i++) {
        data[i] = leads[i];
        sizes[i] = strlen(leads[i]);
    }
    for (size_t i = 0; i < count; i++) {
        data[lead + i] = words[i].data;
        sizes[lead + i] = words[i].size;
    }
    self->now_ms = om_clock_mono_ms();
    return put_question(self, lead + count, data, sizes, fn, context);
}

uint64_t
redis_ask(struct redis *self, size_t count, const struct om_str *words, redis_fn *fn,
          void *context)
{
    return ask(self, 0, NULL, count, words, fn, context);
}

// The words of a script's call, each behind its size.
static char *
copy_words(size_t count, const struct om_str *words)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += sizeof(size_t) + words[i].size;
    char *copy = malloc(size), *at = copy;
    for (size_t i = 0; copy && i < count; i++) {
        memcpy(at, &words[i].size, sizeof(size_t));
        memcpy(at + sizeof(size_t), words[i].data, words[i].size);
        at += sizeof(size_t) + words[i].size;
    }
    return copy;
}

uint64_t
redis_run(struct redis *self, size_t script, size_t count, const struct om_str *words,
          redis_fn *fn, void *context)
{
    const char *const leads[] = { "EVALSHA", self->shas[script] };
    uint64_t number = ask(self, 2, leads, count, words, fn, context);
    if (number) {
        struct question *question = question_at(self, number);
        question->script = script;
        question->count = count;
        question->words = copy_words(count, words);
    }
    return number;
}

void
redis_forget(struct redis *self, uint64_t number)
{
    struct question *question = question_at(self, number);
    if (number <= self->answered || number > self->asked)
        return;
    question->fn = NULL;
    free(question->words);
    question->words = NULL;
}

// ---- the turn

// Nobody waits beyond the deadline; what is owed then keeps new questions back.
static void
pass_deadlines(struct redis *self)
{
    for (uint64_t number = self->answered + 1; number <= self->asked; number++) {
        struct question *question = question_at(self, number);
        if (question->until_ms > self->now_ms)
            break;
        if (self->state == REDIS_UP) {
            self->late = number;
            answer(question, NULL);
        }
    }
    if (self->asked > self->answered && self->state == REDIS_UP &&
        question_at(self, self->answered + 1)->until_ms - self->deadline_ms +
                REDIS_DEAD_MS <=
            self->now_ms)
        fail(self, "it does not answer");
}

static int64_t
due_of(const struct redis *self)
{
    if (self->state == REDIS_DOWN)
        return self->retry_ms;
    if (self->state == REDIS_OPENING || self->wants_write)
        return self->now_ms + POLL_MS;
    if (self->asked == self->answered)
        return INT64_MAX;
    if (self->late > self->answered)
        return self->now_ms + self->deadline_ms;
    return self->ring[(self->answered + 1) % REDIS_PENDING_MAX].until_ms;
}

// Until a connection is made its socket cannot be written to, and hiredis does not ask.
static bool
is_connecting(const struct redis *self)
{
    struct pollfd polled = { self->fd, POLLOUT, 0 };
    return !(self->link->c.flags & REDIS_CONNECTED) && poll(&polled, 1, 0) == 0;
}

static void
move(struct redis *self)
{
    if (self->link && is_connecting(self))
        return;
    if (self->link && self->wants_write)
        redisAsyncHandleWrite(self->link);
    if (self->link && !self->failed)
        redisAsyncHandleRead(self->link);
    if (self->link && self->wants_write) // what the answers led to
        redisAsyncHandleWrite(self->link);
}

void
redis_process(struct redis *self, int64_t now_ms)
{
    self->now_ms = now_ms;
    if (self->state == REDIS_DOWN && self->retry_ms <= now_ms)
        begin(self);
    if (self->looking_up && !self->failed)
        end_look_up(self);
    move(self);
    pass_deadlines(self);
    if (self->state == REDIS_OPENING && self->open_until_ms <= now_ms &&
        !self->looking_up)
        fail(self, "it does not open in time");
    if (self->failed)
        give_up(self);
    int64_t due_ms = due_of(self);
    if (due_ms != INT64_MAX)
        self->hooks.set_timer(self->hooks.context, due_ms);
}

// ---- life

struct redis *
redis_create(const struct redis_conf *conf, const char *const *scripts,
             int64_t deadline_ms, const struct redis_hooks *hooks)
{
    struct redis *self = calloc(1, sizeof(*self));
    if (!self)
        return NULL;
    self->conf = conf;
    self->scripts = scripts;
    self->deadline_ms = deadline_ms;
    self->hooks = *hooks;
    self->fd = -1;
    return self;
}

void
redis_destroy(struct redis **self_p)
{
    struct redis *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    if (self->looking_up && gai_cancel(&self->lookup) == EAI_NOTCANCELED) {
        const struct gaicb *const lookups[] = { &self->lookup };
        gai_suspend(lookups, 1, NULL);
    }
    if (self->looking_up && self->lookup.ar_result)
        freeaddrinfo(self->lookup.ar_result);
    give_up(self);
    free(self);
}

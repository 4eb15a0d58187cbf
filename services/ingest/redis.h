// redis.h - one thread's connection to Redis, which never makes the thread wait.
//
// What is asked is answered in the same thread, once: by Redis, or with NULL at the
// deadline or when the connection is lost. An answer that comes too late is dropped;
// while one is owed, nothing new is asked, so that a Redis that hangs costs one deadline
// and no more. A connection that owes answers for REDIS_DEAD_MS is closed. A lost one is
// made anew after 0.1 s, doubled up to 5 s, less up to a half by chance, so that many
// edges do not come back at once.
#pragma once
#include <hiredis/async.h>

#include "timers.h"

enum {
    REDIS_PENDING_MAX = 1024, // questions that are not answered
    REDIS_DEAD_MS = 2000,
    REDIS_SCRIPTS_MAX = 8,
    REDIS_ARGS_MAX = 192,
};

struct redis_conf {
    char host[256], path[108]; // of TCP, or of a Unix socket
    char user[128], password[256];
    int port, db;
};

// Read redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or
// redis://[[USER]:PASSWORD@]unix:/PATH[?db=DB]; %XX stands for a byte in user, password
// and path. False: the reason is in `why`, and does not show the password.
bool redis_parse(const char *url, struct redis_conf *out, char *why, size_t why_size);

enum redis_state { REDIS_DOWN, REDIS_OPENING, REDIS_UP };

// What the owner of the thread's loop does for the connection.
struct redis_hooks {
    bool (*watch)(void *context, int fd); // wake me when `fd` can be read
    void (*unwatch)(void *context, int fd);
    void (*set_timer)(void *context, int64_t at_ms); // redis_process() then
    void (*changed)(void *context, enum redis_state state, const char *why);
    void *context;
};

struct redis;

// `scripts` are loaded when a connection is made; NULL ends the list. All are borrowed.
// NULL: no memory.
struct redis *redis_create(const struct redis_conf *conf, const char *const *scripts,
                           int64_t deadline_ms, const struct redis_hooks *hooks);

// What is not answered is answered with NULL.
void redis_destroy(struct redis **self_p);

// May something be asked now?
bool redis_is_up(const struct redis *self);

// Move what has come and what is to go; at the end of every turn of the loop.
void redis_process(struct redis *self, int64_t now_ms);

typedef void redis_fn(void *context, const redisReply *reply);

// Send a command. Returns its number, or 0: not connected, an answer is owed, or too many
// wait; fn is not called then. It is called later, never from here. `fn` may be NULL.
uint64_t redis_ask(struct redis *self, size_t count, const struct om_str *words,
                   redis_fn *fn, void *context);

// Run script number `script`: the number of its keys comes first, then keys and
// arguments. A Redis that has lost it is sent it again.
uint64_t redis_run(struct redis *self, size_t script, size_t count,
                   const struct om_str *words, redis_fn *fn, void *context);

// The answer is not wanted any more: fn is not called.
void redis_forget(struct redis *self, uint64_t number);

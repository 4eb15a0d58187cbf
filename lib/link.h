// link.h - one session with a broker, over one DEALER socket: ZeroMQ's over tcp://, one
// of our own in the owner's thread over ipc:// (zmtp.h).
//
// A link says HELLO when the connection is made, answers RESET with another HELLO, keeps
// the session alive with PING, and tells its owner when the session opens and closes. A
// broker that is silent for three heartbeats is taken for dead: the socket is made anew,
// with backoff. Nothing here blocks. One thread.
//
// Small messages wait for one another, to travel as one, until om_link_recv() has given
// out all that came before them or om_link_tick() is called. A session that closes takes
// what waits with it, as it does what is on its way.
//
// Over tcp:// the session is encrypted: the folder OMNI_KEYS names holds broker.pub and
// this role's <role>.pub and <role>.key, as z85 text.
#pragma once
#include "wire.h"

struct om_link;

struct om_link_conf {
    const char *endpoint;
    const char *node;       // name of this process in logs and listings
    const char *keys;       // folder of CURVE keys; "" or NULL on ipc://
    const char *credential; // API key of a tenant's worker, else NULL
    enum role role;

    // Called with the owner's context; each may be NULL. `hello` lets a worker add what
    // it holds; `opened` and `closed` say that messages can be sent, and no longer.
    void *context;
    void (*hello)(void *context, struct wire_msg *hello);
    void (*opened)(void *context, const struct wire_msg *welcome);
    void (*closed)(void *context);
};

// A received message; borrowed from the link until its next om_link_recv().
struct om_frame {
    const struct wire_msg *msg;
    struct om_str header; // what `msg` was decoded from
    struct om_str payload;
};

// OM_EINVAL if the endpoint or the keys cannot be used, OM_EINTERNAL without memory; *why
// (static text) says so. The strings of `conf` are borrowed while the link lives.
OM_MUST_CHECK enum om_rc om_link_create(const struct om_link_conf *conf,
                                        struct om_link **out, const char **why);

// Say BYE and close; sets *self_p to NULL.
void om_link_destroy(struct om_link **self_p);

// The two file descriptors to poll for reading. They change when the link connects anew.
// They are edge-triggered: whenever one fires, call om_link_tick(); then, and after any
// send, call om_link_recv() until it returns false.
void om_link_fds(const struct om_link *self, int fds[2]);

// Is the session open?
bool om_link_is_open(const struct om_link *self);

// How often the broker wants to hear of this peer, from its WELCOME.
int64_t om_link_heartbeat_ms(const struct om_link *self);

// Why the broker refused the last HELLO, or NULL.
const char *om_link_refusal(const struct om_link *self);

// Send a message. OM_EUNAVAILABLE: there is no session or no room; nothing was sent.
// Whoever does something longer before the next om_link_recv() calls om_link_flush().
OM_MUST_CHECK enum om_rc om_link_send(struct om_link *self, enum wire_type type,
                                      const struct wire_msg *msg, struct om_str payload);

// The same for a header that was encoded before.
OM_MUST_CHECK enum om_rc om_link_send_raw(struct om_link *self, struct om_str header,
                                          struct om_str payload);

// Have what was sent leave now. What finds no room waits on.
void om_link_flush(struct om_link *self);

// The next message that is not the link's own; false when there is none.
bool om_link_recv(struct om_link *self, struct om_frame *out);

// Was nothing sent since om_link_recv() returned false? Then it would do so again until a
// descriptor fires.
bool om_link_is_settled(const struct om_link *self);

// Do what is due at `now_ms` (mono): HELLO again, PING, notice silence. Returns when to
// call it next.
int64_t om_link_tick(struct om_link *self, int64_t now_ms);

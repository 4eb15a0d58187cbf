#include <stdio.h>

#include "admission.h"
#include "cidr.h"
#include "clock.h"
#include "exchange.h"
#include "id.h"

enum { SCOPE_ADDRESS = LIMIT_SCOPES }; // none that a tenant's limit can have

_Static_assert(SCOPE_ADDRESS <= UINT8_MAX, "a counter's key has room for it");

// The counter of an address. What has none, as on a local socket, shares one.
static struct counter_key
key_of(const char *remote)
{
    struct counter_key key = { .scope = SCOPE_ADDRESS, .kind = COUNTER_REQUESTS };
    struct om_address address;
    uint8_t hash[32];
    if (om_address_parse(om_str(remote), &address) == OM_OK) {
        key.subject[0] = address.bits;
        memcpy(key.subject + 1, address.bytes, address.bits == 32 ? 4 : 8);
    }
    om_sha256((struct om_str){ (const char *)key.subject, sizeof(key.subject) }, hash);
    memcpy(key.tenant.bytes, hash, sizeof(key.tenant.bytes)); // it spreads them
    return key;
}

static void
refuse(struct exchange *x, int64_t wait_ms)
{
    static const char *const violated[] = { "failed_keys" };
    const struct admission_info *info = &admission_infos[ADMISSION_RATE];
    int64_t retry_s = admission_seconds(wait_ms > 0 ? wait_ms : 1);
    char text[160];
    snprintf(text, sizeof(text),
             "failed_keys: your address has sent too many API keys that do not hold; try "
             "again in %lld s",
             (long long)retry_s);
    struct error_text error = { info->type, info->code, NULL, om_str(text), violated, 1 };
    x->limited = true;
    exchange_refuse(x, info->status, &error, retry_s);
}

static void
on_shared(void *context, enum om_rc rc, const struct counter_state *states, int64_t at_ms)
{
    struct exchange *x = context;
    struct guess *guess = &x->guess;
    guess->asked = 0;
    guess->shared = rc == OM_OK;
    guess->shared_ms = at_ms;
    if (rc != OM_ERATE) { // without an answer this edge's own counter decides
        guess->go_on(x);
        return;
    }
    guess_take_back(x);
    refuse(x, states[0].wait_ms);
}

bool
guess_begin(struct exchange *x, void (*go_on)(struct exchange *x))
{
    struct guess *guess = &x->guess;
    struct edge *edge = x->edge;
    struct counter_state state;
    int64_t most = edge->ingest->conf.failed_keys;
    if (most == 0)
        return true;
    guess->want =
        (struct counter_want){ .key = key_of(x->remote), .limit = most, .amount = 1 };
    enum om_rc rc = counters_take(edge->ingest->guesses, om_clock_mono_ms(), &guess->want,
                                  1, &state, &guess->at_ms);
    if (rc == OM_ERATE) {
        refuse(x, state.wait_ms);
        return false;
    }
    guess->taken = rc == OM_OK;
    guess->go_on = go_on;
    if (edge->shared)
        guess->asked = shared_take(edge->shared, &x->id, &guess->want, 1, on_shared, x);
    if (!guess->asked)
        return true;
    om_http_pause(edge->loop, x->handle);
    return false;
}

void
guess_take_back(struct exchange *x)
{
    struct guess *guess = &x->guess;
    if (guess->taken)
        counters_give(x->edge->ingest->guesses, guess->at_ms, &guess->want, 1);
    if (guess->shared && x->edge->shared)
        shared_give(x->edge->shared, &x->id, guess->shared_ms, &guess->want, 1);
    guess->taken = guess->shared = false;
}

void
guess_end(struct exchange *x)
{
    if (x->guess.asked && x->edge->shared)
        shared_forget(x->edge->shared, x->guess.asked);
    x->guess.asked = 0;
}

#include "peer.h"

static const char *const role_names[ROLE_COUNT] = {
#define ROLE_ROW(symbol, name) [ROLE_##symbol] = name,
    ROLE_LIST(ROLE_ROW)
#undef ROLE_ROW
};

const struct queue_info queues[QUEUE_COUNT] = {
#define QUEUE_ROW(symbol, name, owner, class, hard_ms)                                   \
    [QUEUE_##symbol] = { name, ROLE_##owner, CLASS_##class, hard_ms },
    QUEUE_LIST(QUEUE_ROW)
#undef QUEUE_ROW
};

const struct subscription subscriptions[SUBSCRIPTION_COUNT] = {
#define SUBSCRIPTION_ROW(topic, queue) [SUBSCRIPTION_##queue] = { topic, QUEUE_##queue },
    SUBSCRIPTION_LIST(SUBSCRIPTION_ROW)
#undef SUBSCRIPTION_ROW
};

static const struct state_info states[STATE_COUNT] = { [STATE_NONE] = { "", "", false },
#define STATE_ROW(number, symbol, name, public, ended) [number] = { name, public, ended },
                                                       STATE_LIST(STATE_ROW)
#undef STATE_ROW
};

const char *
role_name(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? role_names[role] : role_names[ROLE_NONE];
}

enum role
role_find(struct om_str name)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        if (om_str_eq(name, om_str(role_names[role])))
            return (enum role)role;
    return ROLE_NONE;
}

const struct queue_info *
queue_find(struct om_str name)
{
    for (size_t i = 0; i < QUEUE_COUNT; i++)
        if (om_str_eq(name, om_str(queues[i].name)))
            return &queues[i];
    return NULL;
}

bool
queue_name_valid(struct om_str name)
{
    if (name.size < 1 || name.size > 64)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        bool letter = c >= 'a' && c <= 'z';
        bool other = (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return true;
}

const struct state_info *
state_info(int64_t state)
{
    return &states[state > 0 && state < STATE_COUNT ? state : STATE_NONE];
}

#include "name.h"
#include "task.h"

enum { KEY_MAX = 255 };

// What a name is found by; no padding, since it is compared as bytes.
struct name_key {
    struct om_uuid tenant;
    uint8_t by, size;
    char text[KEY_MAX];
};

struct name {
    struct name_key key;
    struct task *task;
    UT_hash_handle hh;
};

// The key of that kind in `msg`; absent if it has none.
static struct om_str
key_of(const struct wire_msg *msg, enum known_by by)
{
    return by == KNOWN_IDEM ? msg->idem_key : msg->unique_key;
}

static size_t
key_set(struct name_key *key, const struct om_uuid *tenant, enum known_by by,
        struct om_str text)
{
    key->tenant = *tenant;
    key->by = (uint8_t)by;
    key->size = (uint8_t)text.size;
    memcpy(key->text, text.data, text.size);
    return offsetof(struct name_key, text) + text.size;
}

struct task *
name_find(const struct core *self, const struct om_uuid *tenant,
          const struct wire_msg *msg, enum known_by *by)
{
    for (*by = KNOWN_IDEM; *by <= KNOWN_UNIQUE; (*by)++) {
        struct om_str text = key_of(msg, *by);
        if (!text.size)
            continue;
        struct name_key key;
        struct name *name = NULL;
        size_t size = key_set(&key, tenant, *by, text);
        HASH_FIND(hh, self->names, &key, size, name);
        if (name)
            return name->task;
    }
    return NULL;
}

void
name_add(struct core *self, struct task *task, const struct wire_msg *msg)
{
    for (enum known_by by = KNOWN_IDEM; by <= KNOWN_UNIQUE; by++) {
        struct om_str text = key_of(msg, by);
        if (!text.size)
            continue;
        struct name *name = core_alloc(sizeof(*name));
        size_t size = key_set(&name->key, &task->tenant->id, by, text);
        name->task = task;
        HASH_ADD(hh, self->names, key, size, name);
        task->submission->names[by - KNOWN_IDEM] = name;
    }
}

void
name_remove(struct core *self, struct submission *submission)
{
    for (size_t i = 0; i < OM_COUNT(submission->names); i++) {
        if (!submission->names[i])
            continue;
        HASH_DEL(self->names, submission->names[i]);
        free(submission->names[i]);
        submission->names[i] = NULL;
    }
}

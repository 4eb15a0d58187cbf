#include "plans.h"

static bool
read_plan(const struct plan_item *item, struct plan *out)
{
    if (item->code.size >= sizeof(out->code))
        return false;
    *out = (struct plan){ 0 };
    memcpy(out->code, item->code.data, item->code.size);
    out->most[COUNTER_REQUESTS] =
        REC_HAS(item, plan_item, requests) ? item->requests : NO_LIMIT;
    out->most[COUNTER_TOKENS] =
        REC_HAS(item, plan_item, tokens) ? item->tokens : NO_LIMIT;
    out->most[COUNTER_CONCURRENT] =
        REC_HAS(item, plan_item, concurrent) ? item->concurrent : NO_LIMIT;
    return true;
}

bool
plans_apply(struct plans *self, const struct plan_changes_reply *reply)
{
    struct plan_item item;
    struct om_str bytes;
    // First without a change, so that half of an answer changes nothing.
    for (int pass = 0; pass < 2; pass++) {
        struct rec_iter iter = rec_iter(reply->data);
        struct plan plan;
        size_t count = 0;
        while (count < PLANS_MAX && rec_next_rec(&iter, &plan_item_rec, &item, &bytes)) {
            if (!read_plan(&item, &plan))
                return false;
            if (pass == 1)
                self->rows[count] = plan;
            count++;
        }
        if (iter.left > 0)
            return false;
        if (pass == 1 && REC_HAS(reply, plan_changes_reply, data))
            self->count = count;
    }
    self->version = reply->version;
    return true;
}

const struct plan *
plans_find(const struct plans *self, const char *code)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->rows[i].code, code) == 0)
            return &self->rows[i];
    return &self->fallback;
}

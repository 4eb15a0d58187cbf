#include <stdlib.h>

#include "read.h"

enum { BLOCK_MIN = 512, BLOCK_MAX = 64 * 1024 };

struct read_block {
    struct read_block *next;
    size_t size, used;
    char data[];
};

// A block with room for `size` bytes; each is twice as large as the last.
static struct read_block *
block_for(struct read *self, size_t size)
{
    struct read_block *block = self->memory;
    if (block && block->size - block->used >= size)
        return block;
    size_t room = block ? block->size * 2 : BLOCK_MIN;
    if (room > BLOCK_MAX)
        room = BLOCK_MAX;
    if (room < size)
        room = size;
    block = malloc(sizeof(*block) + room);
    if (!block)
        return NULL;
    *block = (struct read_block){ .next = self->memory, .size = room };
    self->memory = block;
    return block;
}

bool
read_keep(struct read *self, struct om_str *text)
{
    if (text->size == 0)
        return true;
    struct read_block *block = block_for(self, text->size);
    if (!block)
        return false;
    char *copy = block->data + block->used;
    block->used += text->size;
    memcpy(copy, text->data, text->size);
    text->data = copy;
    return true;
}

void
read_destroy(struct read **self_p)
{
    struct read *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->memory) {
        struct read_block *block = self->memory;
        self->memory = block->next;
        free(block);
    }
    for (size_t i = 0; self->chunks && i < self->count; i++)
        payload_unref(&self->chunks[i].payload);
    for (size_t i = 0; self->tasks && i < self->count; i++)
        payload_unref(&self->tasks[i].payload);
    payload_unref(&self->payload);
    free(self->chunks);
    free(self->seqs);
    free(self->tasks);
    free(self);
}

enum om_rc
stored_task_header(const struct stored_task *task, struct wire_msg *out)
{
    if (rec_decode(&wire_msg_rec, task->header, out, NULL) != OM_OK ||
        !WIRE_HAS(out, version))
        return OM_EPROTO;
    bool known = out->version >= WIRE_VERSION_MIN && out->version <= WIRE_VERSION;
    return known ? OM_OK : OM_EUNSUPPORTED;
}

void
stored_task_mark(struct stored_task *task, const struct change_mark *mark)
{
    task->due_ms = 0;
    switch (mark->kind) {
    case MARK_LEASE:
        task->attempts++;
        task->leased = true;
        task->started_ms = mark->at_ms;
        task->token = mark->token;
        task->node = mark->node;
        break;
    case MARK_RELEASE:
        task->attempts--;
        task->leased = false;
        break;
    case MARK_LOST:
        task->lost++;
        // fallthrough
    case MARK_FAIL:
        task->leased = false;
        task->due_ms = mark->due_ms;
        task->code = mark->code;
        task->text = mark->text;
        break;
    case MARK_CANCEL:
        task->cancel = true;
        break;
    case MARK_REOPEN:
        task->attempts = 0;
        task->lost = 0;
        task->cancel = false;
        task->leased = false;
        task->reopened = true;
        task->reopen_seq = (int64_t)mark->token.lease;
        break;
    }
}

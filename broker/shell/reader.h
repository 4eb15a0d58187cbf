// reader.h - the thread that looks things up in the store, in the order it is asked.
//
// The I/O thread gives reads and takes them back answered; `wake_fd`, an eventfd, is
// written when one is.
#pragma once
#include "store.h"

struct reader;

// `store` is borrowed. NULL when there is no memory or no thread.
struct reader *reader_start(struct store *store, int wake_fd);

// Wait for the thread's end. What was not answered yet can be taken, with OM_EDB.
void reader_stop(struct reader *self);

// Everything was taken; sets *self_p to NULL.
void reader_destroy(struct reader **self_p);

// May another read be given? A bounded number is out at a time.
bool reader_has_room(const struct reader *self);

void reader_give(struct reader *self, struct read *read);

// The next answered read, or NULL.
struct read *reader_take(struct reader *self);

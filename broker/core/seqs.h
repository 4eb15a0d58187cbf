// seqs.h - tasks that are not in memory, as the numbers they have: in order, as a set, by
// time. 8 bytes a task, and next to nothing where there is none.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- first in, first out

struct seq_chunk;

struct seq_deque {
    struct seq_chunk *first, *last;
    size_t count;
    struct seq_chunk *walk; // where that is; NULL: the deque is empty
    uint32_t walked;        // of that chunk, the next to look at
};

void seq_deque_finish(struct seq_deque *self);
void seq_deque_push(struct seq_deque *self, int64_t seq);

// Put `count` back in front of the others, in this order.
void seq_deque_push_front(struct seq_deque *self, const int64_t *seqs, size_t count);

// Take the first; 0 if there is none.
int64_t seq_deque_take(struct seq_deque *self);

// The first, which stays; 0 if there is none.
int64_t seq_deque_first(const struct seq_deque *self);

// Look at all from the first on, in their places: the next of the walk, 0 at its end. It
// goes on where it was whatever is pushed and taken meanwhile; what is put back in front
// makes it begin anew.
void seq_deque_walk(struct seq_deque *self);
int64_t seq_deque_next(struct seq_deque *self);

// ---- a set: a bit for each, in pages of neighbours

struct seq_page;

struct seq_set {
    struct seq_page *pages;
    size_t count;
};

void seq_set_finish(struct seq_set *self);

// False: it was in the set already, or was not.
bool seq_set_add(struct seq_set *self, int64_t seq);
bool seq_set_remove(struct seq_set *self, int64_t seq);
bool seq_set_has(const struct seq_set *self, int64_t seq);

// ---- by time: what is to be looked at when

enum wake {
    WAKE_EXPIRY, // it has expired
    WAKE_DUE,    // it is due
    WAKE_RETRY,  // its next attempt is
    WAKE_BITS = 2,
};

struct seq_wake {
    int64_t at_ms;
    int64_t seq_kind; // seq << WAKE_BITS | enum wake
};

struct seq_heap {
    struct seq_wake *wakes;
    size_t count, capacity;
};

void seq_heap_finish(struct seq_heap *self);
void seq_heap_push(struct seq_heap *self, int64_t at_ms, int64_t seq, enum wake kind);

// Take out the first, into *seq and *kind; false if there is none at `now_ms`.
bool seq_heap_take(struct seq_heap *self, int64_t now_ms, int64_t *seq, enum wake *kind);

// When the first is; INT64_MAX if there is none.
int64_t seq_heap_next(const struct seq_heap *self);

// Have those that are later come at `at_ms`, and all be of that kind.
void seq_heap_rush(struct seq_heap *self, int64_t at_ms, enum wake kind);

// Drop those of which `keep` says false.
void seq_heap_filter(struct seq_heap *self, const void *context,
                     bool (*keep)(const void *context, int64_t seq, enum wake kind));

// send.h - commands that send what their options say, and show the answer.
//
// Each returns an exit status, after a message unless it is EXIT_DONE.
#pragma once
#include "api.h"
#include "print.h"

// An option whose value is a text, a list with commas, or a number.
struct given {
    const char *option, *field;
    enum { GIVEN_TEXT, GIVEN_LIST, GIVEN_NUMBER } as;
};

// A list of names with commas as an array.
json_t *split_list(const char *text);

// Add what was given to the body, from a list that ends with {0}. False after a message.
bool add_given(const struct args *args, const struct given *list, json_t *body);

// Add --days as `expires_ms`, the time they end. False after a message.
bool add_days(const struct args *args, json_t *body);

// Send `body`, which is taken; NULL after a message. `id` and `tail` follow the path.
int send_body(const struct args *args, const char *method, json_t *body, const char *path,
              const char *id, const char *tail);

// The same for a body of options only: one must be given. The id is the first word.
int send_given(const struct args *args, const char *method, const struct given *list,
               const char *path);

// The same to make something whose first word is `field`.
int send_new(const struct args *args, const char *field, const struct given *list,
             const char *path);

// The same without a body.
int send_nothing(const struct args *args, const char *method, const char *path,
                 const char *tail);
